-- +goose Up
CREATE TABLE series_partners (
  series_id INTEGER NOT NULL,
  branch_id INTEGER NOT NULL,
  PRIMARY KEY (series_id, branch_id),
  FOREIGN KEY (series_id) REFERENCES activity_series (id),
  FOREIGN KEY (branch_id) REFERENCES organisations (id)
) WITHOUT ROWID;
CREATE INDEX series_partners_to_branch ON series_partners (branch_id);

-- +goose Down
DROP TABLE series_partners;
