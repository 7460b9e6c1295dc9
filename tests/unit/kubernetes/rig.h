// A provider beside a fake API server with a Deployment.
#pragma once

#include <memory>
#include <string>

#include "tests/unit/kubernetes/api_server.h"
#include "tests/unit/kubernetes/kubeconfig_file.h"
#include "tests/unit/kubernetes/provider_on_loop.h"

namespace autoscale {

inline constexpr const char* kDeployments = "/apis/apps/v1/namespaces/shop/deployments";
inline constexpr const char* kReplicaSets = "/apis/apps/v1/namespaces/shop/replicasets";
inline constexpr const char* kStatefulSets = "/apis/apps/v1/namespaces/shop/statefulsets";
inline constexpr const char* kBoxes = "/apis/example.com/v1/namespaces/shop/boxes";
inline constexpr const char* kSlices = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
inline constexpr const char* kScalers =
    "/apis/autoscaling/v1/namespaces/shop/horizontalpodautoscalers";
inline constexpr const char* kPods = "/api/v1/namespaces/shop/pods";
inline constexpr const char* kCostKey = "controller.kubernetes.io/pod-deletion-cost";

class KubernetesRig : public testing::Test {
 protected:
  KubernetesRig() {
    server_.Put(kDeployments, "checkout", WorkloadJson(2));
    server_.Put(kSlices, "checkout-x",
                SliceJson("checkout", {{"checkout-a", true}, {"checkout-b", true}}));
  }

  std::shared_ptr<KubernetesTarget> Target(const std::string& name = "checkout",
                                           const std::string& kind = "Deployment") const {
    auto target = std::make_shared<KubernetesTarget>();
    target->kubeconfig = file_.path();
    target->api_namespace = "shop";
    target->group = kind == "Box" ? "example.com" : "apps";
    target->version = "v1";
    target->kind = kind;
    target->name = target->api_service = name;
    return target;
  }

  static std::string Instances(const Observation& observation) {
    std::string text = observation.fault ? "fault: " + observation.fault->message : "";
    for (const ObservedInstance& one : observation.instances) {
      text += (text.empty() ? "" : " ") + one.id + ":" + std::string(ToString(one.state));
    }
    return text;
  }

  ApiServer server_;
  const KubeconfigFile file_{server_.Url(), "tokenFile: token"};
  const bool token_written_ = (file_.Write("token", "first\n"), true);
  ProviderOnLoop provider_;
};

}  // namespace autoscale
