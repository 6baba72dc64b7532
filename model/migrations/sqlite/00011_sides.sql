-- +goose Up
ALTER TABLE minutes ADD COLUMN partner_id INTEGER NOT NULL DEFAULT 0;
DROP INDEX minutes_version;
CREATE UNIQUE INDEX minutes_version ON minutes (activity_id, partner_id, version);
ALTER TABLE votes ADD COLUMN partner_id INTEGER NOT NULL DEFAULT 0;
DROP INDEX votes_once;
CREATE UNIQUE INDEX votes_once ON votes (activity_id, partner_id, nonce);
ALTER TABLE photos ADD COLUMN partner_id INTEGER NOT NULL DEFAULT 0;
DROP INDEX photos_once;
CREATE UNIQUE INDEX photos_once ON photos (activity_id, partner_id, purpose, digest);

-- +goose Down
DROP INDEX photos_once;
CREATE UNIQUE INDEX photos_once ON photos (activity_id, purpose, digest);
ALTER TABLE photos DROP COLUMN partner_id;
DROP INDEX votes_once;
CREATE UNIQUE INDEX votes_once ON votes (activity_id, nonce);
ALTER TABLE votes DROP COLUMN partner_id;
DROP INDEX minutes_version;
CREATE UNIQUE INDEX minutes_version ON minutes (activity_id, version);
ALTER TABLE minutes DROP COLUMN partner_id;
