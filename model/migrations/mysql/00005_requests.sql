-- +goose Up
CREATE TABLE leave_requests (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  status VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  note VARCHAR(200) NOT NULL,
  live BOOLEAN NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  asked_at DATETIME(3) NOT NULL,
  decided_by BIGINT UNSIGNED NULL,
  decided_at DATETIME(3) NULL,
  answer VARCHAR(200) NOT NULL,
  withdrawn_at DATETIME(3) NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY leave_requests_live (activity_id, member_id, live),
  UNIQUE KEY leave_requests_once (member_id, nonce),
  KEY leave_requests_state (state, activity_id),
  CONSTRAINT leave_requests_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id),
  CONSTRAINT leave_requests_to_member FOREIGN KEY (member_id) REFERENCES members (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE late_records (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  activity_id BIGINT UNSIGNED NOT NULL,
  member_id BIGINT UNSIGNED NOT NULL,
  branch_id BIGINT UNSIGNED NOT NULL,
  came_at DATETIME(3) NULL,
  reason VARCHAR(200) NOT NULL,
  live BOOLEAN NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  asked_by BIGINT UNSIGNED NOT NULL,
  asked_at DATETIME(3) NOT NULL,
  decided_by BIGINT UNSIGNED NULL,
  decided_at DATETIME(3) NULL,
  answer VARCHAR(200) NOT NULL,
  nonce VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  fingerprint VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  UNIQUE KEY late_records_live (activity_id, member_id, live),
  UNIQUE KEY late_records_once (asked_by, nonce),
  KEY late_records_state (state, activity_id),
  KEY late_records_branch (branch_id, asked_at),
  KEY late_records_to_member (member_id),
  CONSTRAINT late_records_to_activity FOREIGN KEY (activity_id) REFERENCES activities (id),
  CONSTRAINT late_records_to_member FOREIGN KEY (member_id) REFERENCES members (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE late_records, leave_requests;
