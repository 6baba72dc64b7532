-- +goose Up
CREATE TABLE organisations (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  parent_id BIGINT UNSIGNED NULL,
  kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  unit_kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name VARCHAR(100) NOT NULL,
  created_at DATETIME(3) NOT NULL,
  UNIQUE KEY organisations_name (parent_id, name),
  CONSTRAINT organisations_parent FOREIGN KEY (parent_id) REFERENCES organisations (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE members (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(50) NOT NULL,
  status VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  leader BOOLEAN NOT NULL,
  created_at DATETIME(3) NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE member_phones (
  member_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  sealed VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  blind_index VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY member_phones_blind_index (blind_index),
  CONSTRAINT member_phones_member FOREIGN KEY (member_id) REFERENCES members (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE memberships (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  member_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  group_id BIGINT UNSIGNED NULL,
  from_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  until_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY memberships_member (member_id, until_day),
  KEY memberships_branch (branch_id, until_day),
  KEY memberships_group (group_id),
  CONSTRAINT memberships_to_member FOREIGN KEY (member_id) REFERENCES members (id),
  CONSTRAINT memberships_to_branch FOREIGN KEY (branch_id) REFERENCES organisations (id),
  CONSTRAINT memberships_to_group FOREIGN KEY (group_id) REFERENCES organisations (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE posts (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  member_id BIGINT UNSIGNED NOT NULL,
  organisation_id BIGINT UNSIGNED NOT NULL,
  kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  from_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  until_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY posts_holder (member_id, organisation_id, kind, until_day),
  KEY posts_organisation (organisation_id),
  CONSTRAINT posts_to_member FOREIGN KEY (member_id) REFERENCES members (id),
  CONSTRAINT posts_to_organisation FOREIGN KEY (organisation_id) REFERENCES organisations (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE accounts (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  openid VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  member_id BIGINT UNSIGNED NULL,
  bound_at DATETIME(3) NULL,
  created_at DATETIME(3) NOT NULL,
  UNIQUE KEY accounts_openid (openid),
  UNIQUE KEY accounts_member (member_id),
  CONSTRAINT accounts_to_member FOREIGN KEY (member_id) REFERENCES members (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sessions (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  token_hash VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  account_id BIGINT UNSIGNED NOT NULL,
  created_at DATETIME(3) NOT NULL,
  seen_at DATETIME(3) NOT NULL,
  expires_at DATETIME(3) NOT NULL,
  revoked_at DATETIME(3) NULL,
  changed_at DATETIME(3) NULL,
  UNIQUE KEY sessions_token_hash (token_hash),
  KEY sessions_account (account_id),
  KEY sessions_changed (changed_at),
  KEY sessions_expires (expires_at),
  CONSTRAINT sessions_to_account FOREIGN KEY (account_id) REFERENCES accounts (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE invitations (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  member_id BIGINT UNSIGNED NOT NULL,
  code_hash VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  issued_by BIGINT UNSIGNED NOT NULL,
  expires_at DATETIME(3) NOT NULL,
  used_at DATETIME(3) NULL,
  created_at DATETIME(3) NOT NULL,
  UNIQUE KEY invitations_code_hash (code_hash),
  KEY invitations_member (member_id),
  CONSTRAINT invitations_to_member FOREIGN KEY (member_id) REFERENCES members (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE activities (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  organisation_id BIGINT UNSIGNED NOT NULL,
  kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  title VARCHAR(100) NOT NULL,
  content TEXT NOT NULL,
  place VARCHAR(100) NOT NULL,
  latitude DOUBLE NOT NULL,
  longitude DOUBLE NOT NULL,
  radius INT NOT NULL,
  starts_at DATETIME(3) NOT NULL,
  ends_at DATETIME(3) NOT NULL,
  opens_at DATETIME(3) NOT NULL,
  late_at DATETIME(3) NOT NULL,
  closes_at DATETIME(3) NOT NULL,
  credit_hours DOUBLE NOT NULL,
  audience VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  open_to_guests BOOLEAN NOT NULL,
  status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  cancel_reason VARCHAR(200) NOT NULL,
  code_epoch INT UNSIGNED NOT NULL,
  version INT NOT NULL,
  created_by BIGINT UNSIGNED NOT NULL,
  published_at DATETIME(3) NULL,
  closed_at DATETIME(3) NULL,
  created_at DATETIME(3) NOT NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY activities_once (created_by, nonce),
  KEY activities_organisation (organisation_id, starts_at),
  KEY activities_starts (starts_at),
  CONSTRAINT activities_to_organisation FOREIGN KEY (organisation_id) REFERENCES organisations (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE activity_targets (
  activity_id BIGINT UNSIGNED NOT NULL,
  target_id BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (activity_id, target_id),
  CONSTRAINT activity_targets_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE roster_entries (
  activity_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  group_id BIGINT UNSIGNED NULL,
  votes BOOLEAN NOT NULL,
  exempt VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  exempt_note VARCHAR(200) NOT NULL,
  PRIMARY KEY (activity_id, member_id),
  KEY roster_entries_member (member_id, activity_id),
  CONSTRAINT roster_entries_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE leaves (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  status VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  reason VARCHAR(200) NOT NULL,
  recorded_by BIGINT UNSIGNED NOT NULL,
  created_at DATETIME(3) NOT NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY leaves_once (activity_id, member_id, nonce),
  CONSTRAINT leaves_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- No foreign keys here: a check-in has read its activity and roster already, and
-- the shared lock on the activity's row would make a burst of scans queue.
CREATE TABLE attendances (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  status VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  provenance VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  at DATETIME(3) NOT NULL,
  location VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  guest BOOLEAN NOT NULL,
  recorded_by BIGINT UNSIGNED NULL,
  reason VARCHAR(200) NOT NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY attendances_once (activity_id, member_id),
  KEY attendances_member (member_id, at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE audit_entries (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  at DATETIME(3) NOT NULL,
  account_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  action VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  object VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  result VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  details TEXT NOT NULL,
  KEY audit_entries_object (object, id),
  KEY audit_entries_member (member_id, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE audit_entries, attendances, leaves, roster_entries, activity_targets, activities, invitations, sessions, accounts, posts, memberships, member_phones, members, organisations;
