-- +goose Up
-- A photo that was added by mistake keeps its row, with who removed it, when and
-- why; its content goes once no other row needs it.
ALTER TABLE photos
  ADD COLUMN removed BIGINT UNSIGNED NOT NULL DEFAULT 0,
  ADD COLUMN removed_by BIGINT UNSIGNED NULL,
  ADD COLUMN removed_at DATETIME(3) NULL,
  ADD COLUMN remove_reason VARCHAR(100) NOT NULL DEFAULT '',
  ADD COLUMN content_gone BOOLEAN NOT NULL DEFAULT FALSE,
  DROP KEY photos_once,
  ADD UNIQUE KEY photos_once (activity_id, partner_id, purpose, digest, removed),
  ADD KEY photos_digest (digest),
  ADD KEY photos_removed (removed_at);

-- +goose Down
DELETE FROM photos WHERE removed <> 0;
ALTER TABLE photos
  DROP KEY photos_removed,
  DROP KEY photos_digest,
  DROP KEY photos_once,
  ADD UNIQUE KEY photos_once (activity_id, partner_id, purpose, digest),
  DROP COLUMN content_gone,
  DROP COLUMN remove_reason,
  DROP COLUMN removed_at,
  DROP COLUMN removed_by,
  DROP COLUMN removed;
