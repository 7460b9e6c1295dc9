#include "tests/real/kubernetes_fixture.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>

#include "tests/real/parts.h"

namespace autoscale {
namespace {

constexpr std::chrono::seconds kClusterPatience{60};
std::unique_ptr<KubernetesCluster> shared;
int namespaces = 0;

class EndsCluster final : public testing::Environment {
 public:
  void TearDown() override { shared.reset(); }
};
const auto* const kEnds = testing::AddGlobalTestEnvironment(new EndsCluster);

std::string Plural(const std::string& kind) {
  std::string plural = kind;
  for (char& c : plural) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return plural + (plural.ends_with('y') ? "" : "s");
}

std::string Substituted(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

}  // namespace

// --- Manifests ---

std::string Manifest(const std::string& name) {
  std::string text =
      ReadWhole(std::filesystem::path(AUTOSCALE_SOURCE_DIR) / "deploy/kubernetes" / name);
  EXPECT_FALSE(text.empty()) << name;
  return text;
}

std::vector<std::string> YamlDocuments(const std::string& text) {
  std::vector<std::string> documents(1);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line == "---") {
      documents.emplace_back();
    } else {
      documents.back() += line + "\n";
    }
  }
  return documents;
}

std::string YamlPath(const std::string& document) {
  const YAML::Node node = YAML::Load(document);
  const std::string version = node["apiVersion"].as<std::string>();
  std::string plural = Plural(node["kind"].as<std::string>());
  std::string path = (version == "v1" ? "/api/" : "/apis/") + version;
  if (const YAML::Node api_namespace = node["metadata"]["namespace"]; api_namespace.IsDefined()) {
    path += "/namespaces/" + api_namespace.as<std::string>();
  }
  return path + "/" + plural + "/" + node["metadata"]["name"].as<std::string>();
}

// --- The cluster ---

KubernetesCluster& KubernetesFixture::cluster() { return *shared; }

void KubernetesFixture::SetUp() {
  const auto programs = KubernetesCluster::Programs();
  if (!programs) GTEST_SKIP() << "no kube-apiserver: tests/real/build-kubernetes builds it";
  if (!shared) {
    shared = std::make_unique<KubernetesCluster>(*programs);
    ASSERT_TRUE(shared->Start()) << shared->Log();
    admin().Create("/api/v1/nodes", {{"metadata", {{"name", "node-1"}}}});  // where pods are
    for (const std::string& document : YamlDocuments(Manifest("autoscaled.yaml"))) {
      const auto applied = admin().Apply(YamlPath(document), document);
      ASSERT_TRUE(applied.ok()) << applied.text << document;
    }
  }
  namespace_ = "shop-" + std::to_string(++namespaces);
  admin().Create("/api/v1/namespaces",
                 {{"metadata", {{"name", namespace_}, {"labels", {{"test", namespace_}}}}}});
  kubeconfig_ = WriteKubeconfig("token: " + Token());
}

void KubernetesFixture::TearDown() {
  if (!shared) return;
  if (HasFailure()) {
    std::cerr << shared->Log();
    if (nginx_) std::cerr << nginx_->ErrorLog();
  }
}

void KubernetesFixture::RunPods(PodRunner::Kind kind) {
  pods_ = std::make_unique<PodRunner>(admin(), namespace_, kind, rig_.folder() / "output");
}

std::string KubernetesFixture::PathOf(const std::string& kind, const std::string& name) const {
  const std::string api = kind == "Box" ? "/apis/example.com/v1" : "/apis/apps/v1";
  return api + "/namespaces/" + namespace_ + "/" + (kind == "Box" ? "boxes" : Plural(kind)) +
         (name.empty() ? "" : "/" + name);
}

void KubernetesFixture::CreateWorkload(const std::string& kind, const std::string& name,
                                       int replicas) {
  const Json labels{{"app", name}};
  Json spec{{"replicas", replicas},
            {"selector", {{"matchLabels", labels}}},
            {"template",
             {{"metadata", {{"labels", labels}}},
              {"spec",
               {{"nodeName", "node-1"},
                {"containers", {{{"name", "web"}, {"image", "example.com/web"}}}}}}}}};
  if (kind == "StatefulSet") spec["serviceName"] = name;
  if (kind == "StatefulSet") spec["podManagementPolicy"] = "Parallel";
  admin().Create(PathOf(kind), {{"metadata", {{"name", name}}}, {"spec", spec}});
  CreateService(name);
}

void KubernetesFixture::CreateService(const std::string& name) {
  const int port = pods_ ? pods_->port() : 8080;
  admin().Create("/api/v1/namespaces/" + namespace_ + "/services",
                 {{"metadata", {{"name", name}}},
                  {"spec",
                   {{"clusterIP", "None"},
                    {"selector", {{"app", name}}},
                    {"ports", {{{"name", "http"}, {"port", port}, {"targetPort", port}}}}}}});
}

void KubernetesFixture::CreateBoxes() const {
  const std::string path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  if (!admin().Get(path + "/boxes.example.com").ok()) {
    const Json schema{{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", true}};
    const Json scale{{"specReplicasPath", ".spec.size"}, {"statusReplicasPath", ".status.size"}};
    const Json version{{"name", "v1"},
                       {"served", true},
                       {"storage", true},
                       {"schema", {{"openAPIV3Schema", schema}}},
                       {"subresources", {{"status", Json::object()}, {"scale", scale}}}};
    admin().Create(path, {{"metadata", {{"name", "boxes.example.com"}}},
                          {"spec",
                           {{"group", "example.com"},
                            {"scope", "Namespaced"},
                            {"names", {{"plural", "boxes"}, {"kind", "Box"}}},
                            {"versions", {version}}}}});
  }
  ASSERT_TRUE(Eventually([&] { return admin().Get(PathOf("Box")).ok(); }));
}

int KubernetesFixture::Replicas(const std::string& kind, const std::string& name) const {
  const auto answer = admin().Get(PathOf(kind, name) + "/scale");
  return answer.ok() ? answer.json["spec"].value("replicas", 0) : -1;
}

void KubernetesFixture::Scale(const std::string& kind, const std::string& name,
                              int replicas) const {
  const auto answer =
      admin().Patch(PathOf(kind, name) + "/scale", {{"spec", {{"replicas", replicas}}}});
  ASSERT_TRUE(answer.ok()) << answer.text;
}

// --- Who the daemon is ---

std::string KubernetesFixture::Token(const std::string& bound) const {
  const std::string folder = "/api/v1/namespaces/autoscaled";
  Json spec{{"audiences", {"https://kubernetes.test"}}, {"expirationSeconds", 3600}};
  if (!bound.empty()) {
    const auto secret = admin().Get(folder + "/secrets/" + bound);
    spec["boundObjectRef"] = {{"kind", "Secret"},
                              {"apiVersion", "v1"},
                              {"name", bound},
                              {"uid", secret.json["metadata"]["uid"]}};
  }
  const Json answer =
      admin().Create(folder + "/serviceaccounts/autoscaled/token", {{"spec", spec}});
  return answer["status"].value("token", "");
}

void KubernetesFixture::CreateSecret(const std::string& name) const {
  admin().Create("/api/v1/namespaces/autoscaled/secrets", {{"metadata", {{"name", name}}}});
}

std::string KubernetesFixture::WriteKubeconfig(const std::string& user, const std::string& name) {
  rig_.Write(name,
             "apiVersion: v1\nkind: Config\ncurrent-context: main\n"
             "contexts:\n- {name: main, context: {cluster: main, user: me}}\n"
             "clusters:\n- {name: main, cluster: {server: \"" +
                 cluster().Url() + "\", certificate-authority: " + cluster().CaFile() +
                 "}}\nusers:\n- {name: me, user: {" + user + "}}\n");
  return rig_.folder() / name;
}

void KubernetesFixture::Grant(Boxes boxes, const std::string& part,
                              const std::string& instead) const {
  std::string text =
      Substituted(Manifest("target-namespace.yaml"), "namespace: shop", "namespace: " + ns());
  if (boxes == Boxes::kYes) text = Substituted(Substituted(text, "# - ", "- "), "#   ", "  ");
  if (!part.empty()) {
    ASSERT_NE(text.find(part), std::string::npos) << part << " is not in:\n" << text;
    text = Substituted(text, part, instead);
  }
  for (const std::string& document : YamlDocuments(text)) {
    const auto applied = admin().Apply(YamlPath(document), document);
    ASSERT_TRUE(applied.ok()) << applied.text;
  }
}

// --- The daemon ---

void KubernetesFixture::StartNginx() {
  const auto root = PartsRoot("usr/sbin/nginx");
  if (!root || !std::filesystem::exists(*root / "usr/lib/nginx/modules")) {
    GTEST_SKIP() << "no nginx with Lua: deploy/fetch-parts.sh build/parts gets it";
  }
  nginx_.emplace(*root);
  ASSERT_TRUE(nginx_->Start()) << nginx_->ErrorLog();
  rig_.ConfigureDaemon(
      "gateways: {edge: {type: nginx, address: \"unix:" + nginx_->control_socket() + "\"}}\n");
}

void KubernetesFixture::WriteService(const std::string& name, const std::string& kind,
                                     const std::string& provider, const std::string& extra) {
  rig_.Write("policies/web.lua",
             "return scale_to(metric(\"load\").value, \"so many are asked for\")\n");
  rig_.Write("services.d/" + name + ".yaml",
             "service: " + name + "\npolicy: ../policies/web.lua\nmax: 8\ninterval: " + interval_ +
                 "\n"
                 "metrics: {load: shared}\ndrain_timeout: 10s\n"
                 "scaling: {down: {stabilization: 0s, max_step_percent: 100}}\n" +
                 (nginx_ ? "gateways: [{gateway: edge}]\n" : "") +
                 "provider:\n  type: kubernetes\n  namespace: " + ns() + "\n  kind: " + kind +
                 "\n  name: " + name +
                 (kubeconfig_.empty() ? "" : "\n  kubeconfig: " + kubeconfig_) + "\n" + provider +
                 extra);
}

std::set<std::string> KubernetesFixture::Published() const {
  const auto list = Json::parse(ReadWhole(nginx_->state_dir() / "checkout.json"), nullptr, false);
  std::set<std::string> all;
  if (!list.is_object()) return all;
  for (const auto& peer : list["peers"]) {
    if (peer.value("state", "serving") != "serving") continue;
    all.insert(peer["host"].get<std::string>() + ":" + std::to_string(peer["port"].get<int>()));
  }
  return all;
}

bool KubernetesFixture::IsAt(const std::string& kind, const std::string& name, int count) {
  const auto size = static_cast<size_t>(count);
  if (Replicas(kind, name) != count) return false;
  if (pods_ && pods_->Serving().size() != size) return false;
  if (nginx_ && Published() != pods_->Serving()) return false;
  const Json service = rig_.Service(name);
  if (service.is_null() || service["capacity"]["desired"] != count) return false;
  if (!pods_) return true;
  std::set<std::string> told;
  for (const auto& instance : service["instances"]) {
    if (instance["phase"] != "serving") return false;
    told.insert(instance["endpoint"].get<std::string>());
  }
  return service["capacity"]["ready"] == count && told == pods_->Serving();
}

void KubernetesFixture::Await(const std::string& kind, const std::string& name, int count) {
  ASSERT_TRUE(Eventually([&] { return IsAt(kind, name, count); }, kClusterPatience))
      << Replicas(kind, name) << "\n"
      << rig_.Ctl({"status", name}).out << rig_.Explain(name);
}

bool KubernetesFixture::LogSays(const std::string& part) const {
  return const_cast<DaemonRig&>(rig_).daemon().Errors().find(part) != std::string::npos;
}

void KubernetesFixture::AwaitLog(const std::string& part) {
  ASSERT_TRUE(Eventually([&] { return LogSays(part); }, kClusterPatience)) << part;
}

std::string KubernetesFixture::Problem(const std::string& name) {
  const Json service = rig_.Service(name);
  return service.is_object() ? service.value("problem", "") : "";
}

void KubernetesFixture::AwaitProblem(const std::string& name, const std::string& part) {
  ASSERT_TRUE(
      Eventually([&] { return Problem(name).find(part) != std::string::npos; }, kClusterPatience))
      << "no '" << part << "' in '" << Problem(name) << "'\n"
      << rig_.Explain(name);
}

std::vector<KubernetesCluster::Asked> KubernetesFixture::Asked(const std::string& verb,
                                                               const std::string& resource) const {
  std::vector<KubernetesCluster::Asked> all = cluster().Audit();
  std::erase_if(all, [&](const KubernetesCluster::Asked& one) {
    return one.verb != verb || one.resource != resource ||
           one.uri.find("/namespaces/" + ns() + "/") == std::string::npos;
  });
  return all;
}

std::vector<int> KubernetesFixture::Set() const {
  std::vector<int> all;
  for (const char* const kind : {"deployments/scale", "statefulsets/scale", "boxes/scale"}) {
    for (const auto& one : Asked("patch", kind)) {
      if (one.code == 200)
        all.push_back(one.body.is_object() ? one.body["spec"].value("replicas", -1) : -1);
    }
  }
  return all;
}

}  // namespace autoscale
