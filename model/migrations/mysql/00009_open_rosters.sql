-- +goose Up
-- When the check-in closes stands beside the person, so that a first screen
-- reads what is still open and not every meeting of a life.
ALTER TABLE roster_entries
  ADD COLUMN closes_at DATETIME(3) NOT NULL DEFAULT '2000-01-01 00:00:00.000';
UPDATE roster_entries r JOIN activities a ON a.id = r.activity_id SET r.closes_at = a.closes_at;
ALTER TABLE roster_entries
  DROP KEY roster_entries_member,
  ADD KEY roster_entries_member (member_id, closes_at, activity_id);

-- +goose Down
ALTER TABLE roster_entries
  DROP KEY roster_entries_member,
  ADD KEY roster_entries_member (member_id, activity_id),
  DROP COLUMN closes_at;
