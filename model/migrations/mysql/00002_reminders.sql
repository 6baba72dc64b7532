-- +goose Up
CREATE TABLE consents (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  account_id BIGINT UNSIGNED NOT NULL,
  template_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  activity_id BIGINT UNSIGNED NOT NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  accepted_at DATETIME(3) NOT NULL,
  event_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  reminder_id BIGINT UNSIGNED NOT NULL,
  UNIQUE KEY consents_event (event_key),
  UNIQUE KEY consents_report (account_id, template_id, nonce),
  KEY consents_state (account_id, template_id, state, accepted_at),
  CONSTRAINT consents_to_account FOREIGN KEY (account_id) REFERENCES accounts (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE consent_ends (
  account_id BIGINT UNSIGNED NOT NULL,
  template_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  at DATETIME(3) NOT NULL,
  PRIMARY KEY (account_id, template_id),
  CONSTRAINT consent_ends_to_account FOREIGN KEY (account_id) REFERENCES accounts (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE reminders (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  sign_up_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  purpose VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  due_at DATETIME(3) NOT NULL,
  not_after DATETIME(3) NOT NULL,
  starts_at DATETIME(3) NOT NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  next_at DATETIME(3) NOT NULL,
  tries INT NOT NULL,
  doubts INT NOT NULL,
  token VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  lease_until DATETIME(3) NOT NULL,
  account_id BIGINT UNSIGNED NOT NULL,
  template_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  consent_id BIGINT UNSIGNED NOT NULL,
  called_at DATETIME(3) NULL,
  msg_id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at DATETIME(3) NOT NULL,
  settled_at DATETIME(3) NULL,
  UNIQUE KEY reminders_once (activity_id, sign_up_id, member_id, kind, due_at),
  KEY reminders_next (state, purpose, next_at),
  KEY reminders_token (token),
  KEY reminders_member (member_id, state),
  KEY reminders_account (account_id, called_at),
  KEY reminders_msg (msg_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE deliveries (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  account_id BIGINT UNSIGNED NOT NULL,
  template_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  msg_id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  at DATETIME(3) NOT NULL,
  failed BOOLEAN NOT NULL,
  reminder_id BIGINT UNSIGNED NOT NULL,
  UNIQUE KEY deliveries_msg (msg_id),
  KEY deliveries_account (account_id, template_id, at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE send_decisions (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  reminder_id BIGINT UNSIGNED NOT NULL,
  at DATETIME(3) NOT NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  KEY send_decisions_reminder (reminder_id, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE send_decisions, deliveries, reminders, consent_ends, consents;
