// Cluster: what is known of one cluster, and of the targets in it.
//
// A namespace's workloads of one kind, its EndpointSlices and its HorizontalPodAutoscalers are each
// one list and one watch, however many targets there are.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "providers/kubernetes/collection.h"
#include "providers/kubernetes/objects.h"
#include "providers/kubernetes/options.h"

namespace autoscale::kubernetes {

using TargetPtr = std::shared_ptr<const KubernetesTarget>;

class Cluster {
 public:
  using Services = std::set<std::string>;

  // `report` is called with the services of whose targets something changed, from a task of its
  // own.
  Cluster(EventLoop& loop, HttpClient& http, const KubernetesTarget& any,
          std::function<void(const Services&)> report);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Follows a service's target from now on, or goes on doing so.
  void Follow(const std::string& service, const TargetPtr& target);
  // Drops those that were not followed anew for so long.
  void DropOlder(std::chrono::steady_clock::duration age);
  [[nodiscard]] bool empty() const { return followed_.empty(); }

  // Enough has been heard to say something of it, if only why it cannot be read.
  [[nodiscard]] bool IsKnown(const std::string& service) const;
  [[nodiscard]] Observation Observe(const std::string& service) const;

  // --- For whoever sets a capacity ---
  [[nodiscard]] Api& api() { return api_; }
  // "/apis/apps/v1/namespaces/shop/deployments/checkout"; empty while that is not known.
  [[nodiscard]] std::string PathOf(const KubernetesTarget& target) const;
  // As last seen; null: it is not there, or was not read yet.
  [[nodiscard]] const Workload* Find(const KubernetesTarget& target) const;
  [[nodiscard]] bool EndsExactly(const KubernetesTarget& target) const;
  // Whether its Service has endpoints that are ready, or had a minute ago: else its pods are
  // nobody's to drain.
  [[nodiscard]] bool HasEndpoints(const KubernetesTarget& target) const;
  // Its scale is this now; what is older is not believed for a while.
  void TakeScale(const KubernetesTarget& target, int replicas, const std::string& version);

 private:
  struct Workloads {
    std::map<std::string, Workload> items;  // by name
    std::unique_ptr<Collection> collection;
  };
  struct Slices {
    std::map<std::string, Slice> items;                       // by name
    std::map<std::string, std::set<std::string>> by_service;  // their names
    // By service, of those that ever had a ready endpoint: since when there is none. Follows what
    // is observed.
    mutable std::map<std::string, std::optional<std::chrono::steady_clock::time_point>> empty_since;
    std::unique_ptr<Collection> collection;
  };
  struct Scalers {
    std::map<std::string, std::string> targets;              // by name: "Deployment/checkout"
    std::map<std::string, std::set<std::string>> by_target;  // their names
    std::unique_ptr<Collection> collection;
  };
  struct Followed {
    TargetPtr target;
    std::chrono::steady_clock::time_point since;
  };
  // Of an API group and version: the plural names of its kinds that can be scaled.
  struct Discovered {
    std::map<std::string, std::string> plurals;
    std::optional<Error> fault;
    bool asking = false;
    bool known = false;
  };
  // A scale that the object itself does not hold.
  struct Scale {
    std::string version;  // of the object that it was read of
    std::optional<Error> fault;
    bool asking = false;
  };
  struct Floor {
    std::string version;
    std::chrono::steady_clock::time_point since;
  };

  void AskVersion();
  void FailVersion(const Error& error);
  void Discover(const std::string& api_version);
  [[nodiscard]] std::string CollectionOf(const KubernetesTarget& target) const;
  void FollowWorkloads(const KubernetesTarget& target);
  void FollowSlices(const std::string& api_namespace);
  void FollowScalers(const std::string& api_namespace);
  void TakeWorkload(const std::string& path, const std::string& group, const std::string& kind,
                    const Json& object, bool deleted);
  void TakeSlice(const std::string& api_namespace, const Json& object, bool deleted);
  void DropSlice(const std::string& api_namespace, const std::string& name);
  void AskScale(const KubernetesTarget& target);
  void FailScale(const std::string& path, const Error& error);
  void TakeScaler(const std::string& api_namespace, const std::string& name,
                  const std::string& scaled);
  [[nodiscard]] std::string BlockedBy(const KubernetesTarget& target) const;
  [[nodiscard]] const Error* FaultOf(const KubernetesTarget& target) const;
  Observation Read(const KubernetesTarget& target, Observation observation) const;

  // Something changed that whoever is interested in the key looks at.
  void Touch(const std::string& key);
  void Flush();
  // After a pause, unless this has ended by then.
  void Later(Millis pause, std::function<void()> task);

  EventLoop& loop_;
  Api api_;
  const std::function<void(const Services&)> report_;
  bool asking_version_ = false;  // or waiting to ask again
  bool version_known_ = false;
  bool version_refused_ = false;
  Backoff version_backoff_;
  bool deletion_cost_ = false;  // the server's ReplicaSets choose their victims by it

  std::map<std::string, Followed> followed_;                 // by service
  std::map<std::string, std::set<std::string>> interested_;  // key -> services
  std::map<std::string, Workloads> workloads_;               // by the collection's path
  std::map<std::string, Slices> slices_;                     // by namespace
  std::map<std::string, Scalers> scalers_;                   // by namespace
  std::map<std::string, Discovered> discovered_;             // by "example.com/v1"
  std::map<std::string, Scale> scales_;                      // by the object's path
  std::map<std::string, Floor> floors_;                      // by the object's path
  Services dirty_;                                           // to report
  std::optional<EventLoop::TimerId> flush_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace autoscale::kubernetes
