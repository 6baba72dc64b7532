-- +goose Up
CREATE TABLE minutes (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  version INT NOT NULL,
  host_id BIGINT UNSIGNED NOT NULL,
  recorder_id BIGINT UNSIGNED NOT NULL,
  agenda TEXT NOT NULL,
  content TEXT NOT NULL,
  decisions TEXT NOT NULL,
  written_by BIGINT UNSIGNED NOT NULL,
  written_at DATETIME(3) NOT NULL,
  signed_by BIGINT UNSIGNED NULL,
  signed_at DATETIME(3) NULL,
  UNIQUE KEY minutes_version (activity_id, version),
  CONSTRAINT minutes_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE votes (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  subject VARCHAR(200) NOT NULL,
  kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  secret BOOLEAN NOT NULL,
  seats INT NOT NULL,
  expected INT NOT NULL,
  present INT NOT NULL,
  written INT NOT NULL,
  in_favour INT NOT NULL,
  against INT NOT NULL,
  abstained INT NOT NULL,
  recorded_by BIGINT UNSIGNED NOT NULL,
  recorded_at DATETIME(3) NOT NULL,
  annulled_by BIGINT UNSIGNED NULL,
  annulled_at DATETIME(3) NULL,
  annul_reason VARCHAR(200) NOT NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY votes_once (activity_id, nonce),
  CONSTRAINT votes_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE vote_candidates (
  vote_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  in_favour INT NOT NULL,
  against INT NOT NULL,
  abstained INT NOT NULL,
  PRIMARY KEY (vote_id, member_id),
  KEY vote_candidates_member (member_id),
  CONSTRAINT vote_candidates_to_vote FOREIGN KEY (vote_id) REFERENCES votes (id),
  CONSTRAINT vote_candidates_to_member FOREIGN KEY (member_id) REFERENCES members (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The photo itself lies under its digest in the file store.
CREATE TABLE photos (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  purpose VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  digest CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  width INT NOT NULL,
  height INT NOT NULL,
  bytes INT NOT NULL,
  attached_by BIGINT UNSIGNED NOT NULL,
  attached_at DATETIME(3) NOT NULL,
  UNIQUE KEY photos_once (activity_id, purpose, digest),
  CONSTRAINT photos_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE paper_sheets (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  photo_id BIGINT UNSIGNED NOT NULL,
  recorded_by BIGINT UNSIGNED NOT NULL,
  recorded_at DATETIME(3) NOT NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY paper_sheets_once (activity_id, nonce),
  KEY paper_sheets_photo (photo_id),
  CONSTRAINT paper_sheets_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id),
  CONSTRAINT paper_sheets_to_photo FOREIGN KEY (photo_id) REFERENCES photos (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE paper_sheets, photos, vote_candidates, votes, minutes;
