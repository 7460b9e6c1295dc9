#include "providers/kubernetes/options.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "tests/fakes/documented.h"
#include "tests/unit/kubernetes/kubeconfig_file.h"

namespace autoscale {
namespace {

struct Parsed {
  std::shared_ptr<const KubernetesTarget> target;
  std::vector<std::string> messages;
};

class KubernetesOptions : public testing::Test {
 protected:
  Parsed Parse(const std::string& yaml) {
    std::vector<Diagnostic> diagnostics;
    Section section("/etc/autoscaled/services.d/web.yaml", YAML::Load(yaml), "provider",
                    &diagnostics);
    Parsed parsed;
    parsed.target =
        std::dynamic_pointer_cast<const KubernetesTarget>(ParseKubernetesTarget(section, "web"));
    for (const auto& diagnostic : diagnostics) parsed.messages.push_back(ToString(diagnostic));
    return parsed;
  }

  const KubeconfigFile file_{"https://10.0.0.1:6443/"};
  const std::string kubeconfig_ = "kubeconfig: " + file_.path() + "\n";
};

TEST_F(KubernetesOptions, ReadsEverything) {
  const auto [target, messages] = Parse(R"(type: kubernetes
namespace: shop
kind: Rollout
api_version: argoproj.io/v1alpha1
name: checkout
service: checkout-headless
port: http
context: main
)" + kubeconfig_);
  EXPECT_TRUE(messages.empty()) << messages.front();
  ASSERT_TRUE(target);
  EXPECT_EQ(target->api_namespace, "shop");
  EXPECT_EQ(target->group, "argoproj.io");
  EXPECT_EQ(target->version, "v1alpha1");
  EXPECT_EQ(target->kind, "Rollout");
  EXPECT_EQ(target->api_service, "checkout-headless");
  EXPECT_EQ(target->port, "http");
  EXPECT_EQ(target->identity(),
            "kubernetes https://10.0.0.1:6443 shop/argoproj.io/Rollout/checkout");
  EXPECT_EQ(target->Shown(), "Rollout shop/checkout");
  EXPECT_EQ(target->place(), "Rollout shop/checkout") << "wherever its API server is";
}

TEST_F(KubernetesOptions, TheDocumentedExampleLoads) {
  const auto blocks = DocumentedYaml("docs/providers/kubernetes.md");
  ASSERT_EQ(blocks.size(), 1u);
  ::setenv("KUBECONFIG", file_.path().c_str(), 1);
  const auto [target, messages] = Parse(YAML::Dump(YAML::Load(blocks[0])["provider"]));
  ::unsetenv("KUBECONFIG");
  EXPECT_TRUE(messages.empty()) << messages.front();
  EXPECT_EQ(target->Shown(), "Deployment shop/checkout");
  EXPECT_TRUE(target->has_capacity());  // or `capacity: external` would be refused
}

TEST_F(KubernetesOptions, Defaults) {
  const auto [target, messages] =
      Parse("type: kubernetes\nname: checkout\nport: 8080\n" + kubeconfig_);
  EXPECT_TRUE(messages.empty()) << messages.front();
  ASSERT_TRUE(target);
  EXPECT_EQ(target->api_namespace, "default");
  EXPECT_EQ(target->ApiVersion(), "apps/v1");
  EXPECT_EQ(target->kind, "Deployment");
  EXPECT_EQ(target->api_service, "checkout");
  EXPECT_EQ(target->port, "8080");
}

TEST_F(KubernetesOptions, TwoWaysToTheSameClusterAreTheSameTarget) {
  const KubeconfigFile other("https://10.0.0.1:6443");
  const auto one = Parse("name: checkout\n" + kubeconfig_).target;
  const auto two = Parse("name: checkout\nport: 80\nkubeconfig: " + other.path() + "\n").target;
  EXPECT_EQ(one->identity(), two->identity());
}

TEST_F(KubernetesOptions, FaultsSayWhatToDo) {
  const std::string good = "name: checkout\n" + kubeconfig_;
  const std::vector<std::pair<std::string, std::string>> faults = {
      {kubeconfig_, "name' is missing"},
      {"name: Checkout\n" + kubeconfig_, "web.yaml:1: name must be a name as Kubernetes has them"},
      {"name: a/b\n" + kubeconfig_, "name must be a name"},
      {good + "namespace: ../x\n", "web.yaml:3: namespace must be a name"},
      {good + "service: a_b\n", "service must be a name"},
      {good + "kind: deployment\n", "kind must be the kind of a resource, such as Deployment"},
      {good + "kind: Rollout\n", "web.yaml:3: api_version is missing: the API that has the kind"},
      {good + "api_version: /v1\n", "api_version must be GROUP/VERSION"},
      {good + "port: a b\n", "port must be the name or number of a port"},
      {good + "context: other\n", "has no context named 'other'"},
      {"name: checkout\nkubeconfig: /nowhere/config\n",
       "web.yaml:2: the kubeconfig: cannot read /nowhere/config"},
      {good + "replicas: 3\n", "unknown key 'replicas'"},
  };
  for (const auto& [yaml, message] : faults) {
    const auto parsed = Parse(yaml);
    ASSERT_EQ(parsed.messages.size(), 1u) << yaml << parsed.messages.back();
    EXPECT_NE(parsed.messages[0].find(message), std::string::npos) << parsed.messages[0];
  }
}

TEST_F(KubernetesOptions, OutsideOfAClusterAKubeconfigIsNeeded) {
  ::unsetenv("KUBERNETES_SERVICE_HOST");
  ::unsetenv("KUBECONFIG");
  const auto parsed = Parse("name: checkout\n");
  ASSERT_EQ(parsed.messages.size(), 1u);
  EXPECT_NE(parsed.messages[0].find("kubeconfig is missing: autoscaled does not run in a cluster"),
            std::string::npos)
      << parsed.messages[0];
  ::setenv("KUBECONFIG", file_.path().c_str(), 1);
  EXPECT_TRUE(Parse("name: checkout\n").messages.empty());
  ::unsetenv("KUBECONFIG");
}

}  // namespace
}  // namespace autoscale
