#include "tests/real/hanging_webhook.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace autoscale {
namespace {

constexpr const char* kConfigurations =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
constexpr int kSeconds = 30;

// A port of 127.0.0.1 at which connections are taken and nothing else is.
int Listen() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  if (listen(fd, 64) != 0) std::abort();
  return fd;
}

int PortOf(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

}  // namespace

HangingWebhook::HangingWebhook(KubernetesClient& api, const std::string& api_namespace,
                               const std::string& operation, const std::string& group,
                               const std::string& resource)
    : api_(api),
      path_(std::string(kConfigurations) + "/hang-" + api_namespace),
      listener_(Listen()) {
  using Json = nlohmann::json;
  // Every namespace of the tests carries its name as a label.
  const Json here{{"matchLabels", {{"test", api_namespace}}}};
  const Json rule{{"apiGroups", {group}},
                  {"apiVersions", {"*"}},
                  {"operations", {operation}},
                  {"resources", {resource}}};
  const std::string url = "https://127.0.0.1:" + std::to_string(PortOf(listener_)) + "/";
  api_.Create(kConfigurations, {{"metadata", {{"name", "hang-" + api_namespace}}},
                                {"webhooks",
                                 {{{"name", "hang.example.com"},
                                   {"admissionReviewVersions", {"v1"}},
                                   {"sideEffects", "None"},
                                   {"failurePolicy", "Ignore"},
                                   {"timeoutSeconds", kSeconds},
                                   {"namespaceSelector", here},
                                   {"clientConfig", {{"url", url}}},
                                   {"rules", {rule}}}}}});
}

HangingWebhook::~HangingWebhook() {
  api_.Delete(path_);
  close(listener_);  // whoever hangs is let go
}

bool HangingWebhook::IsAsked() const {
  pollfd waiting{.fd = listener_, .events = POLLIN, .revents = 0};
  return poll(&waiting, 1, 0) == 1;
}

}  // namespace autoscale
