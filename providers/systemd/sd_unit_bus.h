// The way to a real service manager, over sd-bus.
#pragma once

#include <memory>
#include <string>

#include "net/event_loop.h"
#include "providers/systemd/unit_bus.h"

namespace autoscale {

// Keeps a connection, and makes it anew, after growing waits, whenever it is lost.
std::unique_ptr<UnitBus> MakeSdUnitBus(EventLoop& loop, const std::string& bus);

}  // namespace autoscale
