// What systemd's answers say. Each is read from its beginning; kUnavailable when it is not of the
// form that its documentation (org.freedesktop.systemd1) gives it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/model/result.h"
#include "providers/systemd/unit.h"

using sd_bus_message = struct sd_bus_message;

namespace autoscale {

// Of ListUnitsByPatterns.
Result<std::vector<UnitStatus>> ReadUnits(sd_bus_message* reply);
// Of all properties of a service.
Result<UnitEnd> ReadUnitEnd(sd_bus_message* reply);
// Of one property that is a count; nothing where the manager does not count.
Result<std::optional<uint64_t>> ReadCountOf(sd_bus_message* reply);

}  // namespace autoscale
