-- +goose Up
-- Refused ones stay too. Of a code only a digest is kept.
CREATE TABLE offline_items (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  uploaded_by BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  code_digest VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  client_at DATETIME(3) NOT NULL,
  issued_at DATETIME(3) NULL,
  received_at DATETIME(3) NOT NULL,
  doubts VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  refusal VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fact_at DATETIME(3) NULL,
  late BOOLEAN NOT NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY offline_items_once (activity_id, uploaded_by, nonce),
  KEY offline_items_activity (activity_id, id),
  CONSTRAINT offline_items_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE offline_items;
