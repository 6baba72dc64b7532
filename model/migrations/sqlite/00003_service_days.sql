-- +goose Up
CREATE TABLE community_registrations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  community_id INTEGER NOT NULL,
  branch_id INTEGER NULL,
  member_id INTEGER NULL,
  from_day TEXT NOT NULL CHECK (length(from_day) <= 10),
  until_day TEXT NOT NULL CHECK (length(until_day) <= 10),
  confirmed_by INTEGER NULL,
  confirmed_at DATETIME NULL,
  created_by INTEGER NOT NULL,
  created_at DATETIME NOT NULL,
  FOREIGN KEY (community_id) REFERENCES organisations (id),
  FOREIGN KEY (branch_id) REFERENCES organisations (id),
  FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE UNIQUE INDEX community_registrations_branch ON community_registrations (branch_id, until_day);
CREATE UNIQUE INDEX community_registrations_member ON community_registrations (member_id, until_day);
CREATE INDEX community_registrations_community ON community_registrations (community_id, until_day);

CREATE TABLE service_days (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  community_id INTEGER NOT NULL,
  calendar_id INTEGER NULL,
  calendar_day TEXT NULL CHECK (length(calendar_day) <= 10),
  title TEXT NOT NULL CHECK (length(title) <= 100),
  content TEXT NOT NULL,
  place TEXT NOT NULL CHECK (length(place) <= 100),
  contact TEXT NOT NULL CHECK (length(contact) <= 100),
  starts_at DATETIME NOT NULL,
  ends_at DATETIME NOT NULL,
  sign_up_until DATETIME NOT NULL,
  cancel_until DATETIME NOT NULL,
  minimum_minutes INTEGER NOT NULL,
  registered_only BOOLEAN NOT NULL,
  refuse_overlap BOOLEAN NOT NULL,
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
  FOREIGN KEY (community_id) REFERENCES organisations (id)
);
CREATE UNIQUE INDEX service_days_once ON service_days (created_by, nonce);
CREATE UNIQUE INDEX service_days_calendar ON service_days (calendar_id, calendar_day);
CREATE INDEX service_days_community ON service_days (community_id, starts_at);

CREATE TABLE service_slots (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  service_day_id INTEGER NOT NULL,
  community_id INTEGER NOT NULL,
  name TEXT NOT NULL CHECK (length(name) <= 50),
  skill TEXT NOT NULL CHECK (length(skill) <= 16),
  starts_at DATETIME NOT NULL,
  ends_at DATETIME NOT NULL,
  open BOOLEAN NOT NULL,
  capacity INTEGER NOT NULL,
  unit_cap INTEGER NOT NULL,
  taken INTEGER NOT NULL,
  waiting INTEGER NOT NULL,
  FOREIGN KEY (service_day_id) REFERENCES service_days (id)
);
CREATE INDEX service_slots_day ON service_slots (service_day_id);
CREATE INDEX service_slots_starts ON service_slots (starts_at);
CREATE INDEX service_slots_community ON service_slots (community_id, starts_at);
CREATE INDEX service_slots_skill ON service_slots (skill, starts_at);
CREATE INDEX service_slots_waiting ON service_slots (waiting, starts_at);

-- One row for each time a member asks for a slot. Live is true while the row
-- holds a seat or a place in the line and NULL after that, so the first key
-- lets a member be in a slot once and come back after leaving.
CREATE TABLE slot_sign_ups (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  slot_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  branch_id INTEGER NOT NULL,
  live BOOLEAN NULL,
  state TEXT NOT NULL CHECK (length(state) <= 16),
  at DATETIME NOT NULL,
  offer_ends_at DATETIME NULL,
  ended_at DATETIME NULL,
  reason TEXT NOT NULL CHECK (length(reason) <= 200),
  signed_up_by INTEGER NOT NULL,
  arrived_at DATETIME NULL,
  arrived_by TEXT NOT NULL CHECK (length(arrived_by) <= 16),
  left_at DATETIME NULL,
  left_by TEXT NOT NULL CHECK (length(left_by) <= 16),
  no_show BOOLEAN NOT NULL,
  absence_reason TEXT NOT NULL CHECK (length(absence_reason) <= 200),
  settled_at DATETIME NULL,
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (slot_id) REFERENCES service_slots (id),
  FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE UNIQUE INDEX slot_sign_ups_live ON slot_sign_ups (slot_id, member_id, live);
CREATE UNIQUE INDEX slot_sign_ups_once ON slot_sign_ups (member_id, nonce);
CREATE INDEX slot_sign_ups_line ON slot_sign_ups (slot_id, state, at);
CREATE INDEX slot_sign_ups_offers ON slot_sign_ups (state, offer_ends_at);
CREATE INDEX slot_sign_ups_member ON slot_sign_ups (member_id, live);
CREATE INDEX slot_sign_ups_no_show ON slot_sign_ups (no_show, branch_id);

CREATE TABLE service_hours (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  member_id INTEGER NOT NULL,
  branch_id INTEGER NOT NULL,
  community_id INTEGER NOT NULL,
  sign_up_id INTEGER NULL,
  visit_id INTEGER NULL,
  day TEXT NOT NULL CHECK (length(day) <= 10),
  provenance TEXT NOT NULL CHECK (length(provenance) <= 16),
  minutes INTEGER NOT NULL,
  reason TEXT NOT NULL CHECK (length(reason) <= 200),
  entered_by INTEGER NOT NULL,
  at DATETIME NOT NULL,
  import_key TEXT NULL CHECK (length(import_key) <= 32),
  FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE UNIQUE INDEX service_hours_import ON service_hours (import_key);
CREATE UNIQUE INDEX service_hours_visit ON service_hours (visit_id);
CREATE INDEX service_hours_sign_up ON service_hours (sign_up_id);
CREATE INDEX service_hours_member ON service_hours (member_id, day);
CREATE INDEX service_hours_unit ON service_hours (community_id, branch_id, day);

CREATE TABLE hour_objections (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  sign_up_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  community_id INTEGER NOT NULL,
  reason TEXT NOT NULL CHECK (length(reason) <= 200),
  created_at DATETIME NOT NULL,
  answer TEXT NOT NULL CHECK (length(answer) <= 200),
  answered_by INTEGER NULL,
  answered_at DATETIME NULL,
  FOREIGN KEY (sign_up_id) REFERENCES slot_sign_ups (id)
);
CREATE UNIQUE INDEX hour_objections_once ON hour_objections (sign_up_id);
CREATE INDEX hour_objections_community ON hour_objections (community_id, answered_at);

CREATE TABLE service_calendars (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  community_id INTEGER NOT NULL,
  pattern_id INTEGER NOT NULL,
  rule TEXT NOT NULL CHECK (length(rule) <= 200),
  shift TEXT NOT NULL CHECK (length(shift) <= 16),
  from_day TEXT NOT NULL CHECK (length(from_day) <= 10),
  until_day TEXT NOT NULL CHECK (length(until_day) <= 10),
  created_by INTEGER NOT NULL,
  created_at DATETIME NOT NULL,
  FOREIGN KEY (pattern_id) REFERENCES service_days (id)
);
CREATE UNIQUE INDEX service_calendars_pattern ON service_calendars (pattern_id);
CREATE INDEX service_calendars_community ON service_calendars (community_id);
CREATE INDEX service_calendars_until ON service_calendars (until_day);

CREATE TABLE calendar_exceptions (
  calendar_id INTEGER NOT NULL,
  day TEXT NOT NULL CHECK (length(day) <= 10),
  moved_to TEXT NOT NULL CHECK (length(moved_to) <= 10),
  PRIMARY KEY (calendar_id, day),
  FOREIGN KEY (calendar_id) REFERENCES service_calendars (id)
);

CREATE TABLE calendar_days (
  day TEXT NOT NULL PRIMARY KEY CHECK (length(day) <= 10),
  working BOOLEAN NOT NULL,
  name TEXT NOT NULL CHECK (length(name) <= 50)
);

CREATE TABLE feedback_slips (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  community_id INTEGER NOT NULL,
  branch_id INTEGER NOT NULL,
  quarter TEXT NOT NULL CHECK (length(quarter) <= 6),
  comment TEXT NOT NULL CHECK (length(comment) <= 500),
  confirmed_by INTEGER NOT NULL,
  confirmed_at DATETIME NOT NULL,
  FOREIGN KEY (community_id) REFERENCES organisations (id),
  FOREIGN KEY (branch_id) REFERENCES organisations (id)
);
CREATE UNIQUE INDEX feedback_slips_once ON feedback_slips (community_id, branch_id, quarter);
CREATE INDEX feedback_slips_branch ON feedback_slips (branch_id, quarter);

CREATE TABLE household_pairings (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  member_id INTEGER NOT NULL,
  sealed TEXT NOT NULL CHECK (length(sealed) <= 2000),
  from_day TEXT NOT NULL CHECK (length(from_day) <= 10),
  until_day TEXT NOT NULL CHECK (length(until_day) <= 10),
  created_at DATETIME NOT NULL,
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE UNIQUE INDEX household_pairings_once ON household_pairings (member_id, nonce);

CREATE TABLE household_visits (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  pairing_id INTEGER NOT NULL,
  day TEXT NOT NULL CHECK (length(day) <= 10),
  minutes INTEGER NOT NULL,
  sealed TEXT NOT NULL CHECK (length(sealed) <= 2000),
  confirmed_by INTEGER NULL,
  confirmed_at DATETIME NULL,
  created_at DATETIME NOT NULL,
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (pairing_id) REFERENCES household_pairings (id)
);
CREATE UNIQUE INDEX household_visits_once ON household_visits (pairing_id, nonce);
CREATE INDEX household_visits_day ON household_visits (pairing_id, day);

-- +goose Down
DROP TABLE household_visits;
DROP TABLE household_pairings;
DROP TABLE feedback_slips;
DROP TABLE calendar_days;
DROP TABLE calendar_exceptions;
DROP TABLE service_calendars;
DROP TABLE hour_objections;
DROP TABLE service_hours;
DROP TABLE slot_sign_ups;
DROP TABLE service_slots;
DROP TABLE service_days;
DROP TABLE community_registrations;
