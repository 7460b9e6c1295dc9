#include "tests/real/haproxy_process.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/real/http_probe.h"
#include "tests/real/parts.h"
#include "tests/signal_one.h"

namespace autoscale {
namespace {

// The text must still hold what is replaced, else something else is tested.
void Replace(std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) {
    std::fprintf(stderr, "haproxy.cfg no longer holds '%s'\n", from.c_str());
    std::abort();
  }
  text.replace(at, from.size(), to);
}

// The folder below which usr/sbin/haproxy is.
std::optional<std::filesystem::path> HaproxyRoot() {
  if (const auto parts = PartsRoot("haproxy/usr/sbin/haproxy")) return *parts / "haproxy";
  return PartsRoot("usr/sbin/haproxy");
}

// Where Debian's packages below the root have their libraries.
std::string LibraryPath(const std::filesystem::path& root) {
  std::string path;
  for (const auto& entry : std::filesystem::directory_iterator(root / "usr/lib")) {
    const std::string triplet = entry.path().filename();
    if (!triplet.ends_with("-linux-gnu")) continue;
    path += (root / "usr/lib" / triplet).string() + ":" + (root / "lib" / triplet).string();
  }
  return path;
}

std::vector<std::string> SplitText(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

}  // namespace

std::string HaproxyProcess::WhatIsMissing() {
  return HaproxyRoot() ? "" : "no haproxy: deploy/fetch-parts.sh build/parts haproxy gets it";
}

std::vector<std::string> HaproxyProcess::Command(const std::vector<std::string>& arguments) {
  const std::filesystem::path root = HaproxyRoot().value();
  std::vector<std::string> command = {root / "usr/sbin/haproxy"};
  if (root != "/") {
    command = {"/usr/bin/env", "LD_LIBRARY_PATH=" + LibraryPath(root), command.front()};
  }
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

HaproxyProcess::HaproxyProcess(const std::string& extra) : port_(FreePort()) {
  std::string folder = std::filesystem::temp_directory_path() / "haproxy-test-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) std::abort();
  folder_ = folder;
  std::string text = ReadWhole(std::filesystem::path(AUTOSCALE_SOURCE_DIR) /
                               "gateways/haproxy/haproxy.cfg.example");
  Replace(text, "/run/haproxy/admin.sock", socket());
  Replace(text, "group autoscaled ", "");  // there may be none here
  Replace(text, "bind :80", "bind 127.0.0.1:" + std::to_string(port_));
  Replace(text, "\ndefaults",
          "  stats socket " + operator_socket() + " level operator\n\ndefaults");
  std::ofstream(file()) << text << extra;
}

HaproxyProcess::~HaproxyProcess() {
  Stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

bool HaproxyProcess::Start() {
  // -W: a master that reloads by SIGUSR2, as Debian's unit does; -db: in the foreground.
  process_.emplace(Command({"-W", "-db", "-f", file()}),
                   folder_ / ("output-" + std::to_string(++starts_)));
  return Eventually([this] {
           return process_->Wait(std::chrono::seconds(0)) ||
                  Ask("show info").starts_with("Name: HAProxy");
         }) &&
         !process_->Wait(std::chrono::seconds(0));
}

void HaproxyProcess::Stop() {
  if (!process_) return;
  const std::vector<pid_t> workers = Workers();
  process_->Signal(SIGTERM);
  if (!process_->Wait(std::chrono::seconds(5))) {
    for (const pid_t worker : workers) SignalOne(worker, SIGKILL);
  }
  process_.reset();
}

void HaproxyProcess::Crash() {
  const std::vector<pid_t> workers = Workers();
  process_->Signal(SIGKILL);
  for (const pid_t worker : workers) SignalOne(worker, SIGKILL);
  process_->Wait();
  for (const pid_t worker : workers) Eventually([worker] { return kill(worker, 0) != 0; });
  process_.reset();
}

bool HaproxyProcess::Reload() {
  const auto pid_of_answer = [this] {
    for (const std::string& line : SplitText(Ask("show info"), '\n')) {
      if (line.starts_with("Pid: ")) return std::atoi(line.c_str() + 5);
    }
    return 0;
  };
  const int old = pid_of_answer();
  // For a moment either may answer, until the old one says that it listens no more.
  const auto reloaded = [&] {
    const int now = pid_of_answer();
    if (now == 0 || now == old) return false;
    const std::vector<std::string> lines = SplitText(Log(), '\n');
    return std::any_of(lines.begin(), lines.end(), [old](const std::string& line) {
      return line.find("(" + std::to_string(old) + ")") != std::string::npos &&
             line.find("Proxy checkout stopped") != std::string::npos;
    });
  };
  // A master that has only just started leaves a signal lying, now and then, until another comes.
  for (int tries = 0; tries < 10; ++tries) {
    process_->Signal(SIGUSR2);
    if (Eventually(reloaded, std::chrono::seconds(3 * kSlower))) return true;
  }
  return false;
}

void HaproxyProcess::Configure(const std::string& from, const std::string& to) {
  std::string text = ReadWhole(file());
  Replace(text, from, to);
  std::ofstream(file()) << text;
}

std::pair<int, std::string> HaproxyProcess::Check() const {
  Child check(Command({"-c", "-f", file()}), folder_ / "check");
  const int code = check.Wait().value_or(-1);
  return {code, check.Output() + check.Errors()};
}

std::string HaproxyProcess::Ask(const std::string& commands, const std::string& socket_path) const {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = socket_path.empty() ? socket() : socket_path;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    const std::string line = commands + "\n";
    static_cast<void>(send(fd, line.data(), line.size(), MSG_NOSIGNAL));
    char buffer[8192];
    for (ssize_t got = 0; (got = read(fd, buffer, sizeof buffer)) > 0;) {
      answer.append(buffer, static_cast<size_t>(got));
    }
  }
  close(fd);
  return answer;
}

int HaproxyProcess::Stat(const std::string& column, const std::string& server,
                         const std::string& backend) const {
  const std::vector<std::string> lines = SplitText(Ask("show stat"), '\n');
  if (lines.empty()) return -1;
  const std::vector<std::string> names = SplitText(lines[0].substr(2), ',');
  for (const std::string& line : lines) {
    const std::vector<std::string> fields = SplitText(line, ',');
    if (fields.size() < 2 || fields[0] != backend || fields[1] != server) continue;
    for (size_t i = 0; i < std::min(names.size(), fields.size()); ++i) {
      if (names[i] == column) return std::atoi(fields[i].c_str());
    }
  }
  return -1;
}

std::map<std::string, std::string> HaproxyProcess::Servers(const std::string& backend) const {
  std::map<std::string, std::string> servers;
  for (const std::string& line : SplitText(Ask("show servers state " + backend), '\n')) {
    const std::vector<std::string> fields = SplitText(line, ' ');
    if (fields.size() < 20 || fields[1] != backend) continue;
    const int admin = std::atoi(fields[6].c_str());
    servers[fields[3]] = std::string((admin & 1) != 0 ? "maint "
                                     : admin != 0     ? "drain "
                                                      : "ready ") +
                         fields[7];
  }
  return servers;
}

std::vector<pid_t> HaproxyProcess::Workers() const {
  const std::string pid = std::to_string(process_->pid());
  std::istringstream children(ReadWhole("/proc/" + pid + "/task/" + pid + "/children"));
  std::vector<pid_t> workers;
  for (pid_t child = 0; children >> child;) workers.push_back(child);
  return workers;
}

std::string HaproxyProcess::Log() const {
  return process_ ? process_->Output() + process_->Errors() : std::string();
}

}  // namespace autoscale
