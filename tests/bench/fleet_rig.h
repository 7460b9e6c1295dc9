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

struct FleetShape {
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
  // Runs it until every list is on its way to the gateway.
  void RunUntilSettled();

  [[nodiscard]] const Counters& counters() const;
  [[nodiscard]] int worker_pid() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Answers three shared queries for the services 0..count-1 until it is killed; its port is told by
// the pipe. For a process of its own.
[[noreturn]] void ServePrometheus(int services, int instances, int port_pipe);

}  // namespace autoscale
