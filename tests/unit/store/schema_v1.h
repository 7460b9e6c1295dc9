// The tables of schema version 1 as they were released, with some of everything in them.
#pragma once

namespace autoscale {

inline constexpr const char* kSchemaV1 = R"sql(
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1095975756;
PRAGMA user_version = 1;
CREATE TABLE daemon (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL,    -- rises with each start
  last_now INTEGER NOT NULL  -- unix milliseconds, as all times here
) STRICT;
INSERT INTO daemon VALUES (1, 0, 0);
CREATE TABLE services (
  name TEXT PRIMARY KEY,
  desired INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  paused INTEGER NOT NULL,
  pause_reason TEXT NOT NULL,
  policy_state BLOB NOT NULL,
  history TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE instances (
  service TEXT NOT NULL,  -- no reference: an instance may be found before its service decides
  id TEXT NOT NULL,
  phase TEXT NOT NULL,
  since INTEGER NOT NULL,
  deadline INTEGER,
  endpoint TEXT NOT NULL,
  PRIMARY KEY (service, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY,
  service TEXT NOT NULL,  -- no reference: decisions outlive their service
  at INTEGER NOT NULL,
  desired_before INTEGER NOT NULL,
  desired_after INTEGER NOT NULL,
  record TEXT NOT NULL  -- JSON
) STRICT;
CREATE INDEX decisions_by_service ON decisions (service, id DESC);
)sql";

inline constexpr const char* kRowsV1 = R"sql(
UPDATE daemon SET epoch = 41, last_now = 1700000000000;
INSERT INTO services VALUES
  ('api', 2, 5, 0, '', x'', ''),
  ('web', 7, 9, 1, 'migration', x'610062', 'P1000 2000 7 C1500 3 O1500 ');
INSERT INTO instances VALUES
  ('api', 'i-1', 'serving', 1000, NULL, '127.0.0.1:20001'),
  ('web', 'i-1', 'draining', 2000, 99000, '127.0.0.1:20002');
)sql";

}  // namespace autoscale
