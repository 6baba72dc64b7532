-- +goose Up
CREATE TABLE leave_requests (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  branch_id INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (length(status) <= 32),
  note TEXT NOT NULL CHECK (length(note) <= 200),
  live BOOLEAN NULL,
  state TEXT NOT NULL CHECK (length(state) <= 16),
  asked_at DATETIME NOT NULL,
  decided_by INTEGER NULL,
  decided_at DATETIME NULL,
  answer TEXT NOT NULL CHECK (length(answer) <= 200),
  withdrawn_at DATETIME NULL,
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (activity_id) REFERENCES activities (id),
  FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE UNIQUE INDEX leave_requests_live ON leave_requests (activity_id, member_id, live);
CREATE UNIQUE INDEX leave_requests_once ON leave_requests (member_id, nonce);
CREATE INDEX leave_requests_state ON leave_requests (state, activity_id);

CREATE TABLE late_records (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  branch_id INTEGER NOT NULL,
  came_at DATETIME NULL,
  reason TEXT NOT NULL CHECK (length(reason) <= 200),
  live BOOLEAN NULL,
  state TEXT NOT NULL CHECK (length(state) <= 16),
  asked_by INTEGER NOT NULL,
  asked_at DATETIME NOT NULL,
  decided_by INTEGER NULL,
  decided_at DATETIME NULL,
  answer TEXT NOT NULL CHECK (length(answer) <= 200),
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (activity_id) REFERENCES activities (id),
  FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE UNIQUE INDEX late_records_live ON late_records (activity_id, member_id, live);
CREATE UNIQUE INDEX late_records_once ON late_records (asked_by, nonce);
CREATE INDEX late_records_state ON late_records (state, activity_id);
CREATE INDEX late_records_branch ON late_records (branch_id, asked_at);
CREATE INDEX late_records_to_member ON late_records (member_id);

-- +goose Down
DROP TABLE late_records;
DROP TABLE leave_requests;
