// KubernetesFixture: the real daemon before a real API server, which all tests of a program share;
// each test has a namespace of its own. The daemon is the account of deploy/kubernetes, with its
// rights.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/integration/daemon_rig.h"
#include "tests/real/kubernetes_cluster.h"
#include "tests/real/nginx_process.h"
#include "tests/real/pod_runner.h"

namespace autoscale {

class KubernetesFixture : public testing::Test {
 protected:
  using Json = nlohmann::json;

  // Skips where there is no Kubernetes; fails when it does not start.
  void SetUp() override;
  void TearDown() override;

  static KubernetesCluster& cluster();
  static KubernetesClient& admin() { return cluster().admin(); }
  [[nodiscard]] const std::string& ns() const { return namespace_; }

  // --- What somebody deployed ---
  void RunPods(PodRunner::Kind kind);
  // Of pods that RunPods runs, and with a headless Service of the same name.
  void CreateWorkload(const std::string& kind, const std::string& name, int replicas);
  void CreateService(const std::string& name);
  // A custom resource whose scale's replicas are its spec.size.
  void CreateBoxes() const;
  // "/apis/apps/v1/namespaces/NS/deployments/NAME"
  [[nodiscard]] std::string PathOf(const std::string& kind, const std::string& name = "") const;
  // What the API server says that the workload's replicas are; -1: nothing.
  [[nodiscard]] int Replicas(const std::string& kind, const std::string& name) const;
  // As `kubectl scale`.
  void Scale(const std::string& kind, const std::string& name, int replicas) const;

  // --- Who the daemon is ---
  // A token of the account that is no more valid when the Secret `bound` is deleted, if any.
  [[nodiscard]] std::string Token(const std::string& bound = "") const;
  void CreateSecret(const std::string& name) const;
  // Writes a kubeconfig into the rig's folder; `user` as a flow mapping: "token: secret".
  std::string WriteKubeconfig(const std::string& user, const std::string& name = "kubeconfig");
  // Role and RoleBinding of deploy/kubernetes, in the namespace; with the example of custom
  // resources that the Role holds as a comment, or with a part of it replaced.
  enum class Boxes { kNo, kYes };
  void Grant(Boxes boxes = Boxes::kNo, const std::string& part = "",
             const std::string& instead = "") const;

  // --- The daemon ---
  // With nginx as its gateway, when it was started before.
  void StartNginx();
  void WriteService(const std::string& name, const std::string& kind = "Deployment",
                    const std::string& provider = "", const std::string& extra = "");
  void Load(const std::string& name, double value) { rig_.prometheus().Set("load", name, value); }
  // Desired and ready, capacity in the cluster, pods and nginx' list say the same.
  [[nodiscard]] bool IsAt(const std::string& kind, const std::string& name, int count);
  void Await(const std::string& kind, const std::string& name, int count);
  [[nodiscard]] bool LogSays(const std::string& part) const;
  void AwaitLog(const std::string& part);
  // What `status` says is not well with it.
  [[nodiscard]] std::string Problem(const std::string& name);
  void AwaitProblem(const std::string& name, const std::string& part);
  // What nginx would send requests to.
  [[nodiscard]] std::set<std::string> Published() const;

  // What was asked in the namespace.
  [[nodiscard]] std::vector<KubernetesCluster::Asked> Asked(const std::string& verb,
                                                            const std::string& resource) const;
  // The capacities that were set, in their order.
  [[nodiscard]] std::vector<int> Set() const;

  std::string interval_ = "250ms";  // of services that are written from now on
  std::string namespace_;
  std::string kubeconfig_;
  std::optional<NginxProcess> nginx_;  // goes after the daemon that pushes to it
  DaemonRig rig_;
  std::unique_ptr<PodRunner> pods_;
};

// Splits a file of YAML documents.
std::vector<std::string> YamlDocuments(const std::string& text);
// Where the object of a document is: "/api/v1/namespaces/NS/secrets/NAME".
std::string YamlPath(const std::string& document);
std::string Manifest(const std::string& name);  // of deploy/kubernetes

}  // namespace autoscale
