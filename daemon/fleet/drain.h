// Drain: when an instance that is not to be chosen any more may be stopped.
#pragma once

#include <optional>
#include <string>

#include "daemon/fleet/member.h"

namespace autoscale {

// When it is stopped whatever is in flight. The time runs from when a gateway was first told, be
// that reached or not: whoever was told nothing sends it requests still.
std::optional<TimePoint> DrainBound(const Member& member, const Instance& instance);

// Whether no gateway sends it anything any more and all it had is answered, as the gateways count.
bool IsLetGo(const Member& member, Instance& instance, TimePoint now);

// Why it is not known to be let go: the gateways that may send it requests still.
std::string WhoHoldsBack(const Member& member, const Instance& instance);

}  // namespace autoscale
