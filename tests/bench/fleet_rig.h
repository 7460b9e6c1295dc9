// FleetRig: the daemon's own parts over a fleet that exists in memory only.
//
// Controller, Fleet, Store, PolicyWorker, EventLoop, HttpClient and PrometheusClient are the real
// ones. Prometheus is a stand-in in a process of its own; instances are ready at once and the
// gateway confirms at once.
#pragma once

#include <memory>
#include <string>

#include "daemon/telemetry/telemetry.h"
#include "engine/model/time.h"

namespace autoscale {

// What the services have beside a policy without modules and three metrics.
enum class FleetWith {
  kNothing,
  kModules,   // the shipped policy cpu_target, which requires modules, instead
  kShadow,    // a second policy beside it
  kForecast,  // a metric that is forecast from two days of 5-minute steps
  kChanges,   // one service in twenty changes its capacity in a tick, not one in a thousand
};

struct FleetShape {
  FleetWith with = FleetWith::kNothing;
  int services = 10'000;
  int instances = 4;  // a service
  Millis interval{2000};
  int prometheus_port = 0;
  std::string folder;  // of the store
};

// Stores the fleet as a daemon leaves it that ends, for the rig to find it again.
void StoreFleet(const FleetShape& shape);

class FleetRig {
 public:
  // Aborts with a message when something does not start.
  explicit FleetRig(const FleetShape& shape);
  ~FleetRig();

  // Runs the tick thread's loop, on this thread, until so many ticks more have ended.
  void RunTicks(uint64_t count);
  // Runs it until every list is on its way to the gateway, and what is forecast has been learned.
  void RunUntilSettled();

  [[nodiscard]] const Counters& counters() const;
  [[nodiscard]] int worker_pid() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Answers the fleet's shared queries until it is killed; its port is told by
// the pipe. For a process of its own.
[[noreturn]] void ServePrometheus(const FleetShape& shape, int port_pipe);

}  // namespace autoscale
