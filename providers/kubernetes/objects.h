// What is kept of the API server's objects: the little that scaling needs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/event_loop.h"
#include "providers/kubernetes/json.h"
#include "providers/provider.h"

namespace autoscale::kubernetes {

// Whatever has a scale subresource.
struct Workload {
  std::optional<int> replicas;  // absent: only its scale subresource tells
  std::string version;
  std::optional<int> ready;  // pods; absent: not told
  bool rolling = false;      // a Deployment replaces its pods: it has more than one ReplicaSet
};
// Whether objects of the kind hold their replicas themselves, at spec.replicas, 1 when not set.
bool HoldsReplicas(const std::string& group, const std::string& kind);
Workload ReadWorkload(const Json& object, const std::string& group, const std::string& kind);

// An EndpointSlice of discovery.k8s.io, v1 or v1beta1.
struct Slice {
  struct Port {
    std::string name;
    int number = 0;
  };
  struct Endpoint {
    std::string id;       // its pod's name, else its address
    std::string address;  // "10.0.0.1", "[fd00::1]"
    bool ready = false;
    bool terminating = false;
  };
  std::string service;
  bool v6 = false;
  std::vector<Port> ports;
  std::vector<Endpoint> endpoints;
};
Slice ReadSlice(const Json& object);

// The instances in a Service's slices, by id. `port`: by name or number; empty: the only one.
// Error: what is ambiguous or missing.
Result<std::vector<ObservedInstance>> ReadInstances(const std::vector<const Slice*>& slices,
                                                    const std::string& port);

// A HorizontalPodAutoscaler's target: "Deployment/checkout".
std::string ReadScaleTarget(const Json& object);

// Of two versions of objects: whether the first is older, as far as that can be known.
bool IsOlder(const std::string& version, const std::string& than);

}  // namespace autoscale::kubernetes
