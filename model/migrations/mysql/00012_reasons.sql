-- +goose Up
-- What people write of their reasons stands in the row that it is about, where
-- it can be erased, and not in the audit, where nothing can. So what a community
-- sends back stays, and does not hold the place of the next.
ALTER TABLE activities
  ADD COLUMN restore_reason VARCHAR(100) NOT NULL DEFAULT '';
ALTER TABLE community_registrations
  ADD COLUMN returned BIGINT UNSIGNED NOT NULL DEFAULT 0,
  ADD COLUMN return_reason VARCHAR(100) NOT NULL DEFAULT '',
  DROP KEY community_registrations_branch,
  DROP KEY community_registrations_member,
  ADD UNIQUE KEY community_registrations_branch (branch_id, until_day, returned),
  ADD UNIQUE KEY community_registrations_member (member_id, until_day, returned);
ALTER TABLE send_decisions
  ADD COLUMN note VARCHAR(200) NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE send_decisions
  DROP COLUMN note;
DELETE FROM community_registrations WHERE returned <> 0;
ALTER TABLE community_registrations
  DROP KEY community_registrations_branch,
  DROP KEY community_registrations_member,
  ADD UNIQUE KEY community_registrations_branch (branch_id, until_day),
  ADD UNIQUE KEY community_registrations_member (member_id, until_day),
  DROP COLUMN return_reason,
  DROP COLUMN returned;
ALTER TABLE activities
  DROP COLUMN restore_reason;
