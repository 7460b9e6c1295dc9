#include "daemon/worker/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>
#include <utility>
#include <vector>

namespace autoscale {
namespace {

using std::chrono::nanoseconds;

// To start a program of its size takes 2-25 ms; on a busy machine far more.
constexpr Millis kReadyTimeout{10'000};
// A policy ends itself at the limit, except within C code: only then is it killed.
constexpr Millis kGrace{50};
// A worker that is stopped or starved, not busy, is given this long, and ten times its limit.
constexpr Millis kStall{1'000};
constexpr Millis kLongestStall{5'000};
// Descriptors are first moved here, out of the way of those the worker expects.
constexpr int kFreeDescriptors = 10;

nanoseconds Now(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return nanoseconds(0);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

nanoseconds ProcessorTime(int pid) {
  clockid_t clock{};
  return clock_getcpuclockid(pid, &clock) == 0 ? Now(clock) : nanoseconds(0);
}

Error SystemError(const std::string& what) {
  return {ErrorKind::kExhausted, what + ": " + std::strerror(errno)};
}

// The daemon's environment may hold secrets, which are none of the worker's business.
std::vector<char*> WorkerEnvironment() {
  std::vector<char*> out;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    for (const char* allowed : {"LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "TSAN_OPTIONS=",
                                "UBSAN_OPTIONS=", "LSAN_OPTIONS="}) {
      if (std::strncmp(*variable, allowed, std::strlen(allowed)) == 0) out.push_back(*variable);
    }
  }
  out.push_back(nullptr);
  return out;
}

std::string DescribeEnd(int status) {
  if (WIFSIGNALED(status)) return std::string("killed by ") + strsignal(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::Spawn(const std::string& executable,
                                                            const PolicyLimits& limits) {
  std::unique_ptr<WorkerProcess> process(new WorkerProcess(limits.wall));
  Status done = process->Open();
  if (done) done = process->Launch(executable);
  if (done) done = process->Configure(executable, limits);
  if (!done) return std::move(done).error().Within("policy worker");
  return process;
}

WorkerProcess::~WorkerProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (progress_ != nullptr) munmap(progress_, sizeof(Progress));
  for (const int descriptor : {socket_, worker_socket_, memory_}) {
    if (descriptor >= 0) close(descriptor);
  }
}

Status WorkerProcess::Open() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return SystemError("cannot make a socket pair");
  }
  socket_ = pair[0];
  worker_socket_ = fcntl(pair[1], F_DUPFD_CLOEXEC, kFreeDescriptors);
  close(pair[1]);
  const int memory = memfd_create("autoscaled-policy-worker", MFD_CLOEXEC);
  memory_ = memory < 0 ? -1 : fcntl(memory, F_DUPFD_CLOEXEC, kFreeDescriptors);
  if (memory >= 0) close(memory);
  if (worker_socket_ < 0 || memory_ < 0 || ftruncate(memory_, sizeof(Progress)) != 0 ||
      fcntl(socket_, F_SETFL, O_NONBLOCK) != 0) {
    return SystemError("cannot set up its socket and memory");
  }
  void* mapped = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED, memory_, 0);
  if (mapped == MAP_FAILED) return SystemError("cannot map its memory");
  progress_ = new (mapped) Progress(0);
  return Ok{};
}

Status WorkerProcess::Launch(const std::string& executable) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, worker_socket_, kWorkerSocket);
  posix_spawn_file_actions_adddup2(&files, memory_, kWorkerProgress);
  posix_spawn_file_actions_addclosefrom_np(&files, kWorkerProgress + 1);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  // A group of its own: Ctrl-C is for the daemon, whose end the worker then sees on its socket.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(
      &attributes,
      static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP));
  std::string name = executable;
  char* arguments[] = {name.data(), nullptr};
  std::vector<char*> environment = WorkerEnvironment();
  const int failed =
      posix_spawn(&pid_, executable.c_str(), &files, &attributes, arguments, environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  close(worker_socket_);
  worker_socket_ = -1;
  if (failed == 0) return Ok{};
  pid_ = -1;
  if (failed == EAGAIN) {
    return Error{
        ErrorKind::kExhausted,
        "cannot start " + executable + ": no more processes may be started (TasksMax=, ulimit -u)"};
  }
  return Error{ErrorKind::kUnavailable,
               "cannot start " + executable + ": " + std::strerror(failed) +
                   "; is it installed beside autoscaled, in ../libexec/autoscaled?"};
}

Status WorkerProcess::Configure(const std::string& executable, const PolicyLimits& limits) {
  std::string frame;
  FrameWriter out(frame);
  out.Begin(FrameKind::kConfigure);
  PutLimits(out, limits);
  out.Finish();
  const bool sent =
      send(socket_, frame.data(), frame.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(frame.size());
  pollfd readable{.fd = socket_, .events = POLLIN, .revents = 0};
  const bool answered = sent && poll(&readable, 1, static_cast<int>(kReadyTimeout.count())) > 0;
  char ready[5] = {};
  if (answered && recv(socket_, ready, sizeof ready, 0) == sizeof ready && ready[0] == 1 &&
      ready[4] == static_cast<char>(FrameKind::kReady)) {
    return Ok{};
  }
  std::string why = "did not get ready within " + std::to_string(kReadyTimeout.count()) + " ms";
  int status = 0;
  if (!sent || answered) {
    // It has closed its socket, or is no policy worker; either way it is not needed any more.
    for (int i = 0; i < 100 && pid_ > 0; ++i) {
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        why = DescribeEnd(status) + " before it was ready";
      } else {
        poll(nullptr, 0, 10);
      }
    }
    if (pid_ > 0) why = "did not answer as a policy worker of this version does";
  }
  return Error{ErrorKind::kUnavailable, executable + " " + why};
}

std::optional<uint32_t> WorkerProcess::running() const {
  const uint32_t position = PositionIn(progress_->load());
  return position == 0 ? std::nullopt : std::optional(position - 1);
}

void WorkerProcess::Mark(uint32_t progress) {
  mark_progress_ = progress;
  mark_time_ = Now(CLOCK_MONOTONIC);
  mark_cpu_ = ProcessorTime(pid_);
}

Millis WorkerProcess::Wall(uint32_t progress) const {
  const uint32_t position = PositionIn(progress);
  return position == 0 || position > walls_.size() ? wall_ : walls_[position - 1];
}

std::optional<Loss> WorkerProcess::Exchange(const std::string& frames,
                                            std::span<const Millis> walls, std::string& answer,
                                            std::stop_token stop) {
  walls_ = walls;
  stop_ = std::move(stop);
  progress_->store(0);
  Mark(0);
  if (const auto lost = Write(frames)) return lost;
  uint32_t length = 0;
  if (const auto lost = Read(reinterpret_cast<char*>(&length), sizeof length)) return lost;
  if (length > kMaxFrame) return Loss::kDied;
  answer.resize(length);
  return Read(answer.data(), length);
}

std::optional<Loss> WorkerProcess::Wait(short events) {
  for (;;) {
    pollfd ready{.fd = socket_, .events = events, .revents = 0};
    const Millis wall = Wall(progress_->load());
    const auto period = std::clamp<int64_t>(wall.count() / 2, 5, 100);
    const int count = poll(&ready, 1, static_cast<int>(period));
    if (count > 0) return std::nullopt;
    if (count < 0 && errno != EINTR) return Loss::kDied;
    if (stop_.stop_requested()) return Loss::kLeft;
    const uint32_t progress = progress_->load();
    if (progress != mark_progress_) {
      Mark(progress);
    } else if (ProcessorTime(pid_) - mark_cpu_ > 2 * Wall(progress) + kGrace) {
      return Loss::kHung;
    } else if (Now(CLOCK_MONOTONIC) - mark_time_ >
               std::min<nanoseconds>(10 * Wall(progress) + kStall, kLongestStall)) {
      return Loss::kStalled;
    }
  }
}

std::optional<Loss> WorkerProcess::Write(const std::string& frames) {
  for (size_t sent = 0; sent < frames.size();) {
    const ssize_t count = send(socket_, frames.data() + sent, frames.size() - sent, MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      if (const auto lost = Wait(POLLOUT)) return lost;
    } else if (errno != EINTR) {
      return Loss::kDied;
    }
  }
  return std::nullopt;
}

std::optional<Loss> WorkerProcess::Read(char* to, size_t size) {
  for (size_t got = 0; got < size;) {
    const ssize_t count = recv(socket_, to + got, size - got, 0);
    if (count > 0) {
      got += static_cast<size_t>(count);
    } else if (count < 0 && errno == EAGAIN) {
      if (const auto lost = Wait(POLLIN)) return lost;
    } else if (count == 0 || errno != EINTR) {
      return Loss::kDied;
    }
  }
  return std::nullopt;
}

}  // namespace autoscale
