-- +goose Up
CREATE TABLE minutes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  version INTEGER NOT NULL,
  host_id INTEGER NOT NULL,
  recorder_id INTEGER NOT NULL,
  agenda TEXT NOT NULL,
  content TEXT NOT NULL,
  decisions TEXT NOT NULL,
  written_by INTEGER NOT NULL,
  written_at DATETIME NOT NULL,
  signed_by INTEGER NULL,
  signed_at DATETIME NULL,
  FOREIGN KEY (activity_id) REFERENCES activities (id)
);
CREATE UNIQUE INDEX minutes_version ON minutes (activity_id, version);

CREATE TABLE votes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  subject TEXT NOT NULL CHECK (length(subject) <= 200),
  kind TEXT NOT NULL CHECK (length(kind) <= 16),
  secret BOOLEAN NOT NULL,
  seats INTEGER NOT NULL,
  expected INTEGER NOT NULL,
  present INTEGER NOT NULL,
  written INTEGER NOT NULL,
  in_favour INTEGER NOT NULL,
  against INTEGER NOT NULL,
  abstained INTEGER NOT NULL,
  recorded_by INTEGER NOT NULL,
  recorded_at DATETIME NOT NULL,
  annulled_by INTEGER NULL,
  annulled_at DATETIME NULL,
  annul_reason TEXT NOT NULL CHECK (length(annul_reason) <= 200),
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (activity_id) REFERENCES activities (id)
);
CREATE UNIQUE INDEX votes_once ON votes (activity_id, nonce);

CREATE TABLE vote_candidates (
  vote_id INTEGER NOT NULL,
  member_id INTEGER NOT NULL,
  in_favour INTEGER NOT NULL,
  against INTEGER NOT NULL,
  abstained INTEGER NOT NULL,
  PRIMARY KEY (vote_id, member_id),
  FOREIGN KEY (vote_id) REFERENCES votes (id),
  FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE INDEX vote_candidates_member ON vote_candidates (member_id);

-- The photo itself lies under its digest in the file store.
CREATE TABLE photos (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  purpose TEXT NOT NULL CHECK (length(purpose) <= 16),
  digest TEXT NOT NULL CHECK (length(digest) <= 64),
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  attached_by INTEGER NOT NULL,
  attached_at DATETIME NOT NULL,
  FOREIGN KEY (activity_id) REFERENCES activities (id)
);
CREATE UNIQUE INDEX photos_once ON photos (activity_id, purpose, digest);

CREATE TABLE paper_sheets (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  activity_id INTEGER NOT NULL,
  photo_id INTEGER NOT NULL,
  recorded_by INTEGER NOT NULL,
  recorded_at DATETIME NOT NULL,
  nonce TEXT NOT NULL CHECK (length(nonce) <= 64),
  fingerprint TEXT NOT NULL CHECK (length(fingerprint) <= 32),
  FOREIGN KEY (activity_id) REFERENCES activities (id),
  FOREIGN KEY (photo_id) REFERENCES photos (id)
);
CREATE UNIQUE INDEX paper_sheets_once ON paper_sheets (activity_id, nonce);
CREATE INDEX paper_sheets_photo ON paper_sheets (photo_id);

-- +goose Down
DROP TABLE paper_sheets;
DROP TABLE photos;
DROP TABLE vote_candidates;
DROP TABLE votes;
DROP TABLE minutes;
