// What is told of a cluster's targets.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "providers/kubernetes/cluster.h"

namespace autoscale::kubernetes {
namespace {

// Endpoints that are replaced are back long before; so long none of the pods is taken for idle.
constexpr std::chrono::minutes kEmptyForGood{1};

}  // namespace

bool Cluster::IsKnown(const std::string& service) const {
  const auto followed = followed_.find(service);
  if (followed == followed_.end()) return false;
  const KubernetesTarget& target = *followed->second.target;
  if (FaultOf(target) != nullptr) return true;
  const auto heard = [](const auto& map, const std::string& key) {
    const auto it = map.find(key);
    return it != map.end() && it->second.collection &&
           (it->second.collection->listed() || it->second.collection->fault());
  };
  const auto discovered = discovered_.find(target.ApiVersion());
  if (discovered != discovered_.end() && discovered->second.known && CollectionOf(target).empty()) {
    return true;
  }
  if ((!version_known_ && !version_refused_) || !heard(workloads_, CollectionOf(target)) ||
      !heard(slices_, target.api_namespace) || !heard(scalers_, target.api_namespace)) {
    return false;
  }
  const Workload* const workload = Find(target);
  if (workload == nullptr || workload->replicas) return true;
  const auto scale = scales_.find(PathOf(target));
  return scale != scales_.end() && scale->second.fault.has_value();
}

const Error* Cluster::FaultOf(const KubernetesTarget& target) const {
  const auto discovered = discovered_.find(target.ApiVersion());
  if (discovered != discovered_.end() && discovered->second.fault) {
    return &*discovered->second.fault;
  }
  const auto workloads = workloads_.find(CollectionOf(target));
  if (workloads != workloads_.end() && workloads->second.collection->fault()) {
    return &*workloads->second.collection->fault();
  }
  const auto slices = slices_.find(target.api_namespace);
  if (slices != slices_.end() && slices->second.collection->fault()) {
    return &*slices->second.collection->fault();
  }
  return nullptr;
}

Observation Cluster::Observe(const std::string& service) const {
  Observation observation{.service = service, .abilities = {.names_instances = false}};
  const auto followed = followed_.find(service);
  const auto fail = [&](Error error) {
    observation.fault = std::move(error);
    return observation;
  };
  if (followed == followed_.end()) return fail({ErrorKind::kInternal, "it is not followed"});
  const KubernetesTarget& target = *followed->second.target;
  observation.abilities.ends_exactly = EndsExactly(target);
  if (const Error* const fault = FaultOf(target)) {
    return fail(Error(*fault).Within(target.Shown()));
  }
  if (!IsKnown(service)) {
    return fail(
        {ErrorKind::kUnavailable, target.Shown() + ": the API server has not told of it yet"});
  }
  if (CollectionOf(target).empty()) {
    return fail({ErrorKind::kNotFound,
                 "the API " + target.ApiVersion() + " has no resource of kind " + target.kind});
  }
  return Read(target, std::move(observation));
}

bool Cluster::HasEndpoints(const KubernetesTarget& target) const {
  const auto slices = slices_.find(target.api_namespace);
  if (slices == slices_.end()) return false;
  const auto known = slices->second.empty_since.find(target.api_service);
  if (known == slices->second.empty_since.end()) return false;
  return !known->second || std::chrono::steady_clock::now() - *known->second < kEmptyForGood;
}

Observation Cluster::Read(const KubernetesTarget& target, Observation observation) const {
  const Workload* const workload = Find(target);
  if (workload == nullptr) {
    observation.fault = Error{ErrorKind::kNotFound, "there is no " + target.Shown()};
    return observation;
  }
  if (const auto scale = scales_.find(PathOf(target));
      scale != scales_.end() && scale->second.fault) {
    observation.fault = Error(*scale->second.fault).Within("the scale of " + target.Shown());
    return observation;
  }
  observation.capacity = workload->replicas;
  observation.blocked = BlockedBy(target);
  std::vector<const Slice*> slices;
  const Slices& all = slices_.at(target.api_namespace);
  if (const auto names = all.by_service.find(target.api_service); names != all.by_service.end()) {
    for (const std::string& name : names->second) slices.push_back(&all.items.at(name));
  }
  auto instances = ReadInstances(slices, target.port);
  if (!instances.ok()) {
    observation.fault = std::move(instances).error().Within(target.Shown());
    return observation;
  }
  observation.instances = *std::move(instances);
  const bool serves =
      std::any_of(observation.instances.begin(), observation.instances.end(),
                  [](const ObservedInstance& each) { return each.state == InstanceState::kReady; });
  if (serves) {
    all.empty_since[target.api_service].reset();
  } else if (const auto known = all.empty_since.find(target.api_service);
             known != all.empty_since.end() && !known->second) {
    known->second = std::chrono::steady_clock::now();
  }
  if (target.kind != "StatefulSet") return observation;
  for (ObservedInstance& instance : observation.instances) {
    const size_t dash = instance.id.rfind('-');
    if (dash == std::string::npos) continue;
    instance.rank = std::atoi(instance.id.c_str() + dash + 1) + 1;
  }
  return observation;
}

}  // namespace autoscale::kubernetes
