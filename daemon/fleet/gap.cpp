// A time in which nothing could be watched or done counts against nobody.
#include "daemon/fleet/fleet.h"

namespace autoscale {

void Fleet::Forgive(TimePoint from, TimePoint to) {
  const auto shift = [&](TimePoint& time) {
    if (time <= from) time += to - from;
  };
  for (auto& [name, member] : members_) {
    shift(member->last_failure);
    shift(member->last_contest);
    for (Instance& instance : member->instances) {
      shift(instance.state_since);
      if (instance.started) shift(*instance.started);
      if (instance.asked) shift(*instance.asked);
      if (!instance.deadline || instance.since > from) continue;
      *instance.deadline += to - from;
      instance.stored = false;
    }
    Touch(name);
  }
  next_resync_ = to;
}

}  // namespace autoscale
