// The provider that a plugin is.
#pragma once

#include <memory>

#include "providers/plugin/plugin.h"
#include "providers/provider.h"

namespace autoscale {

// `plugin` outlives it.
std::unique_ptr<Provider> MakePluginProvider(Plugin& plugin);

}  // namespace autoscale
