#include "providers/plugin/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "providers/plugin/handshake.h"

namespace autoscale {
namespace {

// Of the daemon's own environment only what every program expects; secrets stay here.
constexpr const char* kPassedOn[] = {"PATH", "HOME",   "USER",     "LOGNAME", "SHELL",
                                     "LANG", "LC_ALL", "LC_CTYPE", "TZ",      "TMPDIR"};
constexpr const char* kUsualPath = "/usr/local/bin:/usr/bin:/bin";
constexpr int kSignalBase = 128;  // of exit statuses that stand for a signal, as shells have it

std::string Reason(int error) { return std::generic_category().message(error); }

std::vector<std::string> EnvironmentOf(const PluginCommand& command, const std::string& folder) {
  std::map<std::string, std::string> variables = {{"PATH", kUsualPath}};
  const auto pass = [&variables](const char* name) {
    if (const char* value = std::getenv(name)) variables[name] = value;
  };
  for (const char* name : kPassedOn) pass(name);
  for (const std::string& name : command.inherit) pass(name.c_str());
  for (const auto& [name, value] : command.environment) variables[name] = value;
  variables[kPluginCookieName] = kPluginCookieValue;
  variables["PLUGIN_PROTOCOL_VERSIONS"] = "1";
  variables["PLUGIN_UNIX_SOCKET_DIR"] = folder;
  std::vector<std::string> lines;
  lines.reserve(variables.size());
  for (auto& [name, value] : variables) lines.push_back(value.insert(0, name + "="));
  return lines;
}

// An array for exec from strings that outlive it.
std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

struct Pipe {
  Descriptor out, in;  // out of it is read, into it written
};

Status MakePipe(Pipe& pipe) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Error{ErrorKind::kExhausted, "no pipe: " + Reason(errno)};
  }
  pipe.out = Descriptor(ends[0]);
  pipe.in = Descriptor(ends[1]);
  return Ok{};
}

// In a process group of its own, with no signal blocked or ignored, and nothing of ours open.
int SpawnRunner(std::vector<std::string> arguments, std::vector<std::string> environment, int input,
                int output, int errors, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  const int fault = posix_spawn(&pid, arguments.front().c_str(), &actions, &attributes,
                                Pointers(arguments).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return fault;
}

std::string HowItEnded(int status) {
  int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  if (code > kSignalBase && code < kSignalBase + NSIG) signal = code - kSignalBase;
  if (signal == 0) return "it exited with status " + std::to_string(code);
  const char* const name = sigabbrev_np(signal);
  return "it was ended by signal " + std::to_string(signal) +
         (name == nullptr ? "" : " (SIG" + std::string(name) + ")");
}

}  // namespace

std::string DefaultPluginRunner() {
  std::error_code fault;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", fault);
  return (self.parent_path() / "../libexec/autoscaled/autoscaled-plugin").lexically_normal();
}

Result<std::shared_ptr<PluginProcess>> PluginProcess::Start(EventLoop& loop,
                                                            const std::string& runner,
                                                            const PluginCommand& command,
                                                            const std::string& folder,
                                                            Listeners listeners) {
  std::shared_ptr<PluginProcess> process(new PluginProcess(loop, std::move(listeners)));
  if (Status spawned = process->Spawn(runner, command, folder); !spawned.ok()) {
    return std::move(spawned).error();
  }
  return process;
}

Status PluginProcess::Spawn(const std::string& runner, const PluginCommand& command,
                            const std::string& folder) {
  Pipe input, output, errors;
  for (Pipe* pipe : {&input, &output, &errors}) {
    if (Status made = MakePipe(*pipe); !made.ok()) return made;
  }
  // The helper keeps the lock while the program lives: two of them never run.
  std::vector<std::string> arguments = {runner, folder + "/lock", command.sha256};
  arguments.insert(arguments.end(), command.command.begin(), command.command.end());
  const int fault = SpawnRunner(std::move(arguments), EnvironmentOf(command, folder),
                                input.out.get(), output.in.get(), errors.in.get(), pid_);
  if (fault != 0) {
    pid_ = -1;
    return Error{ErrorKind::kUnavailable, "cannot start " + runner + ": " + Reason(fault)};
  }
  pidfd_ = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_) {
    const int error = errno;
    Reap();
    return Error{ErrorKind::kExhausted, "cannot watch its process: " + Reason(error)};
  }
  lifeline_ = std::move(input.in);
  fcntl(output.out.get(), F_SETFL, O_NONBLOCK);
  fcntl(errors.out.get(), F_SETFL, O_NONBLOCK);
  output_ = std::make_unique<OutputReader>(loop_, std::move(output.out), listeners_.on_output);
  errors_ = std::make_unique<OutputReader>(loop_, std::move(errors.out), listeners_.on_errors);
  loop_.Watch(pidfd_.get(), EPOLLIN, [this](uint32_t) { OnEnd(); });
  return Ok{};
}

PluginProcess::~PluginProcess() { Kill(); }

void PluginProcess::OnEnd() {
  loop_.Unwatch(pidfd_.get());
  const std::string how = HowItEnded(Reap());
  if (errors_) errors_->Drain();
  if (output_) output_->Drain();
  listeners_.on_end(how);
}

int PluginProcess::Reap() {
  int status = 0;
  if (pid_ <= 0) return status;
  kill(-pid_, SIGKILL);
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

void PluginProcess::Kill() {
  if (pidfd_) loop_.Unwatch(pidfd_.get());
  Reap();
}

bool PluginProcess::AwaitEnd(std::chrono::steady_clock::time_point until) const {
  if (pid_ <= 0) return true;
  pollfd ended{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  while (true) {
    const auto left = std::chrono::ceil<Millis>(until - std::chrono::steady_clock::now());
    const int n = poll(&ended, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

}  // namespace autoscale
