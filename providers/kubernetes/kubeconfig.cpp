#include "providers/kubernetes/kubeconfig.h"

#include <yaml-cpp/yaml.h>

#include <array>
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "config/section.h"
#include "engine/model/file.h"
#include "net/http_text.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

// Where Kubernetes puts a pod's account; the tests put theirs elsewhere.
std::string AccountFolder() {
  const char* named = std::getenv("AUTOSCALED_SERVICE_ACCOUNT");
  return named != nullptr ? named : "/var/run/secrets/kubernetes.io/serviceaccount";
}

Error Invalid(std::string message) { return {ErrorKind::kInvalid, std::move(message)}; }

// What a token or a URL was written with, without the line's end.
std::string Trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.pop_back();
  }
  return text;
}

Result<std::string> Base64(const std::string& text) {
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=' || c == '\n' || c == '\r' || c == ' ') continue;
    int value = 0;
    if (c >= 'A' && c <= 'Z')
      value = c - 'A';
    else if (c >= 'a' && c <= 'z')
      value = c - 'a' + 26;
    else if (c >= '0' && c <= '9')
      value = c - '0' + 52;
    else if (c == '+')
      value = 62;
    else if (c == '/')
      value = 63;
    else
      return Invalid("is not base64");
    bits = (bits << 6 | static_cast<unsigned>(value)) & 0xffffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xff);
  }
  return bytes;
}

// One kubeconfig file. Every reading function leaves the first fault in `fault`.
class Kubeconfig {
 public:
  Kubeconfig(std::string path, const YAML::Node& root) : path_(std::move(path)), root_(root) {}

  Result<ClusterAccess> Read(const std::string& wanted) {
    const std::string name = wanted.empty() ? Text(root_["current-context"]) : wanted;
    if (name.empty()) {
      return Fault(" has no current-context: say context");
    }
    const YAML::Node context = Find("contexts", "context", name);
    const std::string cluster_name = context.IsMap() ? Text(context["cluster"]) : "";
    const YAML::Node cluster =
        fault_.empty() ? Find("clusters", "cluster", cluster_name) : YAML::Node();
    if (!fault_.empty()) return Fault(fault_);
    ClusterAccess access;
    ReadCluster(cluster, access);
    const std::string user_name = Text(context["user"]);
    if (fault_.empty() && !user_name.empty()) ReadUser(Find("users", "user", user_name), access);
    if (!fault_.empty()) return Fault(fault_);
    return access;
  }

 private:
  [[nodiscard]] Error Fault(const std::string& fault) const {
    return Invalid("the kubeconfig " + path_ + fault);
  }

  static std::string Text(const YAML::Node& node) {
    return node.IsDefined() && node.IsScalar() ? node.Scalar() : "";
  }

  // [{name: NAME, ITEM: {...}}, ...] of the key LIST.
  YAML::Node Find(const char* list, const char* item, const std::string& name) {
    const YAML::Node nodes = root_[list];
    if (nodes.IsDefined() && nodes.IsSequence()) {
      for (const YAML::Node& node : nodes) {
        if (node.IsMap() && Text(node["name"]) == name) {
          const YAML::Node found = node[item];
          if (found.IsDefined() && found.IsMap()) return found;
        }
      }
    }
    if (fault_.empty()) fault_ = std::string(" has no ") + item + " named '" + name + "'";
    return YAML::Node(YAML::NodeType::Map);
  }

  // The value of KEY-data, or what the file KEY holds.
  std::string DataOrFile(const YAML::Node& node, const std::string& key) {
    if (const std::string data = Text(node[key + "-data"]); !data.empty()) {
      auto bytes = Base64(data);
      if (bytes.ok()) return *bytes;
      if (fault_.empty()) fault_ = ": " + key + "-data is not base64";
      return {};
    }
    return File(Text(node[key]));
  }

  std::string File(const std::string& name) {
    if (name.empty()) return {};
    auto text = ReadFile((fs::path(path_).parent_path() / name).string());
    if (text.ok()) return *std::move(text);
    if (fault_.empty()) fault_ = " names a file: " + text.error().message;
    return {};
  }

  void ReadCluster(const YAML::Node& node, ClusterAccess& access) {
    access.server = Text(node["server"]);
    while (access.server.ends_with('/')) access.server.pop_back();
    if (!access.server.starts_with("https://") && !access.server.starts_with("http://")) {
      if (fault_.empty()) fault_ = ": the cluster's server must begin with https://";
    }
    for (const char* const key : {"tls-server-name", "proxy-url"}) {
      if (!Text(node[key]).empty() && fault_.empty()) {
        fault_ = std::string(": ") + key + " is not supported";
      }
    }
    access.verify = Text(node["insecure-skip-tls-verify"]) != "true";
    access.ca_pem = DataOrFile(node, "certificate-authority");
  }

  void ReadUser(const YAML::Node& node, ClusterAccess& access) {
    access.client_cert_pem = DataOrFile(node, "client-certificate");
    access.client_key_pem = DataOrFile(node, "client-key");
    access.username = Text(node["username"]);
    access.password = Text(node["password"]);
    access.token = Text(node["token"]);
    if (const std::string file = Text(node["tokenFile"]); !file.empty()) {
      access.token = Trimmed(File(file));
    }
    if (node["auth-provider"].IsDefined() && fault_.empty()) {
      fault_ = ": auth-provider is gone from Kubernetes: use exec";
    }
    if (node["exec"].IsDefined() && node["exec"].IsMap()) ReadExec(node["exec"], access.exec);
  }

  void ReadExec(const YAML::Node& node, ExecPlugin& exec) {
    exec.api_version = Text(node["apiVersion"]);
    std::string program = Text(node["command"]);
    if (program.find('/') != std::string::npos) {  // else it is found on the PATH
      program = (fs::path(path_).parent_path() / program).string();
    }
    if (program.empty() && fault_.empty()) fault_ = ": exec has no command";
    exec.command = {program};
    for (const YAML::Node& argument : node["args"]) exec.command.push_back(Text(argument));
    for (const YAML::Node& variable : node["env"]) {
      if (!variable.IsMap()) continue;
      exec.environment.emplace_back(Text(variable["name"]), Text(variable["value"]));
    }
    exec.install_hint = Text(node["installHint"]);
    if (!exec.api_version.starts_with("client.authentication.k8s.io/v1") && fault_.empty()) {
      fault_ = ": exec is of the version '" + exec.api_version +
               "': client.authentication.k8s.io/v1 and v1beta1 are known";
    }
  }

  std::string path_;
  YAML::Node root_;
  std::string fault_;  // begins with what stands between the path and it
};

Result<ClusterAccess> ReadAccount() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || *host == '\0') {
    return Invalid("autoscaled does not run in a cluster: say kubeconfig");
  }
  const std::string folder = AccountFolder();
  auto token = ReadFile(folder + "/token");
  if (!token.ok()) return std::move(token).error().Within("the pod's account");
  auto ca = ReadFile(folder + "/ca.crt");
  if (!ca.ok()) return std::move(ca).error().Within("the pod's account");
  const std::string name = std::string(host).find(':') == std::string::npos
                               ? std::string(host)
                               : "[" + std::string(host) + "]";
  ClusterAccess access;
  access.server = "https://" + name + ":" + (port == nullptr || *port == '\0' ? "443" : port);
  access.ca_pem = *std::move(ca);
  access.token = Trimmed(*std::move(token));
  return access;
}

}  // namespace

Result<ClusterAccess> ReadAccess(const std::string& kubeconfig, const std::string& context) {
  if (kubeconfig.empty()) return ReadAccount();
  auto text = ReadFile(kubeconfig);
  if (!text.ok()) return std::move(text).error().Within("the kubeconfig");
  try {
    const YAML::Node root = YAML::Load(*text);
    if (!root.IsMap()) return Invalid("the kubeconfig " + kubeconfig + " is not one");
    return Kubeconfig(kubeconfig, root).Read(context);
  } catch (const YAML::Exception& fault) {  // its text may quote the line, and with it a secret
    return Invalid("the kubeconfig " + kubeconfig + " is not YAML: line " +
                   std::to_string(fault.mark.line + 1));
  }
}

}  // namespace autoscale
