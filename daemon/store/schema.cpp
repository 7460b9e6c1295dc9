#include "daemon/store/schema.h"

#include <array>

#include "daemon/store/whole.h"

namespace autoscale {
namespace {

constexpr int64_t kApplicationId = 0x4153434c;  // "ASCL", so that `file` and we know our own

// Each row takes the tables from the version that is its index to the next. A row that has been
// released stays as it is; a new version is one more row.
constexpr std::array<const char*, 6> kMigrations = {
    R"sql(
PRAGMA application_id = 1095975756;
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
)sql",
    R"sql(
-- Why the service does not act any more, and since when; empty and 0: it acts.
ALTER TABLE services ADD COLUMN breaker TEXT NOT NULL DEFAULT '';
ALTER TABLE services ADD COLUMN breaker_since INTEGER NOT NULL DEFAULT 0;
-- What is needed to finish a service that was removed, as JSON; empty: it is configured.
ALTER TABLE services ADD COLUMN leaving TEXT NOT NULL DEFAULT '';
-- The highest id ever given, so that none is given twice when decisions are dropped or lost.
ALTER TABLE daemon ADD COLUMN last_decision_id INTEGER NOT NULL DEFAULT 0;
UPDATE daemon SET last_decision_id = (SELECT coalesce(max(id), 0) FROM decisions);
-- When this copy was made; 0: this is not a copy but the database itself.
ALTER TABLE daemon ADD COLUMN copied_at INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
-- What a decision was made of, as JSON, and the hash of what it depends on beside that; empty and 0:
-- not known.
ALTER TABLE decisions ADD COLUMN inputs TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN basis INTEGER NOT NULL DEFAULT 0;
CREATE INDEX decisions_by_basis ON decisions (basis) WHERE basis <> 0;
-- Parameters, rules, limits and version that decisions depend on, once for all of them.
CREATE TABLE bases (
  hash INTEGER PRIMARY KEY,  -- of the text; unsigned, in an integer's bits
  source INTEGER NOT NULL,   -- hash of the source
  text TEXT NOT NULL         -- JSON
) STRICT;
CREATE INDEX bases_by_source ON bases (source);
-- Policies with their modules and time zones.
CREATE TABLE sources (
  hash INTEGER PRIMARY KEY,
  text TEXT NOT NULL  -- JSON
) STRICT;
)sql",
    R"sql(
-- Policies tried beside live ones.
CREATE TABLE shadows (
  service TEXT PRIMARY KEY,
  identity INTEGER NOT NULL,  -- hash of what is compared
  policy_state BLOB NOT NULL,
  history TEXT NOT NULL,
  account TEXT NOT NULL       -- JSON
) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
-- Until when no scale-in takes the instance away, and why; 0: it is as any other.
ALTER TABLE instances ADD COLUMN protected_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN protect_reason TEXT NOT NULL DEFAULT '';
)sql",
    R"sql(
-- Whose its instances are: provider, place for a person, hash of the target's identity. Empty and
-- 0: not known.
ALTER TABLE services ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE services ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE services ADD COLUMN target INTEGER NOT NULL DEFAULT 0;
-- Of a target that has a capacity: what it was known to be, and what is being asked for; -1: neither.
ALTER TABLE services ADD COLUMN capacity INTEGER NOT NULL DEFAULT -1;
ALTER TABLE services ADD COLUMN asked INTEGER NOT NULL DEFAULT -1;
-- 1: the breaker is that of a capacity that somebody else keeps changing.
ALTER TABLE services ADD COLUMN contested INTEGER NOT NULL DEFAULT 0;
)sql",
};
static_assert(kApplicationId == 1095975756, "the first row states it too");

constexpr int64_t kSchemaVersion = kMigrations.size();

// Its schema's version; 0: it is new. Reads only: a database that is not ours stays as it is.
Result<int64_t> CheckOwner(Database& database) {
  auto application = database.ReadInteger("PRAGMA application_id");
  if (!application) return std::move(application).error();
  auto version = database.ReadInteger("PRAGMA user_version");
  if (!version) return std::move(version).error();
  auto tables = database.ReadInteger("SELECT count(*) FROM sqlite_schema");
  if (!tables) return std::move(tables).error();

  if (*application == 0 && *version == 0 && *tables == 0) return 0;
  if (*application != kApplicationId) {
    return Error{ErrorKind::kInvalid,
                 database.path() +
                     " is a database of another program: move it away, or name another state_dir"};
  }
  if (*version > kSchemaVersion) {
    return Error{ErrorKind::kInvalid,
                 database.path() + " was written by a newer autoscaled (schema " +
                     std::to_string(*version) + ", this one reads " +
                     std::to_string(kSchemaVersion) +
                     "): start the newer version, or put a copy from before the upgrade in its "
                     "place"};
  }
  if (*version < 1) {
    return database.Damaged("its schema version " + std::to_string(*version) + " never existed");
  }
  return *version;
}

}  // namespace

// In one transaction with the version: killed in the middle, it begins again at the next start.
Status Migrate(Database& database, int64_t version) {
  Transaction transaction(database);
  if (auto begun = transaction.Begin(); !begun) return begun;
  for (int64_t next = version; next < kSchemaVersion; ++next) {
    if (auto done = database.Execute(kMigrations.at(next)); !done) return done;
  }
  const std::string stamp = "PRAGMA user_version = " + std::to_string(kSchemaVersion);
  if (auto stamped = database.Execute(stamp.c_str()); !stamped) return stamped;
  return transaction.Commit();
}

Status PrepareDatabase(Database& database, const std::function<Status(int64_t)>& keep_copy) {
  auto version = CheckOwner(database);
  if (!version) return std::move(version).error();
  // FULL: a commit is on the disk when it answers. The limit returns the space of a huge commit.
  if (auto set = database.Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                  "PRAGMA journal_size_limit = 16777216");
      !set) {
    return set;
  }
  auto mode = database.ReadText("PRAGMA journal_mode");
  if (!mode) return std::move(mode).error();
  if (*mode != "wal") {
    return Error{
        ErrorKind::kUnavailable,
        database.path() + " cannot have a write-ahead log: put state_dir on a local file system"};
  }
  if (*version == 0) return Migrate(database, 0);
  if (auto whole = CheckWhole(database); !whole) return whole;
  if (*version == kSchemaVersion) return Ok{};
  if (auto kept = keep_copy(*version); !kept) {
    return std::move(kept).error().Within("no copy before bringing it up to date");
  }
  return Migrate(database, *version);
}

}  // namespace autoscale
