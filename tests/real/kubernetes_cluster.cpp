#include "tests/real/kubernetes_cluster.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "tests/fakes/tls_front.h"
#include "tests/real/http_probe.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr seconds kStartPatience{60};
constexpr size_t kShownLog = 4096;
constexpr const char* kAdmin = "admin-token";
constexpr const char* kPrograms[] = {"etcd", "kube-apiserver", "kube-controller-manager"};

// Who else has a token; what they may do is the tests' affair.
constexpr const char* kTokens =
    "admin-token,admin,1,\"system:masters\"\n"
    "controller-token,controller,2,\"system:masters\"\n";

// What was sent is noted where it says what a capacity was set to.
constexpr const char* kAuditPolicy = R"(
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: None, users: [admin, controller, "system:apiserver"]}
- {level: Request, resources: [{group: apps, resources: ["*/scale"]}, {group: example.com}]}
- {level: Metadata}
)";

std::string Tail(const std::string& text) {
  return text.substr(text.size() - std::min(text.size(), kShownLog));
}

}  // namespace

KubernetesCluster::Folder::Folder() {
  std::string name = fs::temp_directory_path() / "kubernetes-test-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) std::abort();
  path = fs::canonical(name);
}

KubernetesCluster::Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

std::optional<fs::path> KubernetesCluster::Programs() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache == nullptr && home == nullptr) return std::nullopt;
  const fs::path folder =
      (cache != nullptr && *cache != '\0' ? fs::path(cache) : fs::path(home) / ".cache") /
      "autoscaled/kubernetes-1.20.2";
  std::error_code ignored;
  for (const char* const program : kPrograms) {
    if (!fs::exists(folder / program, ignored)) return std::nullopt;
  }
  return folder;
}

KubernetesCluster::KubernetesCluster(fs::path programs)
    : programs_(std::move(programs)), etcd_port_(FreePort()), port_(FreePort()) {
  WriteCertificates(folder_);
  WriteFiles();
  admin_ = Client(kAdmin);
}

void KubernetesCluster::WriteFiles() const {
  std::ofstream(folder_ / "tokens.csv") << kTokens;
  std::ofstream(folder_ / "audit.yaml") << kAuditPolicy;
  std::ofstream(folder_ / "controller.yaml")
      << "apiVersion: v1\nkind: Config\ncurrent-context: main\n"
         "contexts:\n- {name: main, context: {cluster: main, user: me}}\n"
         "clusters:\n- {name: main, cluster: {server: \""
      << Url() << "\", certificate-authority: " << CaFile()
      << "}}\nusers:\n- {name: me, user: {token: controller-token}}\n";
}

std::string KubernetesCluster::Url() const { return "https://127.0.0.1:" + std::to_string(port_); }

std::unique_ptr<KubernetesClient> KubernetesCluster::Client(const std::string& token) const {
  return std::make_unique<KubernetesClient>(Url(), CaFile(), token);
}

bool KubernetesCluster::Start() {
  StartEtcd();
  return StartApiServer();
}

void KubernetesCluster::StartEtcd() {
  const std::string clients = "http://127.0.0.1:" + std::to_string(etcd_port_);
  const std::string peers = "http://127.0.0.1:" + std::to_string(FreePort());
  etcd_ = std::make_unique<Child>(
      std::vector<std::string>{programs_ / "etcd", "--data-dir", folder_ / "etcd",
                               "--listen-client-urls", clients, "--advertise-client-urls", clients,
                               "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
                               "--initial-cluster", "default=" + peers, "--log-level", "error"},
      folder_ / "etcd-log");
}

bool KubernetesCluster::StartApiServer() {
  const std::string server = folder_ / "server.pem";  // its key signs accounts' tokens, too
  api_server_ = std::make_unique<Child>(
      std::vector<std::string>{
          programs_ / "kube-apiserver",
          "--etcd-servers=http://127.0.0.1:" + std::to_string(etcd_port_),
          "--bind-address=127.0.0.1",
          "--advertise-address=127.0.0.1",
          "--secure-port=" + std::to_string(port_),
          "--insecure-port=0",
          "--endpoint-reconciler-type=none",
          "--tls-cert-file=" + server,
          "--tls-private-key-file=" + server,
          "--client-ca-file=" + CaFile(),
          "--token-auth-file=" + (folder_ / "tokens.csv").string(),
          "--authorization-mode=RBAC",
          "--service-account-issuer=https://kubernetes.test",
          "--service-account-key-file=" + server,
          "--service-account-signing-key-file=" + server,
          "--service-cluster-ip-range=10.0.0.0/24",
          // There is nobody who would give pods' accounts their secrets.
          "--disable-admission-plugins=ServiceAccount",
          "--feature-gates=EndpointSliceTerminatingCondition=true",  // as newer ones have it
          "--watch-cache-sizes=statefulsets.apps#0",  // these are watched in etcd itself
          "--audit-policy-file=" + (folder_ / "audit.yaml").string(),
          "--audit-log-path=" + (folder_ / "audit.log").string(),
      },
      folder_ / ("apiserver-log-" + std::to_string(++starts_)));
  const bool answers = Eventually(
      [this] { return api_server_->Wait(seconds(0)).has_value() || admin_->Get("/readyz").ok(); },
      kStartPatience);
  if (!answers || api_server_->Wait(seconds(0))) return false;
  StartController();  // one from before would wait ever longer between its tries
  return true;
}

void KubernetesCluster::KillApiServer() {
  api_server_->Signal(SIGKILL);
  (void)api_server_->Wait();
}

void KubernetesCluster::StartController() {
  controller_ = std::make_unique<Child>(
      std::vector<std::string>{programs_ / "kube-controller-manager",
                               "--kubeconfig=" + (folder_ / "controller.yaml").string(),
                               "--controllers=deployment,replicaset,statefulset,endpointslice",
                               "--leader-elect=false", "--port=0", "--secure-port=0",
                               "--kube-api-qps=500", "--kube-api-burst=500",
                               "--feature-gates=EndpointSliceTerminatingCondition=true"},
      folder_ / "controller-log");
}

bool KubernetesCluster::Compact() {
  KubernetesClient etcd("http://127.0.0.1:" + std::to_string(etcd_port_), "", "");
  const auto status = etcd.Ask("POST", "/v3/maintenance/status", "{}", "application/json");
  if (!status.ok()) return false;
  const nlohmann::json wish{{"revision", status.json["header"]["revision"]}};
  return etcd.Ask("POST", "/v3/kv/compaction", wish.dump(), "application/json").ok();
}

std::vector<KubernetesCluster::Asked> KubernetesCluster::Audit() const {
  std::vector<Asked> all;
  std::istringstream lines(ReadWhole(folder_ / "audit.log"));
  for (std::string line; std::getline(lines, line);) {
    const auto event = nlohmann::json::parse(line, nullptr, false);
    if (!event.is_object()) continue;  // not written to its end yet
    const auto& object = event.value("objectRef", nlohmann::json::object());
    Asked asked{.user = event["user"].value("username", ""),
                .verb = event.value("verb", ""),
                .resource = object.value("resource", ""),
                .name = object.value("name", ""),
                .uri = event.value("requestURI", ""),
                .code = event.value("responseStatus", nlohmann::json::object()).value("code", 0),
                .body = event.value("requestObject", nlohmann::json())};
    if (object.contains("subresource")) asked.resource += "/" + object.value("subresource", "");
    all.push_back(std::move(asked));
  }
  return all;
}

std::string KubernetesCluster::Log() const {
  std::string text;
  for (const auto* child : {&etcd_, &api_server_, &controller_}) {
    if (*child) text += Tail((*child)->Errors());
  }
  return text;
}

}  // namespace autoscale
