#include "tests/real/systemd_process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/signal_one.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSystemd = "/lib/systemd/systemd";
constexpr const char* kProxy = "/lib/systemd/systemd-socket-proxyd";

// Of the distribution: none of it has business in a test.
constexpr const char* kMasked[] = {"sysinit.target",
                                   "basic.target",
                                   "systemd-tmpfiles-setup.service",
                                   "systemd-tmpfiles-setup-dev.service",
                                   "systemd-tmpfiles-clean.service",
                                   "systemd-sysctl.service",
                                   "systemd-udevd.service",
                                   "systemd-udev-trigger.service",
                                   "systemd-journald.service",
                                   "systemd-journald.socket",
                                   "systemd-journald-dev-log.socket"};

// Where a hierarchy of cgroup2 is mounted; empty: nowhere.
fs::path GroupRoot() {
  std::istringstream mounts(ReadWhole("/proc/self/mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    const size_t dash = line.find(" - cgroup2 ");
    if (dash == std::string::npos) continue;
    std::istringstream words(line);
    std::string at;
    for (int i = 0; i < 5; ++i) words >> at;
    return at;
  }
  return {};
}

}  // namespace

std::string SystemdProcess::Missing() {
  if (geteuid() != 0) return "a systemd in namespaces needs root";
  for (const char* program : {kSystemd, kProxy, "/usr/bin/unshare", "/usr/bin/nsenter"}) {
    if (access(program, X_OK) != 0) return std::string("there is no ") + program;
  }
  const fs::path root = GroupRoot();
  if (root.empty()) return "no cgroup2 is mounted";
  const fs::path probe = root / ("autoscaled-probe-" + std::to_string(getpid()));
  std::error_code fault;
  if (!fs::create_directory(probe, fault)) {
    return "no control group can be made in " + root.string() + ": " + fault.message();
  }
  fs::remove(probe, fault);
  if (std::system("unshare -m -p -f -u -i -C --mount-proc true 2>/dev/null") != 0) {
    return "no namespaces can be made here";
  }
  return {};
}

SystemdProcess::SystemdProcess(fs::path folder)
    : folder_(std::move(folder)),
      group_(GroupRoot() / ("autoscaled-test-" + std::to_string(getpid()))) {
  fs::create_directories(folder_ / "units");
  for (const char* name : kMasked) MaskUnit(name);
  WriteUnit("fleet.target", "[Unit]\nDefaultDependencies=no\nWants=bus.socket\n");
  // The manager takes only processes that it can see: whoever is outside comes through one inside.
  WriteUnit("bus.socket", "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=" +
                              (folder_ / "private").string() + "\n");
  WriteUnit("bus.service", std::string("[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=") +
                               kProxy + " /run/systemd/private\n");
}

SystemdProcess::~SystemdProcess() { Kill(); }

void SystemdProcess::WriteUnit(const std::string& name, const std::string& text) const {
  std::ofstream(folder_ / "units" / name) << text;
}

void SystemdProcess::RemoveUnit(const std::string& name) const {
  fs::remove(folder_ / "units" / name);
}

void SystemdProcess::MaskUnit(const std::string& name) const {
  fs::create_symlink("/dev/null", folder_ / "units" / name);
}

bool SystemdProcess::Start() {
  std::error_code fault;
  fs::create_directory(group_, fault);
  fs::remove(folder_ / "private", fault);
  child_ = std::make_unique<Child>(
      std::vector<std::string>{
          "/bin/sh", "-c",
          "echo $$ > '" + (group_ / "cgroup.procs").string() +
              "' && exec unshare --mount --pid --fork --kill-child --uts --ipc --cgroup "
              "--mount-proc '" AUTOSCALE_SOURCE_DIR "/tests/real/boot_systemd' '" +
              folder_.string() + "'"},
      folder_ / "systemd");
  return Eventually([this] {
           return child_->Wait(std::chrono::seconds(0)) || fs::exists(folder_ / "private");
         }) &&
         !child_->Wait(std::chrono::seconds(0));
}

void SystemdProcess::AddBroker() const {
  // As of the distribution, but that no service is started for being asked: there is no polkit.
  const fs::path configuration = folder_ / "bus.conf";
  std::ofstream(configuration) << "<busconfig><type>system</type><listen>systemd:</listen>"
                                  "<auth>EXTERNAL</auth><policy context='default'>"
                                  "<allow user='*'/><allow own='*'/><allow send_destination='*'/>"
                                  "<allow receive_sender='*'/></policy></busconfig>";
  // By these very names the manager knows that there is a bus to be on.
  WriteUnit("dbus.socket",
            "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n"
            "ListenStream=" +
                (folder_ / "system_bus_socket").string() + "\n");
  WriteUnit("dbus.service",
            "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\nAfter=dbus.socket\n"
            "[Service]\nType=notify\nExecStart=/usr/bin/dbus-daemon --config-file=" +
                configuration.string() + " --address=systemd: --nofork --nopidfile\n");
  WriteUnit("fleet.target",
            "[Unit]\nDefaultDependencies=no\nWants=bus.socket dbus.socket dbus.service\n");
}

void SystemdProcess::AddUser() const {
  fs::create_directories(folder_ / "config/systemd");
  fs::create_directories(folder_ / "user/systemd");
  fs::create_directory_symlink(folder_ / "units", folder_ / "config/systemd/user");
  WriteUnit("home.target", "[Unit]\nDefaultDependencies=no\n");
  WriteUnit("user.service",
            std::string("[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\nDelegate=yes\n"
                        "Environment=XDG_RUNTIME_DIR=/run/user-of-test XDG_CONFIG_HOME=") +
                (folder_ / "config").string() + "\nExecStartPre=mkdir -p /run/user-of-test\n" +
                "ExecStart=" + kSystemd + " --user --unit=home.target\n");
  WriteUnit("user-bus.socket", "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=" +
                                   UserFolder() + "/systemd/private\n");
  WriteUnit("user-bus.service",
            std::string("[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=") + kProxy +
                " /run/user-of-test/systemd/private\n");
  WriteUnit("fleet.target",
            "[Unit]\nDefaultDependencies=no\nWants=bus.socket user-bus.socket user.service\n");
}

pid_t SystemdProcess::Init() const {
  if (!child_) return -1;
  const std::string pid = std::to_string(child_->pid());
  const pid_t init = std::atoi(ReadWhole("/proc/" + pid + "/task/" + pid + "/children").c_str());
  return init > 1 ? init : -1;
}

void SystemdProcess::Signal(int signal) const {
  if (const pid_t init = Init(); init > 1) SignalOne(init, signal);
}

void SystemdProcess::Kill() {
  if (!child_) return;
  Signal(SIGKILL);  // the first of its namespace: all others go with it
  child_->Wait();
  child_.reset();
  EXPECT_TRUE(Eventually([this] {
    RemoveGroup();
    return !fs::exists(group_);
  }));
}

// Folders of control groups hold files that are not removed one by one.
void SystemdProcess::RemoveGroup() const {
  std::vector<fs::path> groups = {group_};
  std::error_code ended;
  for (fs::recursive_directory_iterator at(group_, ended), end; !ended && at != end;
       at.increment(ended)) {
    std::error_code ignored;
    if (at->is_directory(ignored)) groups.push_back(at->path());
  }
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) rmdir(group->c_str());
}

void SystemdProcess::Install(const fs::path& package, const fs::path& etc) const {
  fs::copy_file(package, folder_ / "package.deb", fs::copy_options::overwrite_existing);
  fs::copy(etc, folder_ / "etc", fs::copy_options::recursive);
}

SystemdProcess::Ended SystemdProcess::Run(const std::vector<std::string>& command) {
  std::vector<std::string> words = {"/usr/bin/nsenter", "-t", std::to_string(Init()), "-m", "-p",
                                    "timeout",          "60"};
  words.insert(words.end(), command.begin(), command.end());
  Child child(words, folder_ / ("run-" + std::to_string(++outputs_)));
  const std::optional<int> code = child.Wait();
  return {.code = code.value_or(-1), .text = child.Output() + child.Errors()};
}

std::string SystemdProcess::Ctl(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"systemctl", "--no-pager"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return Run(command).text;
}

std::set<int> SystemdProcess::Ports(const std::string& prefix, const std::string& state) {
  std::istringstream lines(Ctl({"list-units", "--plain", "--no-legend", "--all", "--state=" + state,
                                prefix + "@*.service"}));
  std::set<int> ports;
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find('@');
    if (at != std::string::npos) ports.insert(std::atoi(line.c_str() + at + 1));
  }
  return ports;
}

std::string SystemdProcess::Log() const {
  return ReadWhole(folder_ / "systemd.out") + ReadWhole(folder_ / "systemd.err");
}

}  // namespace autoscale
