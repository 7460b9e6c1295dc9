#include "tests/fault/kill/judge.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <sstream>

#include "net/fault_point.h"

namespace autoscale {
namespace {

constexpr const char* kObserverPatience = "30";
constexpr std::chrono::seconds kObserverEnds{60};

}  // namespace

testing::AssertionResult Judge(const DaemonRig& rig, const std::string& service, int instances,
                               const std::vector<std::string>& options) {
  std::vector<std::string> command = {"/usr/bin/env",
                                      "python3",
                                      KILL_OBSERVER,
                                      "--state",
                                      rig.folder() / "state",
                                      "--service",
                                      service,
                                      "--expect",
                                      std::to_string(instances),
                                      "--patience",
                                      kObserverPatience};
  command.insert(command.end(), options.begin(), options.end());
  Child observer(command, rig.folder() / "output/observer");
  if (observer.Wait(kObserverEnds) == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "the observer says of " << service << ":\n"
                                     << observer.Output() << observer.Errors();
}

std::string OwnName(const std::string& prefix) { return prefix + "-" + std::to_string(getpid()); }

void SetLine(const DaemonRig& rig, const std::string& service, const std::string& line) {
  const std::string path = "services.d/" + service + ".yaml";
  const std::string key = line.substr(0, line.find(':') + 1);
  std::istringstream lines(ReadWhole(rig.folder() / path));
  std::string text;
  for (std::string old; std::getline(lines, old);) {
    if (!old.starts_with(key)) text += old + "\n";
  }
  rig.Write(path, text + line + "\n");
}

std::unique_ptr<Child> StartArmed(DaemonRig& rig, const std::string& point) {
  setenv(kFaultPointVariable, point.c_str(), 1);
  auto daemon = rig.Launch({});
  unsetenv(kFaultPointVariable);
  return daemon;
}

void Kill(DaemonRig& rig) { EXPECT_EQ(rig.End(SIGKILL), 128 + SIGKILL); }

}  // namespace autoscale
