// The provider `process`: instances are processes of this machine. See docs/providers/process.md.
#pragma once

#include "providers/process/options.h"
#include "providers/provider.h"

namespace autoscale {

// Finds at once every instance that an earlier daemon left below the context's folder. An error
// when the folder cannot be made or the launcher is not installed.
Result<std::unique_ptr<Provider>> CreateProcessProvider(const ProviderContext& context);

}  // namespace autoscale
