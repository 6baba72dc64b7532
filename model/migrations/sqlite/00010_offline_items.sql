-- +goose Up
CREATE TABLE offline_items (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  uploaded_by INTEGER NOT NULL,
  member_id INTEGER NULL,
  branch_id INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (length(kind) <= 16),
  code_digest TEXT NOT NULL CHECK (length(code_digest) <= 32),
  client_at DATETIME NOT NULL,
  issued_at DATETIME NULL,
  received_at DATETIME NOT NULL,
  doubts TEXT NOT NULL CHECK (length(doubts) <= 64),
  refusal TEXT NOT NULL CHECK (length(refusal) <= 32),
  fact_at DATETIME NULL,
  late BOOLEAN NOT NULL,
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (activity_id) REFERENCES activities (id)
);
CREATE UNIQUE INDEX offline_items_once ON offline_items (activity_id, uploaded_by, nonce);
CREATE INDEX offline_items_activity ON offline_items (activity_id, id);

-- +goose Down
DROP TABLE offline_items;
