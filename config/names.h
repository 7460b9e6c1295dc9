// The shapes of the names that users choose.
#pragma once

#include <string_view>

namespace autoscale {

// [a-z0-9][-a-z0-9_.]*, at most 63: fits a label, a file name and a host name.
bool IsServiceName(std::string_view name);
// [-A-Za-z0-9_.]+, at most 128: fits a path segment without escapes.
bool IsUpstreamName(std::string_view name);
// [A-Za-z_][A-Za-z0-9_]*, at most 63.
bool IsMetricName(std::string_view name);
// [A-Za-z_][A-Za-z0-9_]*, as Prometheus has it.
bool IsLabelName(std::string_view name);

}  // namespace autoscale
