-- +goose Up
ALTER TABLE attendances ADD COLUMN day TEXT NOT NULL DEFAULT '' CHECK (length(day) <= 10);
ALTER TABLE attendances ADD COLUMN device TEXT NOT NULL DEFAULT '' CHECK (length(device) <= 32);
ALTER TABLE attendances ADD COLUMN code_age_ms INTEGER NULL;
ALTER TABLE attendances ADD COLUMN recorded_at DATETIME NULL;
ALTER TABLE attendances ADD COLUMN voided INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attendances ADD COLUMN voided_by INTEGER NULL;
ALTER TABLE attendances ADD COLUMN voided_at DATETIME NULL;
ALTER TABLE attendances ADD COLUMN void_reason TEXT NOT NULL DEFAULT '' CHECK (length(void_reason) <= 200);
DROP INDEX attendances_once;
CREATE UNIQUE INDEX attendances_once ON attendances (activity_id, member_id, day, voided);

ALTER TABLE activities ADD COLUMN daily BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE activities ADD COLUMN check_out BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE activities ADD COLUMN stay_minutes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE activities ADD COLUMN re_entry BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE movements (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  day TEXT NOT NULL CHECK (length(day) <= 10),
  direction TEXT NOT NULL CHECK (length(direction) <= 8),
  at DATETIME NOT NULL,
  provenance TEXT NOT NULL CHECK (length(provenance) <= 16),
  flag TEXT NOT NULL CHECK (length(flag) <= 16),
  recorded_by INTEGER NULL,
  recorded_at DATETIME NOT NULL,
  reason TEXT NOT NULL CHECK (length(reason) <= 200),
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (activity_id) REFERENCES activities (id)
);
CREATE UNIQUE INDEX movements_once ON movements (activity_id, member_id, nonce);
CREATE INDEX movements_member ON movements (member_id, at);

-- +goose Down
DROP TABLE movements;
ALTER TABLE activities DROP COLUMN daily;
ALTER TABLE activities DROP COLUMN check_out;
ALTER TABLE activities DROP COLUMN stay_minutes;
ALTER TABLE activities DROP COLUMN re_entry;
DELETE FROM attendances WHERE voided <> 0;
DELETE FROM attendances WHERE id NOT IN (SELECT MIN(id) FROM attendances GROUP BY activity_id, member_id);
DROP INDEX attendances_once;
CREATE UNIQUE INDEX attendances_once ON attendances (activity_id, member_id);
ALTER TABLE attendances DROP COLUMN day;
ALTER TABLE attendances DROP COLUMN device;
ALTER TABLE attendances DROP COLUMN code_age_ms;
ALTER TABLE attendances DROP COLUMN recorded_at;
ALTER TABLE attendances DROP COLUMN voided;
ALTER TABLE attendances DROP COLUMN voided_by;
ALTER TABLE attendances DROP COLUMN voided_at;
ALTER TABLE attendances DROP COLUMN void_reason;
