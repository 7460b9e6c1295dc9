// A hash of all that a service's specification was made from, so that a reload knows what changed.
#pragma once

#include <cstdint>

#include "config/spec.h"

namespace YAML {
class Node;
}

namespace autoscale {

// Equal for equal `section` (the service's YAML), policy text, shared metrics and defaults.
uint64_t ContentHash(const YAML::Node& section, const ServiceSpec& service);

}  // namespace autoscale
