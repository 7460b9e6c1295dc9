#include "providers/aws/observation.h"

#include <algorithm>
#include <utility>

namespace autoscale::aws {
namespace {

// Of the group only in name: in a warm pool, set aside, or on its own.
bool IsAway(const GroupInstance& instance) {
  return instance.lifecycle.starts_with("Warmed:") || instance.lifecycle == "Standby" ||
         instance.lifecycle == "Detached" || instance.lifecycle == "Terminated";
}

InstanceState StateOf(const GroupInstance& instance) {
  if (IsEnding(instance)) return InstanceState::kStopping;
  if (instance.lifecycle != "InService") return InstanceState::kStarting;
  return instance.healthy ? InstanceState::kReady : InstanceState::kUnready;
}

// Whether the group's own rules let it be scaled by us at all; why not, else.
std::string BlockOf(const Group& group) {
  if (!group.status.empty()) return "the group is being deleted (" + group.status + ")";
  const bool weighted =
      !group.in_units || std::any_of(group.instances.begin(), group.instances.end(),
                                     [](const GroupInstance& i) { return i.weighted; });
  if (weighted) {
    return "its capacity is counted in weights or other units, not in instances: take the weights "
           "out of its mixed instances policy";
  }
  return {};
}

ObservedInstance Observe(const AwsTarget& target, const GroupInstance& instance, Account& account,
                         const Status& known) {
  ObservedInstance observed{.id = instance.id,
                            .state = StateOf(instance),
                            .endpoint = {},
                            .detail = instance.lifecycle == "InService"
                                          ? std::string(instance.healthy ? "" : "Unhealthy")
                                          : instance.lifecycle};
  if (target.port == 0) return observed;
  const Addresses addresses = account.AddressesOf(instance.id);
  const std::string& address = target.is_public ? addresses.public_ip : addresses.private_ip;
  if (!address.empty()) {
    observed.endpoint = address + ":" + std::to_string(target.port);
  } else if (observed.state == InstanceState::kReady) {
    observed.state = InstanceState::kStarting;  // nobody could reach it
    observed.detail = known.ok() ? std::string("EC2 tells no ") +
                                       (target.is_public ? "public" : "private") + " address of it"
                                 : "its address is not known: " + known.error().message;
  }
  return observed;
}

// What no scale-in may take: those protected there; all, when the group ends nothing; and as many
// as its MinSize asks for, so that none is drained for nothing.
void Keep(const Group& group, Observation& observation) {
  if (group.IsSuspended("Terminate")) {
    for (ObservedInstance& each : observation.instances) {
      each.kept = "the group's process Terminate is suspended";
    }
    return;
  }
  int kept = 0;
  std::vector<ObservedInstance*> free;
  for (ObservedInstance& each : observation.instances) {
    if (each.state == InstanceState::kStopping) continue;
    if (group.Find(each.id)->is_protected) {
      each.kept = "it is protected from scale-in in its group";
      ++kept;
    } else {
      free.push_back(&each);
    }
  }
  // The ready before others, and always the same ones.
  std::sort(free.begin(), free.end(), [](const ObservedInstance* a, const ObservedInstance* b) {
    const bool first = a->state == InstanceState::kReady;
    const bool second = b->state == InstanceState::kReady;
    return first != second ? first : a->id < b->id;
  });
  for (ObservedInstance* each : free) {
    if (++kept > group.min) return;
    each->kept = "the group's MinSize is " + std::to_string(group.min);
  }
}

}  // namespace

bool IsEnding(const GroupInstance& instance) {
  return instance.lifecycle.starts_with("Terminating") || instance.lifecycle == "Detaching" ||
         instance.lifecycle == "EnteringStandby";
}

bool IsPresent(const GroupInstance& instance) { return !IsAway(instance) && !IsEnding(instance); }

int CountPresent(const Group& group) {
  return static_cast<int>(std::count_if(group.instances.begin(), group.instances.end(), IsPresent));
}

std::vector<std::string> IdsOf(const Group& group) {
  std::vector<std::string> ids;
  for (const GroupInstance& instance : group.instances) {
    if (!IsAway(instance)) ids.push_back(instance.id);
  }
  return ids;
}

Observation Describe(const std::string& service, const AwsTarget& target, const Group& group,
                     Account& account, const Status& addresses) {
  Observation observation;
  observation.service = service;
  observation.abilities = {.names_instances = false, .ends_exactly = true, .poll = target.poll};
  observation.capacity = group.desired;
  observation.blocked = BlockOf(group);
  for (const GroupInstance& instance : group.instances) {
    if (IsAway(instance)) continue;
    observation.instances.push_back(Observe(target, instance, account, addresses));
  }
  Keep(group, observation);
  return observation;
}

}  // namespace autoscale::aws
