// Readiness: an instance that its target calls ready is asked itself before it counts, where the
// service's `provider` section has a `readiness`. A group of machines knows that one of them runs,
// not that what was started on it answers.
//
// It stands around a provider of targets that have a capacity, and does nothing for services
// without the key.
#pragma once

#include <functional>
#include <memory>

#include "providers/provider.h"

namespace autoscale {

// The parser with the key `readiness` beside those of the provider.
TargetParser WithReadiness(TargetParser parse);

using CreateProvider = std::function<Result<std::unique_ptr<Provider>>(const ProviderContext&)>;
CreateProvider WithReadiness(CreateProvider create);
// Everything on the loop's thread.
std::unique_ptr<Provider> WithReadiness(const ProviderContext& context,
                                        std::unique_ptr<Provider> provider);

}  // namespace autoscale
