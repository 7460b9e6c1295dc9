// Simulation: one service through time on a virtual clock, with the engine that production runs.
//
// Instances are a model: one that is asked for is ready after the start delay; one too many leaves
// at once, those still starting first. Bounded by what the caller runs.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "simulator/step.h"

namespace autoscale {

struct SimulationStart {
  TimePoint start;
  int desired = 1;  // all of them ready
  Millis start_delay{0};
};

// One tick as it was.
struct SimulatedTick {
  TimePoint at;
  Capacity capacity;  // when the tick began
  StepOutcome outcome;
};

// Over all ticks so far.
struct SimulationTotals {
  int64_t ticks = 0;
  int64_t changes = 0;
  int64_t faults = 0;
  int lowest = 0;
  int highest = 0;
  double instance_seconds = 0;  // desired, over time
};

class Simulation {
 public:
  // The samples of a tick, as collected: by name; a metric that is absent is empty.
  using Load = std::function<std::map<std::string, Sample>(TimePoint now, const Capacity&)>;

  // `host` and `service` outlive it.
  Simulation(PolicyHost& host, const ServiceSpec& service, const SimulationStart& start);

  // Runs the next tick: the first at the start, each later one an interval after. The answer is
  // valid until the next.
  const SimulatedTick& Tick(const Load& load);

  // When the next tick is.
  [[nodiscard]] TimePoint next() const { return next_; }
  // After the last tick's decision; instances that become ready by then are.
  [[nodiscard]] Capacity CapacityAt(TimePoint now) const;
  [[nodiscard]] const SimulatedTick& last() const { return last_; }
  [[nodiscard]] const SimulationTotals& totals() const { return totals_; }
  [[nodiscard]] const ServiceSpec& service() const { return service_; }

 private:
  void Apply(int desired, TimePoint now);

  PolicyHost& host_;
  const ServiceSpec& service_;
  const Millis start_delay_;
  TimePoint next_;
  int ready_;
  struct Starting {
    TimePoint ready_at;
    int count;
  };
  std::deque<Starting> starting_;  // by ready_at
  History history_;
  std::string state_;
  SimulatedTick last_;
  SimulationTotals totals_;
};

// A reading of what is the same whatever the number of instances.
Sample FreshSample(double value);
// A load spread over the ready instances: nobody reports when there are none.
Sample SpreadSample(double total, int ready);

}  // namespace autoscale
