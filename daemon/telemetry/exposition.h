// The text of /metrics.
#pragma once

#include <string>
#include <vector>

#include "daemon/telemetry/telemetry.h"

namespace autoscale {

inline constexpr const char* kExpositionType = "text/plain; version=0.0.4; charset=utf-8";

// Prometheus' text form of everything we export. Throws std::bad_alloc alone.
std::string RenderMetrics(const Counters& counters, const std::vector<ServiceGauges>& services,
                          const std::vector<UsageView>& usage,
                          const std::vector<EndpointGauges>& prometheus = {});

}  // namespace autoscale
