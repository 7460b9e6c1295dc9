#include "providers/kubernetes/exec.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <system_error>
#include <utility>
#include <vector>

#include "providers/kubernetes/json.h"

extern char** environ;

namespace autoscale::kubernetes {
namespace {

constexpr Millis kLongest = std::chrono::seconds(30);
constexpr Millis kLookAgain{20};
constexpr size_t kMaxOutput = 1u << 20;

// "2030-01-02T03:04:05Z", with or without fractions; what else there is reads as nothing.
std::optional<std::chrono::system_clock::time_point> ReadTime(const std::string& text) {
  std::tm tm{};
  const char* const end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &tm);
  if (end == nullptr || text.empty() || text.back() != 'Z') return std::nullopt;
  return std::chrono::system_clock::from_time_t(timegm(&tm));
}

std::vector<std::string> EnvironmentOf(const ExecPlugin& plugin) {
  std::vector<std::string> lines;
  for (char** line = environ; *line != nullptr; ++line) lines.emplace_back(*line);
  for (const auto& [name, value] : plugin.environment) lines.push_back(name + "=" + value);
  const Json info = {{"kind", "ExecCredential"},
                     {"apiVersion", plugin.api_version},
                     {"spec", {{"interactive", false}}}};
  lines.push_back("KUBERNETES_EXEC_INFO=" + info.dump());
  return lines;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// In a process group of its own, with no signal blocked, and nothing to read.
int Spawn(const ExecPlugin& plugin, int output, pid_t& pid) {
  std::vector<std::string> arguments = plugin.command;
  std::vector<std::string> environment = EnvironmentOf(plugin);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  const int code = posix_spawnp(&pid, arguments.front().c_str(), &actions, &attributes,
                                Pointers(arguments).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return code;
}

}  // namespace

Result<ExecCredential> ReadExecCredential(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (Text(At(json, "kind")) != "ExecCredential") {
    return Error{ErrorKind::kUnavailable, "it did not print an ExecCredential"};
  }
  const Json& status = At(json, "status");
  ExecCredential credential{.token = Text(At(status, "token")),
                            .client_cert_pem = Text(At(status, "clientCertificateData")),
                            .client_key_pem = Text(At(status, "clientKeyData")),
                            .expires = ReadTime(Text(At(status, "expirationTimestamp")))};
  if (credential.token.empty() && credential.client_cert_pem.empty()) {
    return Error{ErrorKind::kUnavailable, "it printed neither a token nor a certificate"};
  }
  return credential;
}

ExecRun::ExecRun(EventLoop& loop, const ExecPlugin& plugin, Callback done)
    : loop_(loop), program_(plugin.command.front()), done_(std::move(done)) {
  if (Status started = Start(plugin); !started.ok()) {
    Error error = std::move(started).error();
    if (!plugin.install_hint.empty()) error.message += "; " + plugin.install_hint;
    loop_.Post([this, alive = std::weak_ptr<int>(alive_), error = std::move(error)] {
      if (!alive.expired()) Finish(error);
    });
    return;
  }
  loop_.Watch(output_, EPOLLIN, [this](uint32_t) { OnOutput(); });
  deadline_ = loop_.After(kLongest, [this] {
    Finish(Error{ErrorKind::kUnavailable, "it did not end within 30s"});
  });
}

ExecRun::~ExecRun() { End(); }

Status ExecRun::Start(const ExecPlugin& plugin) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Error{ErrorKind::kExhausted, "no pipe: " + std::generic_category().message(errno)};
  }
  const int code = Spawn(plugin, ends[1], pid_);
  close(ends[1]);
  output_ = ends[0];
  fcntl(output_, F_SETFL, O_NONBLOCK);  // ours only: the program's end blocks, as it expects
  if (code == 0) return Ok{};
  pid_ = -1;
  return Error{ErrorKind::kUnavailable,
               "it cannot be run: " + std::generic_category().message(code)};
}

void ExecRun::OnOutput() {
  std::array<char, 4096> part{};
  const ssize_t n = read(output_, part.data(), part.size());
  if (n > 0 && text_.size() < kMaxOutput) {
    text_.append(part.data(), static_cast<size_t>(n));
    return;
  }
  // It is watched still, unless enough was read.
  if (n < 0 && (errno == EINTR || errno == EAGAIN) && text_.size() < kMaxOutput) return;
  loop_.Unwatch(output_);
  int status = 0;
  // It has closed its output, or printed too much of it, and not ended yet.
  if (waitpid(pid_, &status, WNOHANG) != pid_) {
    loop_.After(kLookAgain, [this, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired() && pid_ > 0) OnOutput();
    });
    return;
  }
  pid_ = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Finish(ReadExecCredential(text_));
  Finish(Error{ErrorKind::kUnavailable,
               WIFEXITED(status) ? "it exited with status " + std::to_string(WEXITSTATUS(status))
                                 : "it was ended by signal " + std::to_string(WTERMSIG(status))});
}

// The callback may destroy this object.
void ExecRun::Finish(Result<ExecCredential> result) {
  End();
  const auto done = std::move(done_);
  if (result.ok()) return done(std::move(result));
  done(std::move(result).error().Within("the credential plugin " + program_));
}

void ExecRun::End() {
  loop_.Cancel(deadline_);
  if (output_ >= 0) {
    loop_.Unwatch(output_);
    close(output_);
    output_ = -1;
  }
  if (pid_ > 0) {
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

}  // namespace autoscale::kubernetes
