// Reads what policies may use: all of them (`policy_limits` of the daemon's file) and one service's
// (`limits` of the service).
#pragma once

#include "config/section.h"
#include "config/spec.h"

namespace autoscale {

void ReadPolicyLimits(Section& root, PolicyLimits& limits);
// Of a service's section: its limits and their line.
void ReadOwnLimits(Section& section, ServiceSpec& service);

// A policy that hangs holds up every service; `daemon_root` may be null where no daemon's file was
// read, and `common` is then the default.
void RefuseLongWalls(Section* daemon_root, Millis common, const std::vector<ServiceSpec>& services,
                     std::vector<Diagnostic>& diagnostics);

}  // namespace autoscale
