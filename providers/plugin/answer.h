// What a plugin says of targets, read strictly: what is not said clearly is a fault, never a guess.
#pragma once

#include <string>

#include "autoscale/v1/provider.pb.h"
#include "providers/provider.h"

namespace autoscale {

// With a fault where the state is none that can be.
Observation ReadTargetState(const v1::TargetState& state);

}  // namespace autoscale
