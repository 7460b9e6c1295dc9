#include "daemon/store/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "daemon/lock.h"

namespace autoscale {
namespace {

constexpr mode_t kPrivateFolder = 0700;
constexpr mode_t kPrivateFile = 0600;

Error FromErrno(const std::string& what) {
  const int code = errno;
  return {code == ENOSPC || code == EMFILE || code == ENFILE ? ErrorKind::kExhausted
                                                             : ErrorKind::kUnavailable,
          what + ": " + std::system_category().message(code)};
}

Status MakeFolder(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return Ok{};
    return Error{ErrorKind::kInvalid, path + " is not a folder: name another state_dir"};
  }
  std::error_code failed;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, failed);
  // What keeps the parent from being made keeps the folder from being made.
  if (mkdir(path.c_str(), kPrivateFolder) == 0 || errno == EEXIST) return Ok{};
  return FromErrno("cannot make the folder " + path);
}

std::string ReadPid(int file) {
  std::array<char, 32> text{};
  const ssize_t size = pread(file, text.data(), text.size(), 0);
  std::string pid(text.data(), size > 0 ? static_cast<size_t>(size) : 0);
  pid.erase(pid.find_last_not_of("\n ") + 1);
  return pid;
}

// For people: the lock itself is the kernel's.
void WritePid(int file) {
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(file, 0) == 0) (void)!pwrite(file, pid.data(), pid.size(), 0);
}

}  // namespace

Result<std::unique_ptr<StateFolder>> StateFolder::Claim(const std::string& path) {
  if (auto made = MakeFolder(path); !made) return std::move(made).error();
  const std::string lock_path = path + "/lock";
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kPrivateFile);
  if (lock < 0) return FromErrno("cannot open " + lock_path);
  std::unique_ptr<StateFolder> folder(new StateFolder(path, lock));
  errno = TakeLock(lock);
  if (errno == 0) {
    WritePid(lock);
    return folder;
  }
  if (errno != EWOULDBLOCK) return FromErrno("cannot lock " + lock_path);
  const std::string pid = ReadPid(lock);
  return Error{ErrorKind::kConflict, "another autoscaled" +
                                         (pid.empty() ? "" : " (process " + pid + ")") +
                                         " uses the state folder " + path +
                                         ": stop it, or give this one a state_dir of its own"};
}

StateFolder::~StateFolder() { close(lock_); }

// SQLite creates its -wal and -shm files with the mode of the database. Only before SQLite has the
// file open: closing a descriptor drops the process's POSIX locks on it.
Result<std::string> StateFolder::PrivateFile(const std::string& name) const {
  std::string path = path_ + "/" + name;
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kPrivateFile);
  if (file < 0) return FromErrno("cannot open " + path);
  const bool set = fchmod(file, kPrivateFile) == 0;
  Error error = FromErrno("cannot set the mode of " + path);
  close(file);
  if (!set) return error;
  return path;
}

}  // namespace autoscale
