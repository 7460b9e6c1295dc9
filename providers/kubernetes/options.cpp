#include "providers/kubernetes/options.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <tuple>

#include "providers/kubernetes/kubeconfig.h"

namespace autoscale {
namespace {

constexpr std::array<std::string_view, 3> kAppsKinds = {"Deployment", "StatefulSet", "ReplicaSet"};
constexpr size_t kMaxName = 253;

// A part of a URL's path, and a name as Kubernetes has them: nothing in it needs an escape.
bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-' || c == '.';
         });
}

bool IsKind(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName &&
         std::isupper(static_cast<unsigned char>(text.front())) != 0 &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0; });
}

std::string NameIn(Section& section, const std::string& key, const std::string& fallback) {
  std::string name = fallback.empty() ? section.RequiredString(key) : section.String(key, fallback);
  if (!name.empty() && !IsName(name)) {
    section.Fault(key, key +
                           " must be a name as Kubernetes has them, such as checkout: lower-case "
                           "letters, digits and dashes");
  }
  return name;
}

void ParseKind(Section& section, KubernetesTarget& target) {
  target.kind = section.String("kind", "Deployment");
  const bool known =
      std::find(kAppsKinds.begin(), kAppsKinds.end(), target.kind) != kAppsKinds.end();
  if (!IsKind(target.kind)) {
    section.Fault("kind", "kind must be the kind of a resource, such as Deployment");
    return;
  }
  const std::string api = section.String("api_version", known ? "apps/v1" : "");
  const size_t slash = api.find('/');
  if (api.empty()) {
    section.Fault("kind", "api_version is missing: the API that has the kind " + target.kind +
                              ", such as example.com/v1");
    return;
  }
  target.group = slash == std::string::npos ? "" : api.substr(0, slash);
  target.version = slash == std::string::npos ? api : api.substr(slash + 1);
  if (!IsName(target.version) || (slash != std::string::npos && !IsName(target.group))) {
    section.Fault("api_version", "api_version must be GROUP/VERSION, such as apps/v1");
  }
}

void ParsePort(Section& section, KubernetesTarget& target) {
  target.port = section.String("port");
  if (!section.Has("port")) return;
  if (!IsName(target.port)) {
    section.Fault("port",
                  "port must be the name or number of a port of the endpoints, such as "
                  "http or 8080");
  }
}

// Where the cluster is; read now only so that mistakes are told at load.
void ParseAccess(Section& section, KubernetesTarget& target) {
  target.kubeconfig = section.Path("kubeconfig");
  target.context = section.String("context");
  const bool in_cluster = std::getenv("KUBERNETES_SERVICE_HOST") != nullptr;
  const char* named = std::getenv("KUBECONFIG");
  if (target.kubeconfig.empty() && (!in_cluster || !target.context.empty()) && named != nullptr) {
    target.kubeconfig = named;
  }
  if (target.kubeconfig.empty() && !target.context.empty()) {
    section.Fault("context", "context names a part of a kubeconfig: say kubeconfig too");
    return;
  }
  if (target.kubeconfig.empty() && !in_cluster) {
    section.Fault("",
                  "kubeconfig is missing: autoscaled does not run in a cluster, and KUBECONFIG "
                  "is not set");
    return;
  }
  const auto access = ReadAccess(target.kubeconfig, target.context);
  if (access.ok()) {
    target.server = access->server;
  } else {
    section.Fault(section.Has("kubeconfig") ? "kubeconfig" : "", access.error().message);
  }
}

}  // namespace

bool KubernetesTarget::operator==(const KubernetesTarget& other) const {
  const auto all = [](const KubernetesTarget& t) {
    return std::tie(t.kubeconfig, t.context, t.api_namespace, t.group, t.version, t.kind, t.name,
                    t.api_service, t.port);
  };
  return all(*this) == all(other);
}

std::string KubernetesTarget::identity() const {
  return "kubernetes " + server + " " + api_namespace + "/" + group + "/" + kind + "/" + name;
}

std::string KubernetesTarget::Shown() const { return kind + " " + api_namespace + "/" + name; }

std::string KubernetesTarget::ApiVersion() const {
  return group.empty() ? version : group + "/" + version;
}

std::shared_ptr<const ProviderTarget> ParseKubernetesTarget(Section& section,
                                                            const std::string& /*service*/) {
  auto target = std::make_shared<KubernetesTarget>();
  section.String("type");  // read by whoever chose this parser
  target->api_namespace = NameIn(section, "namespace", "default");
  target->name = NameIn(section, "name", "");
  ParseKind(section, *target);
  target->api_service =
      section.Has("service") ? NameIn(section, "service", target->name) : target->name;
  ParsePort(section, *target);
  ParseAccess(section, *target);
  section.Finish();
  return target;
}

}  // namespace autoscale
