// UnitBus: the seam to a service manager, and no wider than what we ask of it.
//
// All on the loop's thread; nothing blocks. Each call answers exactly once within kUnitCallTimeout,
// never before it returned; kUnavailable while the manager cannot be reached, which it tries to by
// itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/model/time.h"
#include "providers/systemd/unit.h"

namespace autoscale {

inline constexpr Millis kUnitCallTimeout = std::chrono::seconds(5);

class UnitBus {
 public:
  using Done = std::function<void(Status)>;
  struct Listener {
    // A unit may have changed; empty: all may, as the manager can be reached again or not any more.
    std::function<void(const std::string& unit)> changed;
    // A job of a unit has come to its end: "done", "failed", "dependency", "timeout"...
    std::function<void(const std::string& unit, const std::string& result)> job_ended;
  };
  virtual ~UnitBus() = default;
  // Before any call.
  virtual void SetListener(Listener listener) = 0;

  // Those loaded of which a pattern ("web@*.service") holds.
  virtual void List(std::vector<std::string> patterns,
                    std::function<void(Result<std::vector<UnitStatus>>)> done) = 0;
  // Success means that the manager has taken the job; a second one for the same is the same.
  virtual void Start(const std::string& unit, Done done) = 0;
  // One that is not loaded is what was asked for.
  virtual void Stop(const std::string& unit, Done done) = 0;
  // SIGKILL to all its processes.
  virtual void Kill(const std::string& unit, Done done) = 0;
  // Lets go of one that failed.
  virtual void ResetFailed(const std::string& unit, Done done) = 0;
  virtual void ReadUsage(const std::string& unit, std::function<void(Result<UnitUsage>)> done) = 0;
  virtual void ReadEnd(const std::string& unit, std::function<void(Result<UnitEnd>)> done) = 0;
};

}  // namespace autoscale
