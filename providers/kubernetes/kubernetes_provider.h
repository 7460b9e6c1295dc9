// The provider `kubernetes`: whatever has a scale subresource. See docs/providers/kubernetes.md.
#pragma once

#include "providers/kubernetes/options.h"
#include "providers/provider.h"

namespace autoscale {

Result<std::unique_ptr<Provider>> CreateKubernetesProvider(const ProviderContext& context);

}  // namespace autoscale
