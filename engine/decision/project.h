// Project: asks the policy of a scale-in what it would say after it, and what else stands beside a
// proposal. For whoever makes decisions: the daemon, in one batch for all services, and tools.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/decision/decide.h"
#include "engine/model/snapshot.h"

namespace autoscale {

// The samples as they would be with so many instances, all of them ready.
struct Prospect {
  int capacity = 0;
  std::vector<Sample> samples;
};

// At which capacities the policy is to be asked again before `decision`, which was made without
// projections, and from there where Conditions::from was set: where it comes to, and up to three
// between that and the present. None where nothing is scaled in or no metric spreads over the
// instances.
std::vector<Prospect> FindProspects(const ScalingRules& rules, const Snapshot& snapshot,
                                    const Decision& decision,
                                    std::optional<int> start = std::nullopt);

// What the policy is to see; valid as long as the two. Its new state is to be thrown away.
Snapshot At(const Prospect& prospect, const Snapshot& snapshot);

// What its answer comes to: a fault or an unusable metric is no objection. No answer (it was not
// evaluated) is one: nobody knows.
Projection Conclude(const Prospect& prospect, const Snapshot& snapshot,
                    const std::optional<Proposal>& answer);

// Why errors forbid a scale-in, for Conditions::errors.
std::string FindErrors(const ScalingRules& rules, const Snapshot& snapshot);

// Evaluates the policy once more; nothing where that was not possible.
using AskPolicy = std::function<std::optional<Proposal>(const Snapshot&)>;

// Proposal -> decision with all of this, where the policy can be asked at once. Sets
// `conditions.errors` and `conditions.projections`.
Decision DecideWithProjections(const ScalingRules& rules, const Proposal& proposal,
                               const Snapshot& snapshot, const History& history,
                               Conditions& conditions, const AskPolicy& ask);

}  // namespace autoscale
