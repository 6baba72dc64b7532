-- +goose Up
CREATE TABLE activity_series (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  organisation_id BIGINT UNSIGNED NOT NULL,
  rule VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  shift VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  from_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  until_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  publish_ahead_days INT NOT NULL,
  plan TEXT NOT NULL,
  created_by BIGINT UNSIGNED NOT NULL,
  created_at DATETIME(3) NOT NULL,
  ended_at DATETIME(3) NULL,
  KEY activity_series_ended (ended_at, until_day),
  CONSTRAINT activity_series_to_organisation FOREIGN KEY (organisation_id) REFERENCES organisations (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- No foreign key to the series: every new occurrence would queue for its row.
ALTER TABLE activities
  ADD COLUMN series_id BIGINT UNSIGNED NULL,
  ADD COLUMN series_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NULL,
  ADD COLUMN detached BOOLEAN NOT NULL DEFAULT FALSE,
  ADD COLUMN show_names BOOLEAN NOT NULL DEFAULT FALSE,
  ADD COLUMN screen_epoch INT UNSIGNED NOT NULL DEFAULT 0,
  ADD UNIQUE KEY activities_series (series_id, series_day);

CREATE TABLE joint_branches (
  activity_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  invited_by BIGINT UNSIGNED NOT NULL,
  invited_at DATETIME(3) NOT NULL,
  answered_by BIGINT UNSIGNED NULL,
  answered_at DATETIME(3) NULL,
  PRIMARY KEY (activity_id, branch_id),
  KEY joint_branches_branch (branch_id, state),
  CONSTRAINT joint_branches_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id),
  CONSTRAINT joint_branches_to_branch FOREIGN KEY (branch_id) REFERENCES organisations (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE joint_branches;
ALTER TABLE activities DROP KEY activities_series, DROP COLUMN series_id, DROP COLUMN series_day, DROP COLUMN detached, DROP COLUMN show_names, DROP COLUMN screen_epoch;
DROP TABLE activity_series;
