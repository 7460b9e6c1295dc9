// The table of provider types: a provider is added by its folder and a row here.
#include "providers/aws/aws_provider.h"
#include "providers/aws/options.h"
#include "providers/http/http_provider.h"
#include "providers/kubernetes/kubernetes_provider.h"
#include "providers/process/process_provider.h"
#include "providers/provider.h"

namespace autoscale {

const std::vector<ProviderType>& ProviderTypes() {
  static const std::vector<ProviderType> kTypes = {
      {.name = "aws", .parse = ParseAwsTarget, .create = CreateAwsProvider},
      {.name = "http", .parse = ParseHttpTarget, .create = CreateHttpProvider},
      {.name = "kubernetes", .parse = ParseKubernetesTarget, .create = CreateKubernetesProvider},
      {.name = "process", .parse = ParseProcessTarget, .create = CreateProcessProvider},
  };
  return kTypes;
}

}  // namespace autoscale
