-- +goose Up
ALTER TABLE photos ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE photos ADD COLUMN removed_by INTEGER NULL;
ALTER TABLE photos ADD COLUMN removed_at DATETIME NULL;
ALTER TABLE photos ADD COLUMN remove_reason TEXT NOT NULL DEFAULT '' CHECK (length(remove_reason) <= 100);
ALTER TABLE photos ADD COLUMN content_gone BOOLEAN NOT NULL DEFAULT FALSE;
DROP INDEX photos_once;
CREATE UNIQUE INDEX photos_once ON photos (activity_id, partner_id, purpose, digest, removed);
CREATE INDEX photos_digest ON photos (digest);
CREATE INDEX photos_removed ON photos (removed_at);

-- +goose Down
DROP INDEX photos_removed;
DROP INDEX photos_digest;
DROP INDEX photos_once;
DELETE FROM photos WHERE removed <> 0;
CREATE UNIQUE INDEX photos_once ON photos (activity_id, partner_id, purpose, digest);
ALTER TABLE photos DROP COLUMN content_gone;
ALTER TABLE photos DROP COLUMN remove_reason;
ALTER TABLE photos DROP COLUMN removed_at;
ALTER TABLE photos DROP COLUMN removed_by;
ALTER TABLE photos DROP COLUMN removed;
