#include "tests/unit/haproxy/fake_runtime_api.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace autoscale {
namespace {

std::vector<std::string> SplitAt(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

// What HAProxy 2.6 writes: a line with its severity in front where that was asked for.
std::string Says(bool numbers, int severity, const std::string& text) {
  return (numbers ? "[" + std::to_string(severity) + "]: " : "") + text + "\n\n";
}

}  // namespace

FakeRuntimeApi::FakeRuntimeApi(const std::vector<std::string>& backends) : names_(backends) {
  static std::atomic<int> count{0};
  path_ = std::filesystem::temp_directory_path() /
          ("fake-haproxy-" + std::to_string(getpid()) + "-" + std::to_string(++count));
  for (const std::string& backend : backends) backends_[backend] = {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  unlink(path_.c_str());
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_, 64) != 0) {
    std::abort();
  }
  thread_ = std::thread([this] { Serve(); });
}

FakeRuntimeApi::~FakeRuntimeApi() {
  stops_ = true;
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
  for (const int connection : hung_) close(connection);
  unlink(path_.c_str());
}

void FakeRuntimeApi::Forget() {
  const std::lock_guard lock(mutex_);
  for (auto& [name, servers] : backends_) servers.clear();
}

void FakeRuntimeApi::ReloadAt(const std::string& beginning) {
  const std::lock_guard lock(mutex_);
  reloads_at_ = beginning;
}

void FakeRuntimeApi::Put(const std::string& backend, const std::string& name, Server server) {
  const std::lock_guard lock(mutex_);
  backends_.at(backend)[name] = std::move(server);
}

void FakeRuntimeApi::Load(const std::string& backend, const std::string& name, int served,
                          int queued) {
  const std::lock_guard lock(mutex_);
  Server& server = backends_.at(backend).at(name);
  server.served = served;
  server.queued = queued;
}

void FakeRuntimeApi::Refuse(const std::string& beginning, const std::string& text) {
  const std::lock_guard lock(mutex_);
  refusals_[beginning] = text;
}

void FakeRuntimeApi::DieAfter(int changes) {
  const std::lock_guard lock(mutex_);
  dies_after_ = changes;
}

FakeRuntimeApi::Servers FakeRuntimeApi::Of(const std::string& backend) const {
  const std::lock_guard lock(mutex_);
  return backends_.at(backend);
}

std::vector<std::string> FakeRuntimeApi::history() const {
  const std::lock_guard lock(mutex_);
  return history_;
}

void FakeRuntimeApi::ClearHistory() {
  const std::lock_guard lock(mutex_);
  history_.clear();
}

void FakeRuntimeApi::Serve() {
  while (!stops_) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    ++connections_;
    if (mood_ == Mood::kHangs) {
      hung_.push_back(connection);
      continue;
    }
    Converse(connection);
    close(connection);
  }
}

void FakeRuntimeApi::Converse(int connection) {
  std::string line;
  for (char c = 0; read(connection, &c, 1) == 1 && c != '\n';) line += c;
  const auto send_all = [connection](const std::string& text) {
    return send(connection, text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
  };
  const Mood mood = mood_;
  if (mood == Mood::kDrops) return;
  if (mood == Mood::kGarbage) {
    send_all("SSH-2.0-OpenSSH_9.2\r\n");
    return;
  }
  if (mood == Mood::kEndless) {
    while (!stops_ && send_all(std::string(65536, 'x'))) {
    }
    return;
  }
  std::string answer;
  bool numbers = false;
  for (const std::string& command : SplitAt(line, ';')) {
    if (!Run(command, numbers, answer)) return;
  }
  if (mood == Mood::kHalfAnswers) answer.resize(answer.size() / 2);
  send_all(answer);
}

// False: it dies here.
bool FakeRuntimeApi::Run(const std::string& command, bool& numbers, std::string& answer) {
  const std::lock_guard lock(mutex_);
  if (!reloads_at_.empty() && command.starts_with(reloads_at_)) {
    reloads_at_.clear();
    uptime_ = 0;
    for (auto& [name, servers] : backends_) servers.clear();
  }
  if (command == "set severity-output number") {
    numbers = true;
    answer += "\n";
  } else if (command == "show info") {
    answer += "Name: HAProxy\nVersion: 2.6.12\nUptime_sec: " + std::to_string(uptime_) +
              "\nTainted: 0\n\n";
  } else if (command.starts_with("show servers state ")) {
    answer += ShowServers(command.substr(19));
  } else if (command.starts_with("show stat ")) {
    answer += ShowStat(std::atoi(command.c_str() + 10));
  } else {
    if (dies_after_ == 0) {
      dies_after_ = -1;
      return false;
    }
    if (dies_after_ > 0) --dies_after_;
    history_.push_back(command);
    answer += Change(command, numbers);
  }
  return true;
}

std::string FakeRuntimeApi::Change(const std::string& command, bool numbers) {
  for (const auto& [beginning, text] : refusals_) {
    if (command.starts_with(beginning)) return Says(numbers, 3, text);
  }
  const std::vector<std::string> words = SplitAt(command, ' ');
  if (words.size() < 3) return Says(numbers, 6, "Unknown command");
  const size_t slash = words[2].find('/');
  const auto backend = backends_.find(words[2].substr(0, slash));
  const std::string name = words[2].substr(slash + 1);
  if (backend == backends_.end()) return Says(numbers, 3, "No such backend.");
  Servers& servers = backend->second;
  if (words[0] == "add") {
    if (servers.contains(name)) {
      return Says(numbers, 3, "Already exists a server with the same name in backend.");
    }
    const size_t colon = words[3].rfind(':');
    std::string host = words[3].substr(0, colon);
    if (host.front() == '[') host = host.substr(1, host.size() - 2);
    servers[name] = {.id = std::atoi(words[7].c_str()),
                     .host = host,
                     .port = std::atoi(words[3].c_str() + colon + 1),
                     .weight = std::atoi(words[5].c_str())};
    return Says(numbers, 6, "New server registered.");
  }
  if (!servers.contains(name)) return Says(numbers, 3, "No such server.");
  if (words[0] == "set") return Set(words, servers, numbers);
  const Server& server = servers.at(name);
  if ((server.admin & 1) == 0) {
    return Says(numbers, 3, "Only servers in maintenance mode can be deleted.");
  }
  if (server.served > 0) {
    return Says(numbers, 3, "Server still has connections attached to it, cannot remove it.");
  }
  servers.erase(name);
  return Says(numbers, 6, "Server deleted.");
}

std::string FakeRuntimeApi::Set(const std::vector<std::string>& words, Servers& servers,
                                bool numbers) {
  Server& server = servers.at(words[2].substr(words[2].find('/') + 1));
  if (words[3] == "weight") server.weight = std::atoi(words[4].c_str());
  if (words[3] == "state") server.admin = words[4] == "ready" ? 0 : words[4] == "drain" ? 8 : 1;
  if (words[3] != "addr") return "\n";
  server.host = words[4];
  server.port = std::atoi(words[6].c_str());
  return Says(numbers, 4, "IP changed");
}

std::string FakeRuntimeApi::ShowServers(const std::string& backend) const {
  const auto found = backends_.find(backend);
  if (found == backends_.end()) return "Can't find backend.\n\n";
  std::ostringstream text;
  text << "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight "
          "srv_iweight srv_port\n";
  for (const auto& [name, server] : found->second) {
    for (size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == backend) text << 3 + i;
    }
    text << " " << backend << " " << server.id << " " << name << " " << server.host << " 2 "
         << server.admin << " " << server.weight << " 1 " << server.port << "\n";
  }
  text << "\n";
  return text.str();
}

std::string FakeRuntimeApi::ShowStat(int id) const {
  const size_t index = static_cast<size_t>(id) - 3;
  if (index >= names_.size()) return "No such proxy.\n\n";
  std::ostringstream text;
  text << "# pxname,svname,qcur,qmax,scur,smax,status,\n";
  for (const auto& [name, server] : backends_.at(names_[index])) {
    text << names_[index] << "," << name << "," << server.queued << ",0," << server.served
         << ",0,no check,\n";
  }
  text << "\n";
  return text.str();
}

}  // namespace autoscale
