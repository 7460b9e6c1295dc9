// Provider: the seam to whatever runs instances.
//
// All calls are made on the event loop's thread and never block; each callback runs there too,
// exactly once. A provider keeps what it needs to find its instances again after kill -9: the
// daemon stores only ids, phases and endpoints.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/loader.h"
#include "engine/model/result.h"
#include "net/event_loop.h"
#include "net/http_client.h"

namespace autoscale {

struct ProviderCapabilities {
  bool names_instances = true;  // the daemon chooses the ids and which instances end
  bool watches = false;         // reports changes by itself; else it is asked on every tick
};

enum class InstanceState : uint8_t {
  kStarting,  // exists, has not passed its health check yet
  kReady,     // passes its health check
  kUnready,   // passed once, fails now
  kStopping,  // asked to end, still there
  kGone,      // ended, for whatever reason; `detail` says which
};
std::string_view ToString(InstanceState state);

struct ObservedInstance {
  std::string id;
  InstanceState state = InstanceState::kStarting;
  std::string endpoint;  // "127.0.0.1:20003"; empty while unknown
  std::string detail;    // one phrase for a person: "exited with status 1 after 0.2s"
};

// A service's target. The pointer stays valid for the call; providers copy what they keep.
struct TargetRef {
  std::string service;
  std::shared_ptr<const ProviderTarget> target;
};

struct Observation {
  std::string service;
  std::vector<ObservedInstance>
      instances;  // all that exist, those gone since the last Forget included
};

struct InstanceUsage {
  std::string service;
  std::string instance;
  std::string endpoint;
  double cpu_seconds = 0;   // consumed since the instance's start, all its processes
  double memory_bytes = 0;  // resident
};

class Provider {
 public:
  using InstanceListener = std::function<void(const std::string& service, const ObservedInstance&)>;
  virtual ~Provider() = default;

  [[nodiscard]] virtual ProviderCapabilities capabilities() const = 0;

  // Reads the instances of many targets at once. Also tells the provider which services exist:
  // it finds again what it left behind, and starts health checks with the target's present options.
  virtual void Observe(std::vector<TargetRef> targets,
                       std::function<void(Result<std::vector<Observation>>)> done) = 0;

  // Starts the instances named, with the target's options. Asking twice for an id is harmless: an
  // instance that exists, or existed and was not forgotten, is not started again. Success means
  // asked for, not ready; per-id failures are in the answer, parallel to `ids`.
  virtual void Launch(TargetRef target, std::vector<std::string> ids,
                      std::function<void(std::vector<Status>)> done) = 0;

  // Ends exactly these instances: gracefully, then by force after the target's bound. Asking again,
  // or for one that is gone, is harmless. Success means asked; kGone is observed later.
  virtual void Terminate(TargetRef target, std::vector<std::string> ids,
                         std::function<void(std::vector<Status>)> done) = 0;

  // Drops what is kept of an instance that is gone.
  virtual void Forget(const std::string& service, const std::string& id) = 0;

  // What each instance uses, for /metrics.
  virtual void ReadUsage(std::function<void(std::vector<InstanceUsage>)> done) = 0;

  // Called on the loop's thread whenever an instance changes state (providers that watch).
  virtual void SetListener(InstanceListener listener) = 0;
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
