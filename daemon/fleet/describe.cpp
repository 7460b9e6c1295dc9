// What the fleet knows of a service, for people.
#include <utility>

#include "daemon/fleet/channel.h"
#include "daemon/fleet/fleet.h"

namespace autoscale {

void Fleet::Describe(const std::string& service, ServiceView& view) const {
  const Member* member = Find(service);
  if (member == nullptr) return;
  view.capacity = CapacityOf(*member);
  view.problem = member->problem;
  if (view.problem.empty() && member->sizing && !member->sizing->blocked.empty() &&
      member->spec->owner != CapacityOwner::kExternal) {
    view.problem = "it is not scaled: " + member->sizing->blocked;
  }
  if (!member->breaker.empty()) {
    view.breaker = true;
    view.problem = "breaker open, a person is needed: " + member->breaker +
                   ". Mend it, then `autoscalectl resume " + service + "`";
  }
  for (const Instance& instance : member->instances) {
    if (instance.phase == InstancePhase::kDraining) ++view.draining;
    InstanceView& shown = view.instances.emplace_back();
    shown.id = instance.id;
    shown.phase = ToString(instance.phase);
    shown.endpoint = instance.endpoint;
    shown.detail = instance.detail;
    if (shown.detail.empty() && instance.state == InstanceState::kUnready) {
      shown.detail = "fails its health check";
    }
    shown.since = instance.since;
    shown.in_flight = instance.in_flight;
    const TimePoint now = options_.clock.Now();
    shown.is_protected = IsProtected(instance, now);
    shown.protect_reason = instance.kept;
    if (instance.protected_until <= now) continue;
    if (instance.protected_until < kForever) shown.protected_until = instance.protected_until;
    shown.protect_reason = instance.protect_reason;
  }
  for (const Link& link : member->links) {
    view.gateways.push_back({.gateway = link.gateway,
                             .upstream = link.upstream,
                             .wanted = ToString(link, member->sequence),
                             .confirmed = link.confirmed > 0 ? ToString(link, link.confirmed) : "",
                             .problem = link.problem});
    if (view.problem.empty() && !link.problem.empty()) {
      const std::string whose = "gateway " + link.gateway;  // most adapters say so themselves
      view.problem =
          link.problem.starts_with(whose + ' ') ? link.problem : whose + ": " + link.problem;
    }
  }
}

}  // namespace autoscale
