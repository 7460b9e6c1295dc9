// Decide: proposal -> decision. Pure: the same input gives the same bytes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/decision/history.h"
#include "engine/decision/rules.h"
#include "engine/model/decision.h"

namespace autoscale {

// What may still be changed over all services, and how much of that falls to this one.
struct Budget {
  int limit = 0;    // instances a minute; 0: none
  int left = 0;     // of it, now, over all services
  int granted = 0;  // of that, to this one
};

// What more instances may still cost over all services, and how many of them fall to this one.
struct Cost {
  double limit = 0;  // an hour; 0: none
  double left = 0;   // of it, now, over all services
  double price = 0;  // of one instance of this one, an hour
  int granted = 0;   // instances that it may add
};

// What the policy would propose with so many instances, the metrics that spread over them
// projected.
struct Projection {
  int capacity = 0;
  int proposed = 0;     // the same where it would hold
  std::string samples;  // "cpu would be 0.81"
  bool asked = true;    // else nobody knows what it would propose, and nothing is scaled in
};

// All that stands beside a proposal: found out elsewhere, an input like any other.
struct Conditions {
  // Of decisions that nobody carries out: where they have come to, as if they had been. Then this
  // is what changes, and a hold keeps it.
  std::optional<int> from;
  Budget budget;
  Cost cost;
  std::string errors;           // why errors forbid a scale-in; empty: they do not
  int protected_instances = 0;  // nobody takes these away
  // At the capacity that would be decided without them, and at some between it and the present one,
  // rising. Empty: not asked for.
  std::vector<Projection> projections;
};

// Out of bounds: to the bound, as far as protection, budget and, on the way down, the step let it.
// Else stabilization, rate, cooldown, the guards (step, flap, errors, protection, projection, cost,
// budget), bounds, each a stage in the decision with its before, after and reason; guards only
// where they change something. `history` must already hold this proposal and is not changed.
Decision Decide(const ScalingRules& rules, const Proposal& proposal, const Capacity& capacity,
                TimePoint now, const History& history, const Conditions& conditions = {});

// Conditions::from, when the last decision came to `last`: that, or what there is where the policy
// is content with it.
std::optional<int> FindFrom(std::optional<int> last, const Proposal& proposal, int present,
                            const Bounds& bounds);

}  // namespace autoscale
