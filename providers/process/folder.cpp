#include "providers/process/folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <set>

#include "engine/model/file.h"
#include "providers/process/pidfd.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

// Rounds of a hunt for processes that multiply.
constexpr int kMostLooks = 20;

Error FileError(const std::string& what, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EMFILE || code == ENFILE;
  return {full ? ErrorKind::kExhausted : ErrorKind::kUnavailable,
          what + ": " + std::strerror(code)};
}

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Whether the process holds the lock: has a descriptor of the very open file that was locked, which
// it can only have inherited. Someone who just reads the file has not. Processes of others cannot
// be looked into: not ours.
bool Holds(const fs::path& process, const struct stat& lock) {
  std::error_code fault;
  for (fs::directory_iterator it(process / "fd", fault), end; !fault && it != end;
       it.increment(fault)) {
    struct stat file {};
    if (stat(it->path().c_str(), &file) != 0) continue;
    if (file.st_ino != lock.st_ino || file.st_dev != lock.st_dev) continue;
    const auto info = ReadFile(process / "fdinfo" / it->path().filename());
    if (info.ok() && info->find("FLOCK") != std::string::npos) return true;
  }
  return false;
}

// One look through /proc; whether it found a holder that is not among the killed yet.
bool KillNewHolders(const struct stat& lock, std::set<pid_t>& killed) {
  bool found = false;
  std::error_code fault;
  for (fs::directory_iterator it("/proc", fault), end; !fault && it != end; it.increment(fault)) {
    const std::string name = it->path().filename();
    pid_t pid = 0;
    auto [last, wrong] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (wrong != std::errc() || last != name.data() + name.size()) continue;
    if (pid <= 1 || pid == getpid() || killed.contains(pid) || !Holds(it->path(), lock)) continue;
    UniqueFd pidfd(pidfd_open(pid, 0));
    // Looked at again through the descriptor's process, in case the pid has just changed hands.
    if (!pidfd || !Holds(it->path(), lock)) continue;
    pidfd_send_signal(pidfd.get(), SIGKILL, nullptr, 0);
    killed.insert(pid);
    found = true;
  }
  return found;
}

void RotateFile(const std::string& path, uint64_t max_bytes) {
  const UniqueFd from(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!from || fstat(from.get(), &info) != 0) return;
  if (static_cast<uint64_t>(info.st_size) <= max_bytes) return;
  // The instance keeps its descriptor, so the file cannot be renamed away: copy, then cut. It is
  // written with O_APPEND and goes on at the new end. No more than the limit is copied, however
  // much was written: neither the disk nor our time is the instance's.
  const UniqueFd to(open((path + ".1").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  off_t at = info.st_size - static_cast<off_t>(max_bytes);
  while (to && at < info.st_size) {
    const auto rest = static_cast<size_t>(info.st_size - at);
    if (sendfile(to.get(), from.get(), &at, rest) <= 0) break;  // a full disk loses the older part
  }
  if (truncate(path.c_str(), 0) != 0) return;  // tried again with the next look
}

}  // namespace

Status InstanceFolder::Create() const {
  std::error_code fault;
  fs::create_directories(fs::path(path_).parent_path(), fault);
  if (fault) return FileError("cannot make the folder " + path_, fault.value());
  if (mkdir(path_.c_str(), 0750) == 0) return Ok{};
  if (errno == EEXIST) return Error{ErrorKind::kConflict, "the folder " + path_ + " exists"};
  return FileError("cannot make the folder " + path_, errno);
}

Status InstanceFolder::Write(const std::string& name, const std::string& text) const {
  const std::string path = At(name), draft = path + ".new";
  UniqueFd fd(open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!fd || !WriteAll(fd.get(), text) || rename(draft.c_str(), path.c_str()) != 0) {
    return FileError("cannot write " + path, errno);
  }
  return Ok{};
}

std::optional<std::string> InstanceFolder::Read(const std::string& name) const {
  UniqueFd fd(open(At(name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  char buffer[4096];  // our own files, all far shorter
  const ssize_t n = read(fd.get(), buffer, sizeof buffer);
  if (n < 0) return std::nullopt;
  return std::string(buffer, static_cast<size_t>(n));
}

Status InstanceFolder::CheckReadable() const {
  const auto judge = [](const std::string& path, int code) -> Status {
    const bool ours = code == EMFILE || code == ENFILE || code == ENOMEM;
    if (code == 0 || code == ENOENT || ours) return Ok{};
    return FileError("cannot read " + path, code);
  };
  const UniqueFd folder(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return judge(path_, errno);
  for (const char* name : {"claim", "record", "gone"}) {
    char byte = 0;
    const UniqueFd file(openat(folder.get(), name, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    const int code = file && read(file.get(), &byte, 1) >= 0 ? 0 : errno;
    if (Status read = judge(At(name), code); !read) return read;
  }
  return Ok{};
}

UniqueFd InstanceFolder::Lock() const {
  UniqueFd fd(open(At("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (fd && flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return UniqueFd();
  return fd;
}

int InstanceFolder::KillHolders() const {
  struct stat lock {};
  if (stat(At("lock").c_str(), &lock) != 0) return 0;
  std::set<pid_t> killed;
  // Until a look finds nobody new: a child started behind the look's back has a holder's lock.
  for (int look = 0; look < kMostLooks; ++look) {
    if (!KillNewHolders(lock, killed)) break;
  }
  return static_cast<int>(killed.size());
}

void InstanceFolder::RotateOutput(uint64_t max_bytes) const {
  RotateFile(At("stdout.log"), max_bytes);
  RotateFile(At("stderr.log"), max_bytes);
}

std::string InstanceFolder::LastWords() const {
  constexpr off_t kTail = 160;  // bytes; a line on a screen and a half
  UniqueFd fd(open(At("stderr.log").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  const off_t size = lseek(fd.get(), 0, SEEK_END);
  char buffer[kTail];
  const ssize_t n = pread(fd.get(), buffer, kTail, std::max<off_t>(0, size - kTail));
  if (n <= 0) return {};
  std::string text(buffer, static_cast<size_t>(n));
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  if (const size_t newline = text.rfind('\n'); newline != std::string::npos) {
    text.erase(0, newline + 1);
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return text;
}

void InstanceFolder::Retire(size_t keep) const {
  const fs::path from(path_), attic = from.parent_path() / ".gone", to = attic / from.filename();
  std::error_code fault;
  fs::create_directory(attic, fault);
  fs::remove_all(to, fault);
  fs::rename(from, to, fault);
  if (fault) return Remove();
  std::vector<std::pair<fs::file_time_type, fs::path>> kept;
  for (fs::directory_iterator it(attic, fault), end; !fault && it != end; it.increment(fault)) {
    std::error_code ignored;
    kept.emplace_back(fs::last_write_time(it->path(), ignored), it->path());
  }
  std::sort(kept.begin(), kept.end(), std::greater<>());
  for (size_t i = keep; i < kept.size(); ++i) fs::remove_all(kept[i].second, fault);
}

void InstanceFolder::Remove() const {
  std::error_code fault;
  fs::remove_all(path_, fault);
}

}  // namespace autoscale
