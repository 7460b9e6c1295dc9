#include "daemon/store/schema.h"

namespace autoscale {
namespace {

// Rises with each change of the tables; the change's migration goes into PrepareDatabase.
constexpr int64_t kSchemaVersion = 1;
constexpr int64_t kApplicationId = 0x4153434c;  // "ASCL", so that `file` and we know our own

constexpr const char* kTables = R"sql(
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

static_assert(kApplicationId == 1095975756 && kSchemaVersion == 1, "kTables states them too");

Status CreateTables(Database& database) {
  Transaction transaction(database);
  if (auto begun = transaction.Begin(); !begun) return begun;
  if (auto created = database.Execute(kTables); !created) return created;
  return transaction.Commit();
}

// Whether it is new. Reads only: a database that is not ours stays as it is.
Result<bool> CheckOwner(Database& database) {
  auto application = database.ReadInteger("PRAGMA application_id");
  if (!application) return std::move(application).error();
  auto version = database.ReadInteger("PRAGMA user_version");
  if (!version) return std::move(version).error();
  auto tables = database.ReadInteger("SELECT count(*) FROM sqlite_schema");
  if (!tables) return std::move(tables).error();

  if (*application == 0 && *version == 0 && *tables == 0) return true;
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
  if (*version < kSchemaVersion) {
    return database.Damaged("its schema version " + std::to_string(*version) + " never existed");
  }
  return false;
}

// What the control loop stands on is small and checked at each start; the decisions may be huge,
// and damage there shows when they are read.
Status CheckWhole(Database& database) {
  for (const char* sql : {"PRAGMA quick_check(daemon)", "PRAGMA quick_check(services)",
                          "PRAGMA quick_check(instances)"}) {
    auto answer = database.ReadText(sql);
    if (!answer) return std::move(answer).error();
    if (*answer != "ok") return database.Damaged(*answer);
  }
  return Ok{};
}

}  // namespace

Status PrepareDatabase(Database& database) {
  auto is_new = CheckOwner(database);
  if (!is_new) return std::move(is_new).error();
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
  if (*is_new) return CreateTables(database);
  return CheckWhole(database);
}

}  // namespace autoscale
