// What a service says of its Kubernetes target. See docs/providers/kubernetes.md.
#pragma once

#include <memory>
#include <string>

#include "config/loader.h"

namespace autoscale {

struct KubernetesTarget final : ProviderTarget {
  std::string kubeconfig;  // absolute; empty: the account of the pod that the daemon runs in
  std::string context;     // of the kubeconfig; empty: its current one
  std::string server;      // what was found there at load, to tell clusters apart
  std::string api_namespace;
  std::string group, version;  // "apps", "v1"; the core group is ""
  std::string kind;            // "Deployment"
  std::string name;
  std::string api_service;  // the Service whose endpoints are the instances
  std::string port;         // of the endpoints, by name or number; empty: the only one

  bool operator==(const KubernetesTarget& other) const;
  [[nodiscard]] std::string identity() const override;
  [[nodiscard]] std::string place() const override { return Shown(); }
  [[nodiscard]] bool has_capacity() const override { return true; }
  // "deployment shop/checkout", as messages call it.
  [[nodiscard]] std::string Shown() const;
  // "apps/v1"; "v1".
  [[nodiscard]] std::string ApiVersion() const;
};

std::shared_ptr<const ProviderTarget> ParseKubernetesTarget(Section& section,
                                                            const std::string& service);

}  // namespace autoscale
