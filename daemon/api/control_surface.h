// ControlSurface: what the control API asks of the daemon. Implemented by the controller, called on
// gRPC's threads; each call crosses to the tick thread and waits there a bounded time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/view.h"
#include "engine/model/result.h"
#include "engine/record/record.h"

namespace autoscale {

struct ReloadReport {
  int services = 0;  // in force now
  int added = 0, changed = 0, removed = 0;
  std::vector<std::string> warnings;  // "file:line: warning: message"
};

class ControlSurface {
 public:
  virtual ~ControlSurface() = default;
  // All services by name, or the one named (kNotFound with the closest names when there is none).
  virtual Result<std::vector<ServiceView>> ReadServices(std::optional<std::string> service) = 0;
  // The last decision, also when nothing changed. kUnavailable before the service's first tick.
  virtual Result<DecisionRecord> Explain(const std::string& service) = 0;
  // One stored decision by its id.
  virtual Result<DecisionRecord> ExplainDecision(int64_t id) = 0;
  // The same with their inputs as far as they are known, policy and all, to make them again.
  virtual Result<DecisionRecord> Inputs(const std::string& service) = 0;
  virtual Result<DecisionRecord> InputsOfDecision(int64_t id) = 0;
  // Newest first. `service` empty: of all services.
  virtual Result<std::vector<DecisionRecord>> History(const std::string& service, int limit) = 0;
  // kNotFound where the service has none.
  virtual Result<ShadowView> ReadShadow(const std::string& service) = 0;
  // A paused service is evaluated and explained, and keeps its capacity; dead instances are
  // replaced.
  virtual Status Pause(const std::string& service, const std::string& reason) = 0;
  virtual Status Resume(const std::string& service) = 0;
  // No scale-in takes the instance away: for so long, or absent until said otherwise; zero: it is
  // as any other again. It is replaced all the same when it fails.
  virtual Status Protect(const std::string& service, const std::string& instance,
                         std::optional<Millis> duration, const std::string& reason) = 0;
  // Loads the configuration anew. With any fault nothing changes and the error's message holds
  // every "file:line: message", one a line.
  // Nor does a configuration without any service, unless that is meant.
  virtual Result<ReloadReport> Reload(bool may_remove_all) = 0;
};

}  // namespace autoscale
