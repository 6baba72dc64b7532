-- +goose Up
CREATE TABLE community_registrations (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  community_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NULL,
  member_id BIGINT UNSIGNED NULL,
  from_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  until_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  confirmed_by BIGINT UNSIGNED NULL,
  confirmed_at DATETIME(3) NULL,
  created_by BIGINT UNSIGNED NOT NULL,
  created_at DATETIME(3) NOT NULL,
  UNIQUE KEY community_registrations_branch (branch_id, until_day),
  UNIQUE KEY community_registrations_member (member_id, until_day),
  KEY community_registrations_community (community_id, until_day),
  CONSTRAINT community_registrations_to_community FOREIGN KEY (community_id) REFERENCES organisations (id),
  CONSTRAINT community_registrations_to_branch FOREIGN KEY (branch_id) REFERENCES organisations (id),
  CONSTRAINT community_registrations_to_member FOREIGN KEY (member_id) REFERENCES members (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE service_days (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  community_id BIGINT UNSIGNED NOT NULL,
  calendar_id BIGINT UNSIGNED NULL,
  calendar_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NULL,
  title VARCHAR(100) NOT NULL,
  content TEXT NOT NULL,
  place VARCHAR(100) NOT NULL,
  contact VARCHAR(100) NOT NULL,
  starts_at DATETIME(3) NOT NULL,
  ends_at DATETIME(3) NOT NULL,
  sign_up_until DATETIME(3) NOT NULL,
  cancel_until DATETIME(3) NOT NULL,
  minimum_minutes INT NOT NULL,
  registered_only BOOLEAN NOT NULL,
  refuse_overlap BOOLEAN NOT NULL,
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
  UNIQUE KEY service_days_once (created_by, nonce),
  UNIQUE KEY service_days_calendar (calendar_id, calendar_day),
  KEY service_days_community (community_id, starts_at),
  CONSTRAINT service_days_to_community FOREIGN KEY (community_id) REFERENCES organisations (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE service_slots (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  service_day_id BIGINT UNSIGNED NOT NULL,
  community_id BIGINT UNSIGNED NOT NULL,
  name VARCHAR(50) NOT NULL,
  skill VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  starts_at DATETIME(3) NOT NULL,
  ends_at DATETIME(3) NOT NULL,
  open BOOLEAN NOT NULL,
  capacity INT NOT NULL,
  unit_cap INT NOT NULL,
  taken INT NOT NULL,
  waiting INT NOT NULL,
  KEY service_slots_day (service_day_id),
  KEY service_slots_starts (starts_at),
  KEY service_slots_community (community_id, starts_at),
  KEY service_slots_skill (skill, starts_at),
  KEY service_slots_waiting (waiting, starts_at),
  CONSTRAINT service_slots_to_day FOREIGN KEY (service_day_id) REFERENCES service_days (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row for each time a member asks for a slot. Live is true while the row
-- holds a seat or a place in the line and NULL after that, so the first key
-- lets a member be in a slot once and come back after leaving.
CREATE TABLE slot_sign_ups (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  slot_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  live BOOLEAN NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  at DATETIME(3) NOT NULL,
  offer_ends_at DATETIME(3) NULL,
  ended_at DATETIME(3) NULL,
  reason VARCHAR(200) NOT NULL,
  signed_up_by BIGINT UNSIGNED NOT NULL,
  arrived_at DATETIME(3) NULL,
  arrived_by VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  left_at DATETIME(3) NULL,
  left_by VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  no_show BOOLEAN NOT NULL,
  absence_reason VARCHAR(200) NOT NULL,
  settled_at DATETIME(3) NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY slot_sign_ups_live (slot_id, member_id, live),
  UNIQUE KEY slot_sign_ups_once (member_id, nonce),
  KEY slot_sign_ups_line (slot_id, state, at),
  KEY slot_sign_ups_offers (state, offer_ends_at),
  KEY slot_sign_ups_member (member_id, live),
  KEY slot_sign_ups_no_show (no_show, branch_id),
  CONSTRAINT slot_sign_ups_to_slot FOREIGN KEY (slot_id) REFERENCES service_slots (id),
  CONSTRAINT slot_sign_ups_to_member FOREIGN KEY (member_id) REFERENCES members (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE service_hours (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  member_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  community_id BIGINT UNSIGNED NOT NULL,
  sign_up_id BIGINT UNSIGNED NULL,
  visit_id BIGINT UNSIGNED NULL,
  day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  provenance VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  minutes INT NOT NULL,
  reason VARCHAR(200) NOT NULL,
  entered_by BIGINT UNSIGNED NOT NULL,
  at DATETIME(3) NOT NULL,
  import_key VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
  UNIQUE KEY service_hours_import (import_key),
  UNIQUE KEY service_hours_visit (visit_id),
  KEY service_hours_sign_up (sign_up_id),
  KEY service_hours_member (member_id, day),
  KEY service_hours_unit (community_id, branch_id, day),
  CONSTRAINT service_hours_to_member FOREIGN KEY (member_id) REFERENCES members (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE hour_objections (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  sign_up_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  community_id BIGINT UNSIGNED NOT NULL,
  reason VARCHAR(200) NOT NULL,
  created_at DATETIME(3) NOT NULL,
  answer VARCHAR(200) NOT NULL,
  answered_by BIGINT UNSIGNED NULL,
  answered_at DATETIME(3) NULL,
  UNIQUE KEY hour_objections_once (sign_up_id),
  KEY hour_objections_community (community_id, answered_at),
  CONSTRAINT hour_objections_to_sign_up FOREIGN KEY (sign_up_id) REFERENCES slot_sign_ups (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE service_calendars (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  community_id BIGINT UNSIGNED NOT NULL,
  pattern_id BIGINT UNSIGNED NOT NULL,
  rule VARCHAR(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  shift VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  from_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  until_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_by BIGINT UNSIGNED NOT NULL,
  created_at DATETIME(3) NOT NULL,
  UNIQUE KEY service_calendars_pattern (pattern_id),
  KEY service_calendars_community (community_id),
  KEY service_calendars_until (until_day),
  CONSTRAINT service_calendars_to_pattern FOREIGN KEY (pattern_id) REFERENCES service_days (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE calendar_exceptions (
  calendar_id BIGINT UNSIGNED NOT NULL,
  day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  moved_to CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  PRIMARY KEY (calendar_id, day),
  CONSTRAINT calendar_exceptions_to_calendar FOREIGN KEY (calendar_id) REFERENCES service_calendars (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE calendar_days (
  day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  working BOOLEAN NOT NULL,
  name VARCHAR(50) NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE feedback_slips (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  community_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  quarter CHAR(6) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  comment VARCHAR(500) NOT NULL,
  confirmed_by BIGINT UNSIGNED NOT NULL,
  confirmed_at DATETIME(3) NOT NULL,
  UNIQUE KEY feedback_slips_once (community_id, branch_id, quarter),
  KEY feedback_slips_branch (branch_id, quarter),
  CONSTRAINT feedback_slips_to_community FOREIGN KEY (community_id) REFERENCES organisations (id),
  CONSTRAINT feedback_slips_to_branch FOREIGN KEY (branch_id) REFERENCES organisations (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE household_pairings (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  member_id BIGINT UNSIGNED NOT NULL,
  sealed VARCHAR(2000) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  from_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  until_day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at DATETIME(3) NOT NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY household_pairings_once (member_id, nonce),
  CONSTRAINT household_pairings_to_member FOREIGN KEY (member_id) REFERENCES members (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE household_visits (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  pairing_id BIGINT UNSIGNED NOT NULL,
  day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  minutes INT NOT NULL,
  sealed VARCHAR(2000) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  confirmed_by BIGINT UNSIGNED NULL,
  confirmed_at DATETIME(3) NULL,
  created_at DATETIME(3) NOT NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY household_visits_once (pairing_id, nonce),
  KEY household_visits_day (pairing_id, day),
  CONSTRAINT household_visits_to_pairing FOREIGN KEY (pairing_id) REFERENCES household_pairings (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE household_visits, household_pairings, feedback_slips, calendar_days, calendar_exceptions, service_calendars, hour_objections, service_hours, slot_sign_ups, service_slots, service_days, community_registrations;
