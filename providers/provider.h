// Provider: the seam to whatever runs instances.
//
// All calls are made on the event loop's thread and never block; each callback runs there too,
// exactly once and within a bound of time. A provider keeps what it needs to find its instances
// again after kill -9: the daemon stores only ids, phases and endpoints.
//
// There are two kinds of targets. Of one the daemon names the instances (Launch, Terminate, Forget,
// ReadUsage: local processes); the other has a capacity that can be set (SetCapacity: a Deployment,
// an Auto Scaling group). What a provider does not have it leaves as it is here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/loader.h"
#include "engine/model/result.h"
#include "net/event_loop.h"
#include "net/http_client.h"

namespace autoscale {

// What can be done with a target. It may depend on the target's kind and on what is found there,
// so that it is told with each observation.
struct TargetAbilities {
  // The daemon chooses the ids of instances: Launch and Terminate. Else the target has a capacity,
  // and names the instances that follow from it itself: SetCapacity.
  bool names_instances = true;
  // Of one that has a capacity: SetCapacity ends the victims named. Else the target chooses them,
  // and they cannot be drained before.
  bool ends_exactly = true;
  // How often it is to be observed; 0: it reports changes by itself.
  Millis poll{0};
  bool operator==(const TargetAbilities&) const = default;
};

enum class InstanceState : uint8_t {
  kStarting,  // exists, has not passed its health check yet
  kReady,     // passes its health check
  kUnready,   // passed once, fails now
  kStopping,  // asked to end, by whomever; still there
  kGone,      // ended, for whatever reason; `detail` says which
};
std::string_view ToString(InstanceState state);

struct ObservedInstance {
  std::string id;
  InstanceState state = InstanceState::kStarting;
  std::string endpoint;  // "127.0.0.1:20003"; empty while unknown
  std::string detail;    // one phrase for a person: "exited with status 1 after 0.2s"
  // Where the target has an order of its own: of two, the one with the higher rank ends first.
  int rank = 0;
  // Why no scale-in may take it away now: it is protected there. Empty: it may.
  std::string kept;
};

// A service's target. The pointer stays valid for the call; providers copy what they keep.
struct TargetRef {
  std::string service;
  std::shared_ptr<const ProviderTarget> target;
};

struct Observation {
  std::string service;
  // All that exist; of those that the daemon named, those gone since the last Forget, too.
  std::vector<ObservedInstance> instances;
  TargetAbilities abilities;
  // What the target is set to have; absent where the daemon names the instances.
  std::optional<int> capacity;
  // Why it must not be scaled by us now, for a person: another autoscaler owns it, a deployment is
  // under way. Empty: nothing.
  std::string blocked;
  // Why instances that its capacity calls for do not come: told to a person, nothing else.
  std::optional<Error> shortage;
  // The target could not be read: all else says nothing.
  std::optional<Error> fault;
};

// How a target is to be: `capacity` instances, and none of the victims among them.
struct CapacityWish {
  int capacity = 0;
  std::vector<std::string> victims;  // drained, may end now; empty where the target chooses
  int seen = 0;                      // the capacity that was known when this was decided
  // Stays the same when one wish is asked again, over time-outs: "web/7/12".
  std::string intent;
};

struct InstanceUsage {
  std::string service;
  std::string instance;
  std::string endpoint;
  // Absent: not measured.
  std::optional<double> cpu_seconds;   // consumed since the instance's start, all its processes
  std::optional<double> memory_bytes;  // resident
};

class Provider {
 public:
  using InstanceListener = std::function<void(const std::string& service, const ObservedInstance&)>;
  using TargetListener = std::function<void(Observation)>;
  virtual ~Provider() = default;

  // Reads the instances of many targets at once. Also tells the provider which services exist:
  // it finds again what it left behind, and starts health checks with the target's present options.
  virtual void Observe(std::vector<TargetRef> targets,
                       std::function<void(Result<std::vector<Observation>>)> done) = 0;

  // Makes the target what is wished: absolute, so that asking twice is harmless. Success means that
  // the target has taken it. kConflict: its capacity is not what was seen; observe and decide
  // again.
  virtual void SetCapacity(TargetRef target, CapacityWish wish, std::function<void(Status)> done);

  // Starts the instances named, with the target's options. Asking twice for an id is harmless: an
  // instance that exists, or existed and was not forgotten, is not started again. Success means
  // asked for, not ready; per-id failures are in the answer, parallel to `ids`.
  virtual void Launch(TargetRef target, std::vector<std::string> ids,
                      std::function<void(std::vector<Status>)> done);

  // Ends exactly these instances: gracefully, then by force after the target's bound. Asking again,
  // or for one that is gone, is harmless. Success means asked; kGone is observed later.
  virtual void Terminate(TargetRef target, std::vector<std::string> ids,
                         std::function<void(std::vector<Status>)> done);

  // Drops what is kept of an instance that is gone.
  virtual void Forget(const std::string& /*service*/, const std::string& /*id*/) {}

  // Whoever overrides these keeps what it is given.
  // NOLINTBEGIN(performance-unnecessary-value-param)

  // What each instance uses, for /metrics.
  virtual void ReadUsage(std::function<void(std::vector<InstanceUsage>)> done) { done({}); }

  // Called on the loop's thread whenever an instance that the daemon named changes its state.
  virtual void SetListener(InstanceListener /*listener*/) {}
  // Called there whenever anything changes of a target that has a capacity, with all of it.
  virtual void SetTargetListener(TargetListener /*listener*/) {}
  // NOLINTEND(performance-unnecessary-value-param)
};

// What a provider is built from.
struct ProviderContext {
  EventLoop& loop;
  HttpClient& http;
  std::string state_dir;  // a folder of the provider's own, e.g. STATE/process
};

// One row a provider type; the registry is an explicit table in providers/registry.cpp.
struct ProviderType {
  std::string name;
  TargetParser parse;
  std::function<Result<std::unique_ptr<Provider>>(const ProviderContext&)> create;
};
const std::vector<ProviderType>& ProviderTypes();

}  // namespace autoscale
