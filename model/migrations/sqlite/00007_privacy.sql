-- +goose Up
ALTER TABLE audit_entries ADD COLUMN address TEXT NOT NULL DEFAULT '' CHECK (length(address) <= 64);

-- The chain has an order of its own, because ids commit out of order. No
-- foreign key: a seal outlives an entry that somebody takes away, and tells.
CREATE TABLE audit_seals (
  seq INTEGER NOT NULL PRIMARY KEY,
  entry_id INTEGER NOT NULL,
  at DATETIME NOT NULL,
  hash TEXT NOT NULL CHECK (length(hash) <= 43)
);
CREATE UNIQUE INDEX audit_seals_entry ON audit_seals (entry_id);

-- Where the chain begins after old entries went.
CREATE TABLE audit_cuts (
  seq INTEGER NOT NULL PRIMARY KEY,
  at DATETIME NOT NULL,
  hash TEXT NOT NULL CHECK (length(hash) <= 43),
  mac TEXT NOT NULL CHECK (length(mac) <= 43)
);

ALTER TABLE members ADD COLUMN erased_at DATETIME NULL;

CREATE TABLE complaints (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  member_id INTEGER NOT NULL REFERENCES members (id),
  branch_id INTEGER NOT NULL REFERENCES organisations (id),
  kind TEXT NOT NULL CHECK (length(kind) <= 16),
  text TEXT NOT NULL CHECK (length(text) <= 500),
  anonymous BOOLEAN NOT NULL,
  activity_id INTEGER NULL,
  created_at DATETIME NOT NULL,
  answer TEXT NOT NULL CHECK (length(answer) <= 500),
  answered_by INTEGER NULL,
  answered_at DATETIME NULL,
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32)
);
CREATE UNIQUE INDEX complaints_once ON complaints (member_id, nonce);
CREATE INDEX complaints_branch ON complaints (branch_id, answered_at);

-- +goose Down
DROP TABLE complaints;
ALTER TABLE members DROP COLUMN erased_at;
DROP TABLE audit_cuts;
DROP TABLE audit_seals;
ALTER TABLE audit_entries DROP COLUMN address;
