-- +goose Up
-- At a joint meeting each branch keeps minutes, votes and a paper sheet of its
-- own: partner_id is the branch that joined, 0 the host.
ALTER TABLE minutes
  ADD COLUMN partner_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
  DROP KEY minutes_version,
  ADD UNIQUE KEY minutes_version (activity_id, partner_id, version);
ALTER TABLE votes
  ADD COLUMN partner_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
  DROP KEY votes_once,
  ADD UNIQUE KEY votes_once (activity_id, partner_id, nonce);
ALTER TABLE photos
  ADD COLUMN partner_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
  DROP KEY photos_once,
  ADD UNIQUE KEY photos_once (activity_id, partner_id, purpose, digest);

-- +goose Down
ALTER TABLE photos
  DROP KEY photos_once,
  ADD UNIQUE KEY photos_once (activity_id, purpose, digest),
  DROP COLUMN partner_id;
ALTER TABLE votes
  DROP KEY votes_once,
  ADD UNIQUE KEY votes_once (activity_id, nonce),
  DROP COLUMN partner_id;
ALTER TABLE minutes
  DROP KEY minutes_version,
  ADD UNIQUE KEY minutes_version (activity_id, version),
  DROP COLUMN partner_id;
