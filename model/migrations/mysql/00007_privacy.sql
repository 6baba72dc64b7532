-- +goose Up
ALTER TABLE audit_entries
  ADD COLUMN address VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '';

-- The chain has an order of its own, because ids commit out of order. No
-- foreign key: a seal outlives an entry that somebody takes away, and tells.
CREATE TABLE audit_seals (
  seq BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  entry_id BIGINT UNSIGNED NOT NULL,
  at DATETIME(3) NOT NULL,
  hash VARCHAR(43) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY audit_seals_entry (entry_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Where the chain begins after old entries went.
CREATE TABLE audit_cuts (
  seq BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  at DATETIME(3) NOT NULL,
  hash VARCHAR(43) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  mac VARCHAR(43) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE members
  ADD COLUMN erased_at DATETIME(3) NULL;

CREATE TABLE complaints (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  member_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  text VARCHAR(500) NOT NULL,
  anonymous BOOLEAN NOT NULL,
  activity_id BIGINT UNSIGNED NULL,
  created_at DATETIME(3) NOT NULL,
  answer VARCHAR(500) NOT NULL,
  answered_by BIGINT UNSIGNED NULL,
  answered_at DATETIME(3) NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY complaints_once (member_id, nonce),
  KEY complaints_branch (branch_id, answered_at),
  CONSTRAINT complaints_to_member FOREIGN KEY (member_id) REFERENCES members (id),
  CONSTRAINT complaints_to_branch FOREIGN KEY (branch_id) REFERENCES organisations (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE complaints;
ALTER TABLE members DROP COLUMN erased_at;
DROP TABLE audit_cuts, audit_seals;
ALTER TABLE audit_entries DROP COLUMN address;
