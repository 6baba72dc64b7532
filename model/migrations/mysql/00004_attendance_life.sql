-- +goose Up
-- A row that no longer holds keeps its place: voided is then its own id, so
-- that one row holds for each person and day, and any number do not.
ALTER TABLE attendances
  ADD COLUMN day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
  ADD COLUMN device VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
  ADD COLUMN code_age_ms INT NULL,
  ADD COLUMN recorded_at DATETIME(3) NULL,
  ADD COLUMN voided BIGINT UNSIGNED NOT NULL DEFAULT 0,
  ADD COLUMN voided_by BIGINT UNSIGNED NULL,
  ADD COLUMN voided_at DATETIME(3) NULL,
  ADD COLUMN void_reason VARCHAR(200) NOT NULL DEFAULT '',
  DROP KEY attendances_once,
  ADD UNIQUE KEY attendances_once (activity_id, member_id, day, voided);

ALTER TABLE activities
  ADD COLUMN daily BOOLEAN NOT NULL DEFAULT FALSE,
  ADD COLUMN check_out BOOLEAN NOT NULL DEFAULT FALSE,
  ADD COLUMN stay_minutes INT NOT NULL DEFAULT 0,
  ADD COLUMN re_entry BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE movements (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  day CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  direction VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  at DATETIME(3) NOT NULL,
  provenance VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  flag VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  recorded_by BIGINT UNSIGNED NULL,
  recorded_at DATETIME(3) NOT NULL,
  reason VARCHAR(200) NOT NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY movements_once (activity_id, member_id, nonce),
  KEY movements_member (member_id, at),
  CONSTRAINT movements_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE movements;
ALTER TABLE activities DROP COLUMN daily, DROP COLUMN check_out, DROP COLUMN stay_minutes, DROP COLUMN re_entry;
DELETE FROM attendances WHERE voided <> 0;
DELETE t FROM attendances t JOIN attendances first ON first.activity_id = t.activity_id AND first.member_id = t.member_id AND first.id < t.id;
ALTER TABLE attendances
  DROP KEY attendances_once,
  ADD UNIQUE KEY attendances_once (activity_id, member_id),
  DROP COLUMN day, DROP COLUMN device, DROP COLUMN code_age_ms, DROP COLUMN recorded_at,
  DROP COLUMN voided, DROP COLUMN voided_by, DROP COLUMN voided_at, DROP COLUMN void_reason;
