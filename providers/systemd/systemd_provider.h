// The provider `systemd`: instances are units of a template. See docs/providers/systemd.md.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "providers/provider.h"
#include "providers/systemd/options.h"
#include "providers/systemd/unit_bus.h"

namespace autoscale {

// Makes the way to a manager, by what a target says of its bus.
using UnitBusMaker = std::function<std::unique_ptr<UnitBus>(const std::string& bus)>;

std::unique_ptr<Provider> MakeSystemdProvider(const ProviderContext& context, UnitBusMaker maker);
Result<std::unique_ptr<Provider>> CreateSystemdProvider(const ProviderContext& context);

}  // namespace autoscale
