// Units of a template: what they are called, and what their states mean.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/model/result.h"

namespace autoscale {

// "web@.service": each of its instances is named by the port that it serves at.
class UnitTemplate {
 public:
  UnitTemplate() = default;
  // kInvalid with a sentence when it is no template of services.
  static Result<UnitTemplate> Parse(const std::string& name);

  // "web@.service", "web@20003.service", "web@*.service".
  [[nodiscard]] std::string name() const { return prefix_ + "@" + std::string(kSuffix); }
  [[nodiscard]] std::string Unit(int port) const;
  // The manager takes a backslash for itself: an escaped name ("web\x2dapi") is its own pattern.
  [[nodiscard]] std::string Pattern() const;
  // The port in a unit's name, written as we write it; 0 when it is not one of ours.
  [[nodiscard]] int PortOf(const std::string& unit) const;

 private:
  static constexpr std::string_view kSuffix = ".service";
  std::string prefix_;  // "web"
};

// "web@*.service" of "web@20003.service": that of its template.
std::string PatternOfTemplate(const std::string& unit);
// "web@20003": how a unit that we did not start is called as an instance.
std::string UnitStem(const std::string& unit);
// "web@.service" of "web@20003.service".
std::string TemplateOf(const std::string& unit);

// As the manager lists it. A unit that nobody wants any more is not listed at all.
struct UnitStatus {
  std::string name;
  std::string active;  // "active", "activating", "deactivating", "failed", "inactive"...
  std::string sub;     // "running", "auto-restart", "stop-sigterm"...
  std::string job;     // "start", "stop", "restart"...; empty: none
  bool operator==(const UnitStatus&) const = default;
};

// How its main process ended.
struct UnitEnd {
  std::string result;  // "exit-code", "signal", "timeout"...
  int code = 0;        // as of waitid: CLD_EXITED, CLD_KILLED...
  int status = 0;      // the exit status, or the signal
};

// What its processes use; absent where the manager does not count it.
struct UnitUsage {
  std::optional<double> cpu_seconds;  // since its last start
  std::optional<double> memory_bytes;
};

enum class UnitPhase : uint8_t {
  kAbsent,      // not there, or at rest
  kStarting,    // on its way to run, for the first time or for another time
  kRestarting,  // has ended, and systemd is going to start it again
  kRunning,
  kStopping,  // somebody wants it to end
  kFailed,    // has ended, and stays so
};
UnitPhase PhaseOf(const UnitStatus& status);

// One phrase for a person: "exited with status 1"; "failed (protocol)" where no more is known.
std::string Describe(const UnitEnd& end);
// What became of a start that led to nothing: the result of its job ("dependency").
std::string DescribeJob(const std::string& result);

}  // namespace autoscale
