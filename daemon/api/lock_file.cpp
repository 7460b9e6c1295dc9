#include "daemon/api/lock_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "daemon/lock.h"

namespace autoscale {
namespace {

std::string ErrnoText(int code) { return std::generic_category().message(code); }

// "process 4711", or what can be said when the holder has not written its id yet.
std::string Holder(int fd) {
  std::array<char, 16> text{};
  const ssize_t n = pread(fd, text.data(), text.size() - 1, 0);
  std::string pid(text.data(), n > 0 ? static_cast<size_t>(n) : 0);
  if (const size_t end = pid.find_first_not_of("0123456789"); end != std::string::npos) {
    pid.resize(end);
  }
  return pid.empty() ? "another process" : "process " + pid;
}

}  // namespace

Result<std::unique_ptr<LockFile>> LockFile::Take(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return Error{ErrorKind::kInvalid, "cannot open the lock file " + path + ": " +
                                          ErrnoText(errno) +
                                          "; may this user write to its folder?"};
  }
  std::unique_ptr<LockFile> lock(new LockFile(fd));
  if (const int fault = TakeLock(fd); fault != 0) {
    if (fault != EWOULDBLOCK) {
      return Error{ErrorKind::kInternal, "cannot lock " + path + ": " + ErrnoText(fault)};
    }
    return Error{ErrorKind::kConflict,
                 "another autoscaled is running: " + Holder(fd) + " holds " + path +
                     "; stop it first, or give this one its own control.socket"};
  }
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    return Error{ErrorKind::kInternal, "cannot write " + path + ": " + ErrnoText(errno)};
  }
  return lock;
}

LockFile::~LockFile() { close(fd_); }

}  // namespace autoscale
