#include "providers/systemd/unit.h"

#include <csignal>
#include <cstring>
#include <map>

#include "config/scalar.h"

namespace autoscale {
namespace {

constexpr size_t kLongestName = 255;  // of a unit, with its instance

// As systemd lets them be; no escapes are needed, and none is made. None of these marks has a
// meaning in the manager's patterns.
bool IsPrefix(std::string_view text) {
  constexpr std::string_view kMarks = ":-_.\\";
  if (text.empty() || text.size() > kLongestName - 16) return false;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && kMarks.find(c) == std::string_view::npos) return false;
  }
  return true;
}

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

// Statuses that systemd itself gives a service that it could not execute: systemd.exec(5).
std::string Exited(int status) {
  static const std::map<int, std::string> kOfSystemd = {
      {200, "its WorkingDirectory= is not there (status 200/CHDIR)"},
      {203, "its program cannot be run (status 203/EXEC)"},
      {216, "its Group= is not there (status 216/GROUP)"},
      {217, "its User= is not there (status 217/USER)"},
      {226, "its name spaces cannot be made (status 226/NAMESPACE)"},
  };
  const auto known = kOfSystemd.find(status);
  if (known != kOfSystemd.end()) return known->second;
  return "exited with status " + std::to_string(status);
}

}  // namespace

Result<UnitTemplate> UnitTemplate::Parse(const std::string& name) {
  UnitTemplate made;
  const std::string end = "@" + std::string(kSuffix);
  if (name.ends_with(end)) made.prefix_ = name.substr(0, name.size() - end.size());
  if (!IsPrefix(made.prefix_)) {
    return Error{ErrorKind::kInvalid,
                 "unit must be a template of services, such as web@.service: its instances are "
                 "named by their ports, web@20000.service"};
  }
  return made;
}

std::string UnitTemplate::Unit(int port) const {
  return prefix_ + "@" + std::to_string(port) + std::string(kSuffix);
}

int UnitTemplate::PortOf(const std::string& unit) const {
  const std::string begin = prefix_ + "@";
  if (!unit.starts_with(begin) || !unit.ends_with(kSuffix)) return 0;
  if (unit.size() <= begin.size() + kSuffix.size()) return 0;
  const auto port = ParseInt(
      std::string_view(unit).substr(begin.size(), unit.size() - begin.size() - kSuffix.size()));
  return port && *port >= 1 && *port <= 65535 ? static_cast<int>(*port) : 0;
}

std::string UnitTemplate::Pattern() const { return prefix_ + "@*" + std::string(kSuffix); }

std::string PatternOfTemplate(const std::string& unit) {
  const auto made = UnitTemplate::Parse(TemplateOf(unit));
  return made.ok() ? made->Pattern() : unit;
}

std::string UnitStem(const std::string& unit) { return unit.substr(0, unit.rfind('.')); }

std::string TemplateOf(const std::string& unit) {
  const size_t at = unit.find('@'), dot = unit.rfind('.');
  if (at == std::string::npos || dot == std::string::npos || dot < at) return unit;
  return unit.substr(0, at + 1) + unit.substr(dot);
}

UnitPhase PhaseOf(const UnitStatus& status) {
  if (status.job == "stop") return UnitPhase::kStopping;
  // Also "failed-before-auto-restart" of newer ones.
  if (status.sub.find("auto-restart") != std::string::npos) return UnitPhase::kRestarting;
  if (status.active == "active" || status.active == "reloading" || status.active == "refreshing") {
    return UnitPhase::kRunning;
  }
  if (status.active == "activating") return UnitPhase::kStarting;
  // Between its end and its next start, or its end for good: nobody asked for it.
  if (status.active == "deactivating") return UnitPhase::kRestarting;
  if (status.job == "start" || status.job == "restart") return UnitPhase::kStarting;  // in a queue
  return status.active == "failed" ? UnitPhase::kFailed : UnitPhase::kAbsent;
}

std::string Describe(const UnitEnd& end) {
  if (end.result == "exit-code") return Exited(end.status);
  if (end.result == "signal") return "was killed by " + SignalName(end.status);
  if (end.result == "core-dump") return "crashed with " + SignalName(end.status);
  if (end.result == "timeout") return "did not start or stop in its time (timeout)";
  if (end.result == "watchdog") return "missed its watchdog (WatchdogSec=)";
  if (end.result == "oom-kill") return "was killed for want of memory";
  if (end.result == "start-limit-hit") return "was started too often (StartLimitBurst=)";
  if (end.result == "resources")
    return "could not be set up by systemd (resources): see its journal";
  if (end.result == "protocol") return "did not report as its Type= wants it (protocol)";
  if (end.result.empty() || end.result == "success") return "failed";
  return "failed (" + end.result + ")";
}

std::string DescribeJob(const std::string& result) {
  if (result == "dependency") return "did not start: a unit that it needs failed";
  if (result == "canceled") return "its start was cancelled by somebody";
  if (result == "timeout") return "did not start in its time (JobTimeoutSec=)";
  if (result == "skipped") return "did not start: a condition of its unit does not hold";
  return "is inactive: it ended by itself, or somebody stopped it";
}

}  // namespace autoscale
