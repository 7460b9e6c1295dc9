// HangingWebhook: an admission webhook of a real API server that never answers, so that what it is
// asked about hangs there for as long as is wished. Then such requests are taken as if there were
// none.
#pragma once

#include <string>

#include "tests/real/kubernetes_client.h"

namespace autoscale {

class HangingWebhook {
 public:
  // Of requests in one namespace: `operation` "CREATE", `group` "apps", `resource`
  // "deployments/scale". At most 30 s.
  HangingWebhook(KubernetesClient& api, const std::string& api_namespace,
                 const std::string& operation, const std::string& group,
                 const std::string& resource);
  // Lets go of all; `api` must answer then.
  ~HangingWebhook();
  HangingWebhook(const HangingWebhook&) = delete;
  HangingWebhook& operator=(const HangingWebhook&) = delete;

  // Somebody asked, and hangs.
  [[nodiscard]] bool IsAsked() const;

 private:
  KubernetesClient& api_;
  const std::string path_;
  int listener_ = -1;
};

}  // namespace autoscale
