#include "daemon/store/copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <system_error>

#include "daemon/store/schema.h"
#include "daemon/store/whole.h"

namespace autoscale {
namespace {

constexpr mode_t kPrivateFile = 0600;

Error FromErrno(const std::string& what) {
  const int code = errno;
  return {code == ENOSPC ? ErrorKind::kExhausted : ErrorKind::kUnavailable,
          what + ": " + std::system_category().message(code)};
}

// An empty file for SQLite to fill, which would not make it private.
Status MakeEmpty(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return FromErrno("cannot replace " + path);
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kPrivateFile);
  if (file < 0) return FromErrno("cannot make " + path);
  close(file);
  return Ok{};
}

Status Sync(const std::string& path, int flags) {
  const int file = open(path.c_str(), flags | O_CLOEXEC);
  const bool synced = file >= 0 && fsync(file) == 0;
  Error error = FromErrno("cannot sync " + path);
  if (file >= 0) close(file);
  if (!synced) return error;
  return Ok{};
}

// Once it is on the disk it takes the name of the one before; a reader finds either.
Status PutInPlace(const std::string& made, const std::string& path) {
  if (auto synced = Sync(made, O_RDONLY); !synced) return synced;
  if (std::rename(made.c_str(), path.c_str()) != 0) return FromErrno("cannot rename " + made);
  return Sync(std::filesystem::path(path).parent_path(), O_RDONLY | O_DIRECTORY);
}

std::string BackupOf(const std::string& database) { return database + ".backup"; }

// Tables as new, then the rows from the one connection: no second one opens the database, whose
// locks would go when it is closed.
Status FillBackup(Database& database, const std::string& made, TimePoint at) {
  {
    auto copy = Database::Open(made);
    if (!copy) return std::move(copy).error();
    if (auto set = (*copy)->Execute("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF");
        !set) {
      return set;
    }
    if (auto made_tables = Migrate(**copy, 0); !made_tables) return made_tables;
  }
  Statement attach(database, "ATTACH ? AS copy");
  if (auto attached = attach.Bind(made).Run(); !attached) return attached;
  const std::string rows =
      "PRAGMA copy.journal_mode = MEMORY; PRAGMA copy.synchronous = OFF; BEGIN;"
      "DELETE FROM copy.daemon; INSERT INTO copy.daemon SELECT * FROM main.daemon;"
      "INSERT INTO copy.services SELECT * FROM main.services;"
      "INSERT INTO copy.instances SELECT * FROM main.instances;"
      "UPDATE copy.daemon SET copied_at = " +
      std::to_string(at.time_since_epoch().count()) + "; COMMIT";
  Status filled = Ok{};
  {
    const Transaction transaction(database);  // rolls back what does not get to its end
    filled = database.Execute(rows.c_str());
  }
  const Status detached = database.Execute("DETACH copy");
  return filled ? detached : filled;
}

// When the back-up was made; an error when it cannot be used.
Result<TimePoint> Inspect(const std::string& backup) {
  auto copy = Database::Open(backup);
  if (!copy) return std::move(copy).error();
  if (auto whole = CheckWhole(**copy); !whole) return std::move(whole).error();
  auto at = (*copy)->ReadInteger("SELECT copied_at FROM daemon");
  if (!at) return std::move(at).error();
  return TimePoint(Millis(*at));
}

std::string InWords(TimePoint time) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  (void)std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

// A path as a shell reads it.
std::string Quoted(const std::string& path) {
  if (path.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "/._-+,:@%") == std::string::npos) {
    return path;
  }
  std::string text = "'";
  for (const char c : path) {
    if (c == '\'') {
      text += "'\\''";
    } else {
      text += c;
    }
  }
  return text + "'";
}

}  // namespace

Status CopyWhole(Database& database, const std::string& path) {
  const std::string made = path + ".new";
  if (auto empty = MakeEmpty(made); !empty) return empty;
  Statement vacuum(database, "VACUUM INTO ?");
  if (auto copied = vacuum.Bind(made).Run(); !copied) return copied;
  return PutInPlace(made, path);
}

Status KeepBackup(Database& database, TimePoint at) {
  const std::string backup = BackupOf(database.path());
  const std::string made = backup + ".new";
  if (auto empty = MakeEmpty(made); !empty) return empty;
  if (auto filled = FillBackup(database, made, at); !filled) {
    unlink(made.c_str());
    return filled;
  }
  return PutInPlace(made, backup);
}

bool HasBackup(const std::string& database) {
  return access(BackupOf(database).c_str(), F_OK) == 0;
}

std::string HowToMend(const std::string& database) {
  const std::string backup = BackupOf(database);
  const std::string away = (std::filesystem::path(database).parent_path() / "damaged").string();
  std::string text, moved;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    const std::string file = database + suffix;
    if (access(file.c_str(), F_OK) == 0) moved += " " + Quoted(file);
  }
  bool usable = false;
  if (!HasBackup(database)) {
    text = "No back-up is kept beside it";
  } else if (const auto at = Inspect(backup); at.ok()) {
    usable = true;
    text = "A back-up of " + InWords(*at) + " is kept beside it, " + backup +
           "; what changed since, and all past decisions, are lost with the database";
  } else {
    text = "The back-up beside it is damaged too";
    moved += " " + Quoted(backup);
  }
  text += usable ? ". Stop autoscaled, put the back-up in place, and start it again; to put it in "
                   "place, run: "
                 : ". Stop autoscaled, move it away, and start again, with a copy of yours in its "
                   "place or anew, which forgets pauses, cooldowns, windows and past decisions; to "
                   "move it away, run: ";
  if (!moved.empty()) text += "mkdir -p " + Quoted(away) + " && mv" + moved + " " + Quoted(away);
  if (!moved.empty() && usable) text += " && ";
  if (usable) text += "cp -p " + Quoted(backup) + " " + Quoted(database);
  return text;
}

}  // namespace autoscale
