-- +goose Up
CREATE TABLE series_partners (
  series_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (series_id, branch_id),
  KEY series_partners_to_branch (branch_id),
  CONSTRAINT series_partners_to_series FOREIGN KEY (series_id) REFERENCES activity_series (id),
  CONSTRAINT series_partners_to_branch FOREIGN KEY (branch_id) REFERENCES organisations (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE series_partners;
