// Reads min, max and scaling: what the engine may make of a policy's proposals.
#pragma once

#include <span>

#include "config/section.h"
#include "engine/decision/rules.h"

namespace autoscale {

// `declared`: the metrics of the service, which rules may name.
ScalingRules ReadScalingRules(Section& service, std::span<const DeclaredMetric> declared);

}  // namespace autoscale
