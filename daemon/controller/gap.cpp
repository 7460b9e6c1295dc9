// What the controller does when it finds that it did not run: the machine was suspended, the
// process stopped, or nobody gave it a processor.
#include "daemon/controller/controller.h"
#include "daemon/controller/group.h"
#include "daemon/telemetry/log.h"

namespace autoscale {
namespace {

// Between two passes; with nothing to do they are a second apart. What is shorter than this no
// time-out mistakes for anything.
constexpr Millis kGap = std::chrono::seconds(5);

}  // namespace

// The questions under way were asked of another time: they are asked anew, in the turn that each
// group had. What instances were given time for they get: nobody could use it.
void Controller::SkipGap(TimePoint now) {
  if (!idle_since_ || now - *idle_since_ <= kGap) return;
  LogWarning(
      "the daemon did not run for a while; answers of that time are dropped, and what was "
      "waited for is given its time again",
      {{"seconds", ToSeconds(now - *idle_since_)}});
  for (const auto& group : groups_) {
    if (group->running) ++options_.counters.ticks_skipped;
    group->running = false;
    if (group->next < now) group->next = now - (now - group->next) % group->interval;
  }
  options_.fleet.Forgive(*idle_since_, now);
}

}  // namespace autoscale
