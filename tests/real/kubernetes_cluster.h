// KubernetesCluster: a real etcd, kube-apiserver and kube-controller-manager, in a folder and at
// ports of their own. There are no nodes: pods run where PodRunner runs them.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/integration/child.h"
#include "tests/real/kubernetes_client.h"

namespace autoscale {

class KubernetesCluster {
 public:
  // What the API server noted of one request that it has answered.
  struct Asked {
    std::string user, verb, resource, name, uri;  // resource "deployments/scale"
    int code = 0;
    nlohmann::json body;  // of what was sent to a scale
  };

  // Where tests/real/build-kubernetes leaves the programs; nothing: it has not run.
  static std::optional<std::filesystem::path> Programs();

  explicit KubernetesCluster(std::filesystem::path programs);
  KubernetesCluster(const KubernetesCluster&) = delete;
  KubernetesCluster& operator=(const KubernetesCluster&) = delete;

  // Starts all of it and waits until it answers; false: see Log.
  [[nodiscard]] bool Start();
  // SIGKILL, and back at the same port.
  void KillApiServer();
  [[nodiscard]] bool StartApiServer();
  // etcd forgets all versions but the present ones.
  [[nodiscard]] bool Compact();

  [[nodiscard]] std::string Url() const;  // "https://127.0.0.1:PORT"
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string CaFile() const { return folder_ / "ca.pem"; }
  // Of the user "test client"; certificate and key are in one file.
  [[nodiscard]] std::string ClientFile() const { return folder_ / "client.pem"; }
  [[nodiscard]] std::string ClientKeyFile() const { return folder_ / "client.key"; }
  // With all rights.
  KubernetesClient& admin() { return *admin_; }
  // Another client, who is whom the token says.
  [[nodiscard]] std::unique_ptr<KubernetesClient> Client(const std::string& token) const;

  // All requests of the tests' users that were answered so far, watches included.
  [[nodiscard]] std::vector<Asked> Audit() const;
  // What the programs said last.
  [[nodiscard]] std::string Log() const;

 private:
  void WriteFiles() const;
  void StartEtcd();
  void StartController();

  const std::filesystem::path programs_;
  const struct Folder {
    Folder();
    ~Folder();
    std::filesystem::path path;
  } own_;
  const std::filesystem::path folder_{own_.path};
  const int etcd_port_, port_;
  int starts_ = 0;
  std::unique_ptr<KubernetesClient> admin_;
  std::unique_ptr<Child> etcd_, api_server_, controller_;
};

}  // namespace autoscale
