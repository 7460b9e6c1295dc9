#include "providers/kubernetes/objects.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "engine/model/text.h"

namespace autoscale::kubernetes {
namespace {

constexpr size_t kShownBytes = 200;  // of the names of ports, in a message

const Slice::Port* FindPort(const Slice& slice, const std::string& port) {
  if (port.empty()) return slice.ports.size() == 1 ? &slice.ports.front() : nullptr;
  for (const Slice::Port& one : slice.ports) {
    if (one.name == port || std::to_string(one.number) == port) return &one;
  }
  return nullptr;
}

Error NoPort(const Slice& slice, const std::string& port) {
  std::string names;
  for (const Slice::Port& one : slice.ports) {
    names +=
        (names.empty() ? "" : ", ") + (one.name.empty() ? std::to_string(one.number) : one.name);
  }
  const std::string service = "the Service " + OneLine(slice.service, kShownBytes);
  if (slice.ports.empty()) return {ErrorKind::kInvalid, service + " has no ports"};
  names = OneLine(names, kShownBytes);
  return {ErrorKind::kInvalid, port.empty() ? service + " has the ports " + names + ": say port"
                                            : service + " has no port " + port + ", but " + names};
}

InstanceState StateOf(const Slice::Endpoint& endpoint) {
  if (endpoint.terminating) return InstanceState::kStopping;
  return endpoint.ready ? InstanceState::kReady : InstanceState::kUnready;
}

std::optional<uint64_t> VersionNumber(const std::string& text) {
  uint64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

bool HoldsReplicas(const std::string& group, const std::string& kind) {
  if (group == "apps") return kind == "Deployment" || kind == "StatefulSet" || kind == "ReplicaSet";
  return group.empty() && kind == "ReplicationController";
}

Workload ReadWorkload(const Json& object, const std::string& group, const std::string& kind) {
  Workload workload;
  workload.version = Text(At(object, "metadata", "resourceVersion"));
  if (HoldsReplicas(group, kind)) workload.replicas = Number(At(object, "spec", "replicas"), 1);
  const Json& status = At(object, "status");
  if (group == "apps") workload.ready = Number(At(status, "readyReplicas"), 0);  // no zero is said
  workload.rolling = group == "apps" && kind == "Deployment" &&
                     Number(At(status, "updatedReplicas"), 0) < Number(At(status, "replicas"), 0);
  return workload;
}

Slice ReadSlice(const Json& object) {
  Slice slice;
  slice.service = Text(At(object, "metadata", "labels", "kubernetes.io/service-name"));
  slice.v6 = Text(At(object, "addressType")) == "IPv6";
  for (const Json& port : At(object, "ports")) {
    const int number = Number(At(port, "port"), 0);
    if (number > 0) slice.ports.push_back({Text(At(port, "name")), number});
  }
  for (const Json& item : At(object, "endpoints")) {
    const Json& addresses = At(item, "addresses");
    if (!addresses.is_array() || addresses.empty()) continue;
    Slice::Endpoint endpoint;
    // Those of one endpoint are interchangeable, and Kubernetes itself uses the first.
    const std::string address = Text(addresses.front());
    if (address.empty()) continue;
    endpoint.address = slice.v6 ? "[" + address + "]" : address;
    endpoint.id = Text(At(item, "targetRef", "name"));
    if (endpoint.id.empty()) endpoint.id = address;
    endpoint.ready = True(At(item, "conditions", "ready"), true);  // unknown counts as ready
    endpoint.terminating = True(At(item, "conditions", "terminating"), false);
    slice.endpoints.push_back(std::move(endpoint));
  }
  return slice;
}

Result<std::vector<ObservedInstance>> ReadInstances(const std::vector<const Slice*>& slices,
                                                    const std::string& port) {
  struct Found {
    ObservedInstance instance;
    bool v6 = false;
  };
  std::map<std::string, Found> found;
  for (const Slice* const slice : slices) {
    if (slice->endpoints.empty()) continue;
    const Slice::Port* const chosen = FindPort(*slice, port);
    if (chosen == nullptr) return NoPort(*slice, port);
    for (const Slice::Endpoint& endpoint : slice->endpoints) {
      ObservedInstance instance{.id = endpoint.id,
                                .state = StateOf(endpoint),
                                .endpoint = endpoint.address + ":" + std::to_string(chosen->number),
                                .detail = {}};
      const auto [at, fresh] = found.try_emplace(endpoint.id, Found{instance, slice->v6});
      if (fresh) continue;
      // An endpoint may be in two slices while it moves between them, and a pod has an address of
      // each family. Whoever ends is not to be given work, whatever the other slice says.
      Found& known = at->second;
      const bool stops = known.instance.state == InstanceState::kStopping ||
                         instance.state == InstanceState::kStopping;
      const bool ready =
          known.instance.state == InstanceState::kReady || instance.state == InstanceState::kReady;
      if (known.v6 && !slice->v6) known = {instance, false};
      known.instance.state = stops   ? InstanceState::kStopping
                             : ready ? InstanceState::kReady
                                     : InstanceState::kUnready;
    }
  }
  std::vector<ObservedInstance> instances;
  instances.reserve(found.size());
  for (auto& [id, one] : found) instances.push_back(std::move(one.instance));
  return instances;
}

std::string ReadScaleTarget(const Json& object) {
  const Json& target = At(object, "spec", "scaleTargetRef");
  return Text(At(target, "kind")) + "/" + Text(At(target, "name"));
}

bool IsOlder(const std::string& version, const std::string& than) {
  const auto one = VersionNumber(version);
  const auto other = VersionNumber(than);
  return one && other && *one < *other;
}

}  // namespace autoscale::kubernetes
