-- +goose Up
ALTER TABLE roster_entries ADD COLUMN closes_at DATETIME NOT NULL DEFAULT '2000-01-01T00:00:00.000Z';
UPDATE roster_entries SET closes_at = (SELECT a.closes_at FROM activities a WHERE a.id = roster_entries.activity_id);
DROP INDEX roster_entries_member;
CREATE INDEX roster_entries_member ON roster_entries (member_id, closes_at, activity_id);

-- +goose Down
DROP INDEX roster_entries_member;
CREATE INDEX roster_entries_member ON roster_entries (member_id, activity_id);
ALTER TABLE roster_entries DROP COLUMN closes_at;
