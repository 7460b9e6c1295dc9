#include "daemon/fleet/lists.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace autoscale {
namespace {

std::vector<Endpoint> List(const Member& member) {
  const bool any_ready = std::any_of(member.instances.begin(), member.instances.end(),
                                     [](const Instance& i) { return IsReady(i); });
  std::vector<Endpoint> list;
  for (const Instance& instance : member.instances) {
    if (instance.endpoint.empty()) continue;
    if (instance.phase == InstancePhase::kDraining) {
      list.push_back({.address = instance.endpoint, .state = Endpoint::State::kDraining});
    } else if (instance.phase == InstancePhase::kServing && (IsReady(instance) || !any_ready)) {
      // When none is healthy the gateway's own retries are worth more than an empty list.
      list.push_back({.address = instance.endpoint});
    }
  }
  std::sort(list.begin(), list.end(),
            [](const Endpoint& a, const Endpoint& b) { return a.address < b.address; });
  return list;
}

bool AnyServes(const std::vector<Endpoint>& list) {
  return std::any_of(list.begin(), list.end(), [](const Endpoint& endpoint) {
    return endpoint.state == Endpoint::State::kServing;
  });
}

}  // namespace

void RenewList(Member& member) {
  std::vector<Endpoint> list = List(member);
  // One that leaves tells its gateways so, though this daemon never told them otherwise.
  const bool nothing_yet = list.empty() && member.sequence == 0 && !member.leaving;
  // Losing the last instance by accident must not leave a list without one that serves; only a
  // wish for zero may.
  const bool refused = !AnyServes(list) && member.desired > 0;
  if (!nothing_yet && !refused && (member.sequence == 0 || list != member.endpoints)) {
    if (!member.former) {
      member.former = std::make_unique<std::vector<Endpoint>>(std::move(member.endpoints));
    }
    member.endpoints = std::move(list);
    ++member.sequence;
  }
  for (Instance& instance : member.instances) {
    if (instance.phase == InstancePhase::kDraining && instance.drain_sequence == 0 && !refused) {
      instance.drain_sequence = std::max<uint64_t>(member.sequence, 1);
    }
  }
}

void ShortenList(Member& member) {
  const std::vector<Endpoint> present = List(member);
  std::vector<Endpoint> list = member.former ? *member.former : member.endpoints;
  std::erase_if(list, [&present](const Endpoint& endpoint) {
    return std::none_of(present.begin(), present.end(),
                        [&](const Endpoint& e) { return e.address == endpoint.address; });
  });
  if (!AnyServes(list) || list == member.endpoints) return;
  if (!member.former) {
    member.former = std::make_unique<std::vector<Endpoint>>(std::move(member.endpoints));
  }
  member.endpoints = std::move(list);
  ++member.sequence;
  // A drain that no list shows any more has not begun.
  for (Instance& instance : member.instances) {
    if (instance.phase != InstancePhase::kDraining) continue;
    const bool shown =
        std::any_of(member.endpoints.begin(), member.endpoints.end(), [&](const Endpoint& e) {
          return e.address == instance.endpoint && e.state == Endpoint::State::kDraining;
        });
    if (shown) continue;
    instance.drain_sequence = 0;
    instance.let_go.reset();
  }
}

}  // namespace autoscale
