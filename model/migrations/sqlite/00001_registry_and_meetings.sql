-- +goose Up
CREATE TABLE organisations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent_id INTEGER NULL,
  kind TEXT NOT NULL CHECK (length(kind) <= 32),
  unit_kind TEXT NOT NULL CHECK (length(unit_kind) <= 32),
  name TEXT NOT NULL CHECK (length(name) <= 100),
  created_at DATETIME NOT NULL,
  FOREIGN KEY (parent_id) REFERENCES organisations (id)
);
CREATE UNIQUE INDEX organisations_name ON organisations (parent_id, name);

CREATE TABLE members (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL CHECK (length(name) <= 50),
  status TEXT NOT NULL CHECK (length(status) <= 32),
  leader BOOLEAN NOT NULL,
  created_at DATETIME NOT NULL
);


CREATE TABLE member_phones (
  member_id INTEGER NOT NULL PRIMARY KEY,
  sealed TEXT NOT NULL CHECK (length(sealed) <= 255),
  blind_index TEXT NOT NULL CHECK (length(blind_index) <= 64),
  FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE UNIQUE INDEX member_phones_blind_index ON member_phones (blind_index);

CREATE TABLE memberships (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  member_id INTEGER NOT NULL,
  branch_id INTEGER NOT NULL,
  group_id INTEGER NULL,
  from_day TEXT NOT NULL CHECK (length(from_day) <= 10),
  until_day TEXT NOT NULL CHECK (length(until_day) <= 10),
  FOREIGN KEY (member_id) REFERENCES members (id),
  FOREIGN KEY (branch_id) REFERENCES organisations (id),
  FOREIGN KEY (group_id) REFERENCES organisations (id)
);
CREATE UNIQUE INDEX memberships_member ON memberships (member_id, until_day);
CREATE INDEX memberships_branch ON memberships (branch_id, until_day);
CREATE INDEX memberships_group ON memberships (group_id);

CREATE TABLE posts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  member_id INTEGER NOT NULL,
  organisation_id INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (length(kind) <= 32),
  from_day TEXT NOT NULL CHECK (length(from_day) <= 10),
  until_day TEXT NOT NULL CHECK (length(until_day) <= 10),
  FOREIGN KEY (member_id) REFERENCES members (id),
  FOREIGN KEY (organisation_id) REFERENCES organisations (id)
);
CREATE UNIQUE INDEX posts_holder ON posts (member_id, organisation_id, kind, until_day);
CREATE INDEX posts_organisation ON posts (organisation_id);

CREATE TABLE accounts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  openid TEXT NOT NULL CHECK (length(openid) <= 64),
  member_id INTEGER NULL,
  bound_at DATETIME NULL,
  created_at DATETIME NOT NULL,
  FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE UNIQUE INDEX accounts_openid ON accounts (openid);
CREATE UNIQUE INDEX accounts_member ON accounts (member_id);

CREATE TABLE sessions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  token_hash TEXT NOT NULL CHECK (length(token_hash) <= 64),
  account_id INTEGER NOT NULL,
  created_at DATETIME NOT NULL,
  seen_at DATETIME NOT NULL,
  expires_at DATETIME NOT NULL,
  revoked_at DATETIME NULL,
  changed_at DATETIME NULL,
  FOREIGN KEY (account_id) REFERENCES accounts (id)
);
CREATE UNIQUE INDEX sessions_token_hash ON sessions (token_hash);
CREATE INDEX sessions_account ON sessions (account_id);
CREATE INDEX sessions_changed ON sessions (changed_at);
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE invitations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  member_id INTEGER NOT NULL,
  code_hash TEXT NOT NULL CHECK (length(code_hash) <= 64),
  issued_by INTEGER NOT NULL,
  expires_at DATETIME NOT NULL,
  used_at DATETIME NULL,
  created_at DATETIME NOT NULL,
  FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE UNIQUE INDEX invitations_code_hash ON invitations (code_hash);
CREATE INDEX invitations_member ON invitations (member_id);

CREATE TABLE activities (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  organisation_id INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (length(kind) <= 32),
  title TEXT NOT NULL CHECK (length(title) <= 100),
  content TEXT NOT NULL,
  place TEXT NOT NULL CHECK (length(place) <= 100),
  latitude REAL NOT NULL,
  longitude REAL NOT NULL,
  radius INTEGER NOT NULL,
  starts_at DATETIME NOT NULL,
  ends_at DATETIME NOT NULL,
  opens_at DATETIME NOT NULL,
  late_at DATETIME NOT NULL,
  closes_at DATETIME NOT NULL,
  credit_hours REAL NOT NULL,
  audience TEXT NOT NULL CHECK (length(audience) <= 16),
  open_to_guests BOOLEAN NOT NULL,
  status TEXT NOT NULL CHECK (length(status) <= 16),
  cancel_reason TEXT NOT NULL CHECK (length(cancel_reason) <= 200),
  code_epoch INTEGER NOT NULL,
  version INTEGER NOT NULL,
  created_by INTEGER NOT NULL,
  published_at DATETIME NULL,
  closed_at DATETIME NULL,
  created_at DATETIME NOT NULL,
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (organisation_id) REFERENCES organisations (id)
);
CREATE UNIQUE INDEX activities_once ON activities (created_by, nonce);
CREATE INDEX activities_organisation ON activities (organisation_id, starts_at);
CREATE INDEX activities_starts ON activities (starts_at);

CREATE TABLE activity_targets (
  activity_id INTEGER NOT NULL,
  target_id INTEGER NOT NULL,
  PRIMARY KEY (activity_id, target_id),
  FOREIGN KEY (activity_id) REFERENCES activities (id)
);


CREATE TABLE roster_entries (
  activity_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  branch_id INTEGER NOT NULL,
  group_id INTEGER NULL,
  votes BOOLEAN NOT NULL,
  exempt TEXT NOT NULL CHECK (length(exempt) <= 32),
  exempt_note TEXT NOT NULL CHECK (length(exempt_note) <= 200),
  PRIMARY KEY (activity_id, member_id),
  FOREIGN KEY (activity_id) REFERENCES activities (id)
);
CREATE INDEX roster_entries_member ON roster_entries (member_id, activity_id);

CREATE TABLE leaves (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (length(status) <= 32),
  reason TEXT NOT NULL CHECK (length(reason) <= 200),
  recorded_by INTEGER NOT NULL,
  created_at DATETIME NOT NULL,
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (activity_id) REFERENCES activities (id)
);
CREATE UNIQUE INDEX leaves_once ON leaves (activity_id, member_id, nonce);

CREATE TABLE attendances (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  branch_id INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (length(status) <= 32),
  provenance TEXT NOT NULL CHECK (length(provenance) <= 16),
  at DATETIME NOT NULL,
  location TEXT NOT NULL CHECK (length(location) <= 16),
  guest BOOLEAN NOT NULL,
  recorded_by INTEGER NULL,
  reason TEXT NOT NULL CHECK (length(reason) <= 200),
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32)
);
CREATE UNIQUE INDEX attendances_once ON attendances (activity_id, member_id);
CREATE INDEX attendances_member ON attendances (member_id, at);

CREATE TABLE audit_entries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at DATETIME NOT NULL,
  account_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  action TEXT NOT NULL CHECK (length(action) <= 32),
  object TEXT NOT NULL CHECK (length(object) <= 64),
  result TEXT NOT NULL CHECK (length(result) <= 32),
  details TEXT NOT NULL
);
CREATE INDEX audit_entries_object ON audit_entries (object, id);
CREATE INDEX audit_entries_member ON audit_entries (member_id, id);

-- +goose Down
DROP TABLE audit_entries;
DROP TABLE attendances;
DROP TABLE leaves;
DROP TABLE roster_entries;
DROP TABLE activity_targets;
DROP TABLE activities;
DROP TABLE invitations;
DROP TABLE sessions;
DROP TABLE accounts;
DROP TABLE posts;
DROP TABLE memberships;
DROP TABLE member_phones;
DROP TABLE members;
DROP TABLE organisations;
