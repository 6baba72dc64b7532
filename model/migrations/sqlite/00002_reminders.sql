-- +goose Up
CREATE TABLE consents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  template_id TEXT NOT NULL CHECK (length(template_id) <= 64),
  activity_id INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (length(state) <= 16),
  accepted_at DATETIME NOT NULL,
  event_key TEXT NULL CHECK (length(event_key) <= 64),
  nonce TEXT NULL CHECK (length(nonce) <= 64),
  reminder_id INTEGER NOT NULL,
  FOREIGN KEY (account_id) REFERENCES accounts (id)
);
CREATE UNIQUE INDEX consents_event ON consents (event_key);
CREATE UNIQUE INDEX consents_report ON consents (account_id, template_id, nonce);
CREATE INDEX consents_state ON consents (account_id, template_id, state, accepted_at);

CREATE TABLE consent_ends (
  account_id INTEGER NOT NULL,
  template_id TEXT NOT NULL CHECK (length(template_id) <= 64),
  at DATETIME NOT NULL,
  PRIMARY KEY (account_id, template_id),
  FOREIGN KEY (account_id) REFERENCES accounts (id)
);


CREATE TABLE reminders (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  sign_up_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (length(kind) <= 32),
  purpose TEXT NOT NULL CHECK (length(purpose) <= 32),
  due_at DATETIME NOT NULL,
  not_after DATETIME NOT NULL,
  starts_at DATETIME NOT NULL,
  state TEXT NOT NULL CHECK (length(state) <= 16),
  reason TEXT NOT NULL CHECK (length(reason) <= 32),
  next_at DATETIME NOT NULL,
  tries INTEGER NOT NULL,
  doubts INTEGER NOT NULL,
  token TEXT NOT NULL CHECK (length(token) <= 32),
  lease_until DATETIME NOT NULL,
  account_id INTEGER NOT NULL,
  template_id TEXT NOT NULL CHECK (length(template_id) <= 64),
  consent_id INTEGER NOT NULL,
  called_at DATETIME NULL,
  msg_id TEXT NOT NULL CHECK (length(msg_id) <= 32),
  created_at DATETIME NOT NULL,
  settled_at DATETIME NULL
);
CREATE UNIQUE INDEX reminders_once ON reminders (activity_id, sign_up_id, member_id, kind, due_at);
CREATE INDEX reminders_next ON reminders (state, purpose, next_at);
CREATE INDEX reminders_token ON reminders (token);
CREATE INDEX reminders_member ON reminders (member_id, state);
CREATE INDEX reminders_account ON reminders (account_id, called_at);
CREATE INDEX reminders_msg ON reminders (msg_id);

CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  template_id TEXT NOT NULL CHECK (length(template_id) <= 64),
  msg_id TEXT NOT NULL CHECK (length(msg_id) <= 32),
  at DATETIME NOT NULL,
  failed BOOLEAN NOT NULL,
  reminder_id INTEGER NOT NULL
);
CREATE UNIQUE INDEX deliveries_msg ON deliveries (msg_id);
CREATE INDEX deliveries_account ON deliveries (account_id, template_id, at);

CREATE TABLE send_decisions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  reminder_id INTEGER NOT NULL,
  at DATETIME NOT NULL,
  state TEXT NOT NULL CHECK (length(state) <= 16),
  reason TEXT NOT NULL CHECK (length(reason) <= 32)
);
CREATE INDEX send_decisions_reminder ON send_decisions (reminder_id, id);

-- +goose Down
DROP TABLE send_decisions;
DROP TABLE deliveries;
DROP TABLE reminders;
DROP TABLE consent_ends;
DROP TABLE consents;
