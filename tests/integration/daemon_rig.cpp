#include "tests/integration/daemon_rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "tests/signal_one.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShownLog = 8192;  // of the daemon, when a test failed

bool IsFree(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return free;
}

// The first of enough free ports in a row. Starts where other tests that run now do not, and stays
// below the ports that clients are given.
int FreePorts(int count) {
  constexpr int kLowest = 12'000, kAll = 7200;
  const int ranges = kAll / count;
  for (int i = 0; i < ranges; ++i) {
    const int first = kLowest + (getpid() + i) % ranges * count;
    bool free = true;
    for (int port = first; free && port < first + count; ++port) free = IsFree(port);
    if (free) return first;
  }
  std::abort();
}

// The arguments of a process; empty when there is none.
std::vector<std::string> CommandOf(const fs::path& process) {
  std::istringstream text(ReadWhole(process / "cmdline"));
  std::vector<std::string> words;
  for (std::string word; std::getline(text, word, '\0');) words.push_back(word);
  return words;
}

// Calls `look` with the folder in /proc and the pid of every process whose link there ("exe",
// "cwd") leads to this path.
template <typename Look>
void ForEachProcess(const char* link, const fs::path& path, const Look& look) {
  std::error_code ended;  // processes come and go while we look
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid > 0 && fs::read_symlink(entry.path() / link, ended) == path) look(entry, pid);
  }
}

// The program that becomes an instance.
constexpr const char* kLauncher = "libexec/autoscaled/autoscaled-launch";

}  // namespace

testing::AssertionResult Says(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    if (text.find(part) == std::string::npos) {
      return testing::AssertionFailure() << "no '" << part << "' in:\n" << text;
    }
  }
  return testing::AssertionSuccess();
}

std::string BuiltProgram(const std::string& path) {
  return fs::canonical(fs::path(AUTOSCALE_BUILD) / path);
}

DaemonRig::DaemonRig(int services) : first_port_(FreePorts(kPortsOfService * services)) {
  std::string folder = (fs::temp_directory_path() / "autoscaled-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) std::abort();
  folder_ = fs::canonical(folder);
  for (const char* name : {"services.d", "policies", "output", "run"}) {
    fs::create_directory(folder_ / name);
  }
  prometheus_yaml_ = "{url: \"" + prometheus_.Url() + "\", timeout: 200ms}";
  daemon_yaml_ = R"(
listen: 127.0.0.1:0
state_dir: state
control: {socket: control.sock}
metrics:
  load:
    {query: load, unit: count, match: {service: "{{service}}"}, series: load, expect: 1, max_age: 5s}
)";
}

DaemonRig::~DaemonRig() {
  if (testing::Test::HasFailure() && daemon_) {
    const std::string log = daemon_->Errors();
    std::cerr << log.substr(log.size() - std::min(log.size(), kShownLog));
  }
  daemon_.reset();  // first, or it would replace the backends
  EXPECT_TRUE(Eventually([this] {
    std::set<pid_t> pids = BackendPids();
    // One that was about to become a backend names its folder in our state.
    ForEachProcess("exe", Program(kLauncher), [&](const fs::path& process, pid_t pid) {
      const std::vector<std::string> command = CommandOf(process);
      if (command.size() > 1 && command[1].starts_with(folder_.string() + "/")) {
        pids.insert(pid);
      }
    });
    for (const pid_t pid : pids) SignalOne(pid, SIGKILL);
    return pids.empty();
  }));
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void DaemonRig::Write(const std::string& file, const std::string& text) const {
  std::ofstream(folder_ / file) << text;
}

void DaemonRig::ConfigureDaemon(const std::string& yaml) { daemon_yaml_ += yaml; }

void DaemonRig::WriteService(const std::string& name, const std::string& policy,
                             const std::string& extra, const std::vector<std::string>& backend) {
  std::string command = "\"" + BuiltProgram("demo/demo-backend") + "\", --port, \"{port}\"";
  for (const std::string& word : backend) command += ", \"" + word + "\"";
  const int first = TakePorts();
  Write("policies/" + name + ".lua", policy);
  Write("services.d/" + name + ".yaml",
        "service: " + name + "\npolicy: ../policies/" + name +
            ".lua\ninterval: 250ms\nmetrics: {load: shared}\nprovider:\n  type: process\n" +
            "  command: [" + command + "]\n  ports: " + std::to_string(first) + "-" +
            std::to_string(first + kPortsOfService - 1) +
            "\n  directory: ../run\n  health: {http: /healthz, interval: 200ms, timeout: 2s}\n" +
            "scaling: {down: {stabilization: 0s, max_step_percent: 100}}\ndrain_timeout: "
            "10s\nstart_timeout: 20s\n" +
            extra);
}

fs::path DaemonRig::Output(const std::string& name) {
  return folder_ / "output" / (name + "-" + std::to_string(++outputs_));
}

void DaemonRig::CopyPrograms() {
  programs_ = folder_;
  for (const char* program :
       {"bin/autoscaled", kLauncher, "libexec/autoscaled/autoscaled-policy-worker"}) {
    fs::create_directories((programs_ / program).parent_path());
    fs::copy_file(BuiltProgram(program), programs_ / program);
  }
}

std::string DaemonRig::Program(const std::string& path) const {
  return programs_.empty() ? BuiltProgram(path) : (programs_ / path).string();
}

std::unique_ptr<Child> DaemonRig::Launch(const std::vector<std::string>& options) {
  Write("autoscaled.yaml", daemon_yaml_ + "prometheus: " + prometheus_yaml_ + "\n");
  std::vector<std::string> command = wrapper_;
  command.insert(command.end(),
                 {Program("bin/autoscaled"), "--config", folder_ / "autoscaled.yaml"});
  command.insert(command.end(), options.begin(), options.end());
  return std::make_unique<Child>(command, Output("daemon"));
}

void DaemonRig::Start(const std::vector<std::string>& options) {
  daemon_ = Launch(options);
  ASSERT_TRUE(Eventually([this] {
    return daemon_->Wait(std::chrono::seconds(0)) ||
           (ListenPort() > 0 && Get("/readyz").status == 200);
  })) << daemon_->Errors();
  ASSERT_FALSE(daemon_->Wait(std::chrono::seconds(0))) << daemon_->Errors();
}

int DaemonRig::End(int signal) {
  daemon_->Signal(signal);
  return daemon_->Wait().value_or(-1);
}

DaemonRig::Ended DaemonRig::Ctl(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {BuiltProgram("bin/autoscalectl"), "--socket",
                                      folder_ / "control.sock"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  Child child(command, Output("ctl"));
  const int code = child.Wait().value_or(-1);
  return {.code = code, .out = child.Output(), .err = child.Errors()};
}

nlohmann::json DaemonRig::Service(const std::string& name) {
  const Ended status = Ctl({"status", name, "-o", "json"});
  const auto json = nlohmann::json::parse(status.out, nullptr, false);
  return status.code == 0 && json.is_object() ? json["services"][0] : nlohmann::json();
}

bool DaemonRig::Settled(const std::string& name, int instances) {
  const nlohmann::json service = Service(name);
  if (service.is_null() || service["capacity"]["desired"] != instances ||
      service["capacity"]["ready"] != instances) {
    return false;
  }
  std::set<int> told;
  for (const auto& instance : service["instances"]) {
    if (instance["phase"] != "serving") return false;
    const std::string endpoint = instance["endpoint"];
    told.insert(std::atoi(endpoint.c_str() + endpoint.find(':') + 1));
  }
  // What runs is what is told, each once: nothing lost, nothing twice.
  size_t running = 0;
  for (const auto& [pid, port] : Backends()) running += told.count(port);
  return static_cast<int>(told.size()) == instances && running == told.size();
}

bool DaemonRig::Arrived(const std::string& name, int instances) const {
  const std::string text = Get("/metrics").body;
  const auto is = [&](const std::string& what, int value) {
    return text.find("autoscaled_service_" + what + "_instances{service=\"" + name + "\"} " +
                     std::to_string(value) + "\n") != std::string::npos;
  };
  return is("desired", instances) && is("ready", instances) && is("draining", 0);
}

std::string DaemonRig::Explain(const std::string& name) {
  const Ended explained = Ctl({"explain", name});
  return explained.out + explained.err;
}

int DaemonRig::ListenPort() const {
  std::istringstream log(daemon_->Errors());
  for (std::string line; std::getline(log, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || json.value("message", "") != "started") continue;
    const std::string address = json.value("listen", "");
    return std::atoi(address.c_str() + address.find(':') + 1);
  }
  return -1;
}

HttpProbe::Answer DaemonRig::Get(const std::string& path) const {
  return HttpProbe(ListenPort()).Get(path, false);
}

double DaemonRig::Metric(const std::string& series) const {
  const std::string text = "\n" + Get("/metrics").body;
  const size_t at = text.find("\n" + series + " ");
  return at == std::string::npos ? -1 : std::atof(text.c_str() + at + series.size() + 2);
}

std::map<pid_t, int> DaemonRig::Backends() const {
  std::map<pid_t, int> backends;
  ForEachProcess("cwd", folder_ / "run", [&](const fs::path& process, pid_t pid) {
    std::error_code ended;
    const fs::path program = fs::read_symlink(process / "exe", ended);
    const std::vector<std::string> command = CommandOf(process);
    if (program == Program(kLauncher) || command.size() < 3) return;
    backends[pid] = std::atoi(command[2].c_str());
  });
  return backends;
}

std::set<pid_t> DaemonRig::BackendPids() const {
  std::set<pid_t> pids;
  for (const auto& [pid, port] : Backends()) pids.insert(pid);
  return pids;
}

pid_t DaemonRig::Worker() const {
  const std::set<pid_t> workers = Workers();
  return workers.empty() ? -1 : *workers.begin();
}

std::set<pid_t> DaemonRig::Workers() const {
  std::set<pid_t> workers;
  const std::string parent = "\nPPid:\t" + std::to_string(daemon_->pid()) + "\n";
  ForEachProcess("exe", Program("libexec/autoscaled/autoscaled-policy-worker"),
                 [&](const fs::path& process, pid_t pid) {
                   const std::string status = ReadWhole(process / "status");
                   if (status.find(parent) != std::string::npos) workers.insert(pid);
                 });
  return workers;
}

}  // namespace autoscale
