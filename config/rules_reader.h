// Reads min, max and scaling: what the engine may make of a policy's proposals.
#pragma once

#include "config/section.h"
#include "engine/decision/rules.h"

namespace autoscale {

ScalingRules ReadScalingRules(Section& service);

}  // namespace autoscale
