// The table of provider types: a provider is added by its folder and a row here.
#include "providers/aws/aws_provider.h"
#include "providers/aws/options.h"
#include "providers/http/http_provider.h"
#include "providers/kubernetes/kubernetes_provider.h"
#include "providers/process/process_provider.h"
#include "providers/provider.h"
#include "providers/readiness/readiness.h"
#include "providers/systemd/systemd_provider.h"

namespace autoscale {
namespace {

// Of targets that have a capacity: with `readiness`.
ProviderType Probed(ProviderType type) {
  return {.name = std::move(type.name),
          .parse = WithReadiness(std::move(type.parse)),
          .create = WithReadiness(std::move(type.create))};
}

}  // namespace

const std::vector<ProviderType>& ProviderTypes() {
  static const std::vector<ProviderType> kTypes = {
      Probed({.name = "aws", .parse = ParseAwsTarget, .create = CreateAwsProvider}),
      Probed({.name = "http", .parse = ParseHttpTarget, .create = CreateHttpProvider}),
      Probed({.name = "kubernetes",
              .parse = ParseKubernetesTarget,
              .create = CreateKubernetesProvider}),
      {.name = "process", .parse = ParseProcessTarget, .create = CreateProcessProvider},
      {.name = "systemd", .parse = ParseSystemdTarget, .create = CreateSystemdProvider},
  };
  return kTypes;
}

}  // namespace autoscale
