#include "daemon/store/sqlite.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "daemon/store/copy.h"

namespace autoscale {
namespace {

// The tick waits for it: long enough for a person's query in a shell, shorter than most ticks.
constexpr int kBusyMillis = 500;
constexpr uint64_t kLeastSpace = 64 * 1024;  // bytes: the index of a write-ahead log and a page

}  // namespace

Statement::Statement(Database& database, const char* sql) : database_(&database) {
  sqlite3_stmt* statement = nullptr;
  Note(sqlite3_prepare_v3(database.handle(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                          nullptr));
  statement_.reset(statement);
}

void Statement::Note(int code) {
  if (code_ == SQLITE_OK) code_ = code;
}

Statement& Statement::Reset() {
  if (!statement_) return *this;  // it could not be prepared; Step says why
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
  bound_ = 0;
  code_ = SQLITE_OK;
  return *this;
}

Statement& Statement::Bind(int64_t value) {
  Note(sqlite3_bind_int64(statement_.get(), ++bound_, value));
  return *this;
}

// The caller's bytes are copied: a statement may be stepped after they are gone.
Statement& Statement::Bind(std::string_view text) {
  const char* data = text.data() != nullptr ? text.data() : "";  // a null pointer would bind NULL
  Note(sqlite3_bind_text64(statement_.get(), ++bound_, data, text.size(), SQLITE_TRANSIENT,
                           SQLITE_UTF8));
  return *this;
}

Statement& Statement::BindBlob(std::string_view bytes) {
  const char* data = bytes.data() != nullptr ? bytes.data() : "";
  Note(sqlite3_bind_blob64(statement_.get(), ++bound_, data, bytes.size(), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::Bind(std::optional<int64_t> value) {
  if (value) return Bind(*value);
  Note(sqlite3_bind_null(statement_.get(), ++bound_));
  return *this;
}

Result<bool> Statement::Step() {
  column_ = 0;
  const int code = code_ == SQLITE_OK ? sqlite3_step(statement_.get()) : code_;
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_.get());  // a finished read must not hold the WAL
    return false;
  }
  Error error = database_->Explain(code);  // before reset, which may change SQLite's message
  sqlite3_reset(statement_.get());
  return error;
}

Status Statement::Run() {
  auto row = Step();
  if (!row) return std::move(row).error();
  return Ok{};
}

Result<std::optional<int64_t>> Statement::First() {
  auto row = Step();
  if (!row) return std::move(row).error();
  std::optional<int64_t> found;
  if (*row) found = Integer();
  Reset();  // an unfinished read would hold the WAL
  return found;
}

int64_t Statement::Integer() { return sqlite3_column_int64(statement_.get(), column_++); }

std::optional<int64_t> Statement::OptionalInteger() {
  if (sqlite3_column_type(statement_.get(), column_) != SQLITE_NULL) return Integer();
  ++column_;
  return std::nullopt;
}

std::string Statement::Text() {
  const void* data = sqlite3_column_blob(statement_.get(), column_);
  const int size = sqlite3_column_bytes(statement_.get(), column_++);
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  std::unique_ptr<Database> database(new Database(path));
  sqlite3* handle = nullptr;
  // NOMUTEX: one thread at a time uses it.
  const int code =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database->handle_.reset(handle);
  if (code != SQLITE_OK) return database->Explain(code);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMillis);
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) {
    database->device_ = info.st_dev;
    database->inode_ = info.st_ino;
  }
  return database;
}

Status Database::Execute(const char* sql) {
  const int code = sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Explain(code);
  return Ok{};
}

Result<int64_t> Database::ReadInteger(const char* sql) {
  auto found = Statement(*this, sql).First();
  if (!found) return std::move(found).error();
  return found->value_or(0);
}

Result<std::string> Database::ReadText(const char* sql) {
  Statement statement(*this, sql);
  auto row = statement.Step();
  if (!row) return std::move(row).error();
  return *row ? statement.Text() : std::string();
}

Status Database::CheckPlace() const {
  struct stat info {};
  const bool there = stat(path_.c_str(), &info) == 0;
  std::string lost;
  if (!there || info.st_dev != device_ || info.st_ino != inode_) {
    lost = path_;
  } else if (access((path_ + "-wal").c_str(), F_OK) != 0) {
    lost = path_ + "-wal";
  }
  if (lost.empty()) return Ok{};
  return Error{ErrorKind::kUnavailable,
               lost +
                   " was removed, moved or replaced while autoscaled has it open: move it back, "
                   "or restart autoscaled, which begins with what is there or says what to do"};
}

Error Database::Damaged(const std::string& detail) const {
  damaged_ = true;
  // What is left may be of use to somebody; and the commands below name these files.
  sqlite3_db_config(handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  return {ErrorKind::kInternal, "the database " + path_ + " is damaged (" + detail +
                                    "); instances run on as they are. " + HowToMend(path_)};
}

// For SQLite some of what a full disk refuses is a failure of the disk.
bool Database::IsDiskFull() const {
  struct statvfs disk {};
  return statvfs(path_.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < kLeastSpace;
}

Error Database::Explain(int code) const {
  if ((code & 0xff) == SQLITE_IOERR && IsDiskFull()) code = SQLITE_FULL;
  const std::string detail = handle() != nullptr ? sqlite3_errmsg(handle()) : sqlite3_errstr(code);
  switch (code & 0xff) {  // the primary code of an extended one
    case SQLITE_FULL:
      return {ErrorKind::kExhausted, "the disk of " + path_ + " is full: free some space there"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorKind::kUnavailable,
              path_ +
                  " is locked by another program: end whatever has it open, such as a sqlite3 "
                  "shell or a copy being made"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Damaged(detail);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return {ErrorKind::kUnavailable, path_ + " cannot be written (" + detail +
                                           "): give the daemon's user the file and its folder, on "
                                           "a file system that is mounted for writing"};
    case SQLITE_IOERR:
      return {ErrorKind::kUnavailable, "reading or writing " + path_ + " failed (" + detail +
                                           "): look at the disk and the kernel's log"};
    default:
      return {ErrorKind::kInternal, path_ + ": " + detail};
  }
}

Transaction::~Transaction() {
  // SQLite may have rolled back by itself; then autocommit is on again.
  if (sqlite3_get_autocommit(database_.handle()) == 0) (void)database_.Execute("ROLLBACK");
}

// Immediate: who else holds the lock shows here, before anything is written.
Status Transaction::Begin() { return database_.Execute("BEGIN IMMEDIATE"); }

Status Transaction::Commit() { return database_.Execute("COMMIT"); }

}  // namespace autoscale
