#include "daemon/fleet/drain.h"

#include <algorithm>

namespace autoscale {
namespace {

int InFlight(const Link& link, const std::string& address) {
  for (const EndpointLoad& load : link.loads) {
    if (load.address == address) return load.in_flight;
  }
  return 0;
}

}  // namespace

std::optional<TimePoint> DrainBound(const Member& member, const Instance& instance) {
  if (!instance.deadline || member.links.empty()) return instance.deadline;
  if (!instance.asked) return std::nullopt;
  return std::max(*instance.deadline, *instance.asked + member.spec->drain_timeout);
}

bool IsLetGo(const Member& member, Instance& instance, TimePoint now) {
  if (member.blind) return false;
  if (instance.drain_sequence == 0) return false;  // no list shows it draining yet
  Millis settle{0};
  for (const Link& link : member.links) {
    if (link.confirmed < instance.drain_sequence) {
      instance.let_go.reset();  // a gateway may have fallen back to an older list
      return false;
    }
    settle = std::max(settle, link.capabilities.settle);
  }
  if (!instance.let_go) instance.let_go = now;
  const TimePoint settled = *instance.let_go + settle;
  if (now < settled) return false;
  int in_flight = 0;
  for (const Link& link : member.links) {
    if (!link.capabilities.counts_in_flight) continue;
    if (!link.loads_asked || *link.loads_asked < settled) return false;
    in_flight += InFlight(link, instance.endpoint);
  }
  instance.in_flight = in_flight;
  return in_flight == 0;
}

std::string WhoHoldsBack(const Member& member, const Instance& instance) {
  std::string unconfirmed, uncounted;
  for (const Link& link : member.links) {
    std::string& names = link.confirmed < instance.drain_sequence ? unconfirmed : uncounted;
    names += (names.empty() ? "" : ", ") + link.gateway;
  }
  if (!unconfirmed.empty()) return "the list without it is not confirmed by " + unconfirmed;
  return "its requests in flight are not told by " + uncounted;
}

}  // namespace autoscale
