#include "simulator/simulation.h"

#include <algorithm>
#include <utility>

namespace autoscale {

Simulation::Simulation(PolicyHost& host, const ServiceSpec& service, const SimulationStart& start)
    : host_(host),
      service_(service),
      start_delay_(start.start_delay),
      next_(start.start),
      ready_(start.desired) {
  totals_.lowest = totals_.highest = start.desired;
}

Capacity Simulation::CapacityAt(TimePoint now) const {
  Capacity capacity{.desired = ready_, .ready = ready_};
  for (const Starting& starting : starting_) {
    capacity.desired += starting.count;
    if (starting.ready_at <= now) capacity.ready += starting.count;
  }
  return capacity;
}

const SimulatedTick& Simulation::Tick(const Load& load) {
  const TimePoint now = next_;
  while (!starting_.empty() && starting_.front().ready_at <= now) {
    ready_ += starting_.front().count;
    starting_.pop_front();
  }
  last_.at = now;
  last_.capacity = CapacityAt(now);
  last_.outcome = Step(host_, service_,
                       {.now = now,
                        .capacity = last_.capacity,
                        .metrics = load(now, last_.capacity),
                        .history = std::move(history_),
                        .state = std::move(state_)});
  history_ = last_.outcome.history;
  state_ = last_.outcome.state;
  const int desired = last_.outcome.decision.desired;
  Apply(desired, now);
  next_ = now + service_.interval;
  ++totals_.ticks;
  totals_.changes += desired == last_.capacity.desired ? 0 : 1;
  totals_.faults += last_.outcome.proposal.cause == HoldCause::kFault ? 1 : 0;
  totals_.lowest = std::min(totals_.lowest, desired);
  totals_.highest = std::max(totals_.highest, desired);
  totals_.instance_seconds += desired * ToSeconds(service_.interval);
  return last_;
}

void Simulation::Apply(int desired, TimePoint now) {
  int delta = desired - CapacityAt(now).desired;
  if (delta > 0) starting_.push_back({now + start_delay_, delta});
  for (; delta < 0 && !starting_.empty();) {
    const int cancelled = std::min(-delta, starting_.back().count);
    starting_.back().count -= cancelled;
    delta += cancelled;
    if (starting_.back().count == 0) starting_.pop_back();
  }
  if (delta < 0) ready_ += delta;
}

Sample FreshSample(double value) {
  Sample sample{.value = value, .state = SampleState::kFresh};
  sample.age_s = 1.0F;
  sample.coverage = 1.0F;
  return sample;
}

Sample SpreadSample(double total, int ready) {
  return ready > 0 ? FreshSample(total / ready) : Sample{};
}

}  // namespace autoscale
