-- +goose Up
-- What each closed meeting counted for each person who should have come or came:
-- one short range by person and year. It follows from the attendances, so it can
-- be made again; no foreign keys, as there.
CREATE TABLE credit_entries (
  member_id BIGINT UNSIGNED NOT NULL,
  on_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  activity_id BIGINT UNSIGNED NOT NULL,
  came BOOLEAN NOT NULL,
  hours DOUBLE NOT NULL,
  PRIMARY KEY (member_id, on_day, activity_id),
  KEY credit_entries_activity (activity_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE credit_entries;
