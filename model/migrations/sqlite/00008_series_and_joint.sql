-- +goose Up
CREATE TABLE activity_series (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  organisation_id INTEGER NOT NULL,
  rule TEXT NOT NULL CHECK (length(rule) <= 100),
  shift TEXT NOT NULL CHECK (length(shift) <= 16),
  from_day TEXT NOT NULL CHECK (length(from_day) <= 10),
  until_day TEXT NOT NULL CHECK (length(until_day) <= 10),
  publish_ahead_days INTEGER NOT NULL,
  plan TEXT NOT NULL,
  created_by INTEGER NOT NULL,
  created_at DATETIME NOT NULL,
  ended_at DATETIME NULL,
  FOREIGN KEY (organisation_id) REFERENCES organisations (id)
);
CREATE INDEX activity_series_ended ON activity_series (ended_at, until_day);
CREATE INDEX activity_series_to_organisation ON activity_series (organisation_id);

ALTER TABLE activities ADD COLUMN series_id INTEGER NULL;
ALTER TABLE activities ADD COLUMN series_day TEXT NULL CHECK (length(series_day) <= 10);
ALTER TABLE activities ADD COLUMN detached BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE activities ADD COLUMN show_names BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE activities ADD COLUMN screen_epoch INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX activities_series ON activities (series_id, series_day);

CREATE TABLE joint_branches (
  activity_id INTEGER NOT NULL,
  branch_id INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (length(state) <= 16),
  invited_by INTEGER NOT NULL,
  invited_at DATETIME NOT NULL,
  answered_by INTEGER NULL,
  answered_at DATETIME NULL,
  PRIMARY KEY (activity_id, branch_id),
  FOREIGN KEY (activity_id) REFERENCES activities (id),
  FOREIGN KEY (branch_id) REFERENCES organisations (id)
);
CREATE INDEX joint_branches_branch ON joint_branches (branch_id, state);

-- +goose Down
DROP TABLE joint_branches;
DROP INDEX activities_series;
ALTER TABLE activities DROP COLUMN series_id;
ALTER TABLE activities DROP COLUMN series_day;
ALTER TABLE activities DROP COLUMN detached;
ALTER TABLE activities DROP COLUMN show_names;
ALTER TABLE activities DROP COLUMN screen_epoch;
DROP TABLE activity_series;
