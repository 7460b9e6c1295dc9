// Decide: proposal -> decision. Pure: the same input gives the same bytes.
#pragma once

#include "engine/decision/history.h"
#include "engine/decision/rules.h"
#include "engine/model/decision.h"

namespace autoscale {

// Out of bounds: straight to the bound. Else stabilization, rate, cooldown, bounds, each a stage in
// the decision with its before, after and reason. `history` must already hold this proposal and is
// not changed.
Decision Decide(const ScalingRules& rules, const Proposal& proposal, const Capacity& capacity,
                TimePoint now, const History& history);

}  // namespace autoscale
