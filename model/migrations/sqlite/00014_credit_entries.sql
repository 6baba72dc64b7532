-- +goose Up
CREATE TABLE credit_entries (
  member_id INTEGER NOT NULL,
  on_day TEXT NOT NULL CHECK (length(on_day) <= 10),
  activity_id INTEGER NOT NULL,
  came BOOLEAN NOT NULL,
  hours REAL NOT NULL,
  PRIMARY KEY (member_id, on_day, activity_id)
) WITHOUT ROWID;
CREATE INDEX credit_entries_activity ON credit_entries (activity_id);

-- +goose Down
DROP TABLE credit_entries;
