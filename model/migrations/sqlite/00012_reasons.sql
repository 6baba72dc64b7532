-- +goose Up
ALTER TABLE activities ADD COLUMN restore_reason TEXT NOT NULL DEFAULT '' CHECK (length(restore_reason) <= 100);
ALTER TABLE community_registrations ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE community_registrations ADD COLUMN return_reason TEXT NOT NULL DEFAULT '' CHECK (length(return_reason) <= 100);
DROP INDEX community_registrations_branch;
DROP INDEX community_registrations_member;
CREATE UNIQUE INDEX community_registrations_branch ON community_registrations (branch_id, until_day, returned);
CREATE UNIQUE INDEX community_registrations_member ON community_registrations (member_id, until_day, returned);
ALTER TABLE send_decisions ADD COLUMN note TEXT NOT NULL DEFAULT '' CHECK (length(note) <= 200);

-- +goose Down
ALTER TABLE send_decisions DROP COLUMN note;
DROP INDEX community_registrations_branch;
DROP INDEX community_registrations_member;
DELETE FROM community_registrations WHERE returned <> 0;
CREATE UNIQUE INDEX community_registrations_branch ON community_registrations (branch_id, until_day);
CREATE UNIQUE INDEX community_registrations_member ON community_registrations (member_id, until_day);
ALTER TABLE community_registrations DROP COLUMN return_reason;
ALTER TABLE community_registrations DROP COLUMN returned;
ALTER TABLE activities DROP COLUMN restore_reason;
