// Guards: the stages of a decision that stand between any policy and the fleet. Each changes
// nothing or says why; what they must know beside the rules is in the conditions.
#pragma once

#include <string>

#include "engine/decision/decide.h"

namespace autoscale {

// What a stage looks at. What the stages before it made of the proposal is its `wanted`.
struct Stage {
  const ScalingRules& rules;
  const History& history;
  TimePoint now;
  int desired;
  const Conditions& conditions;
};

// Of scale-ins:
StageRecord DampFlapping(const Stage& at, int wanted);
StageRecord HoldForErrors(const Stage& at, int wanted);
StageRecord KeepProtected(const Stage& at, int wanted);
StageRecord Project(const Stage& at, int wanted);
// Of scale-outs:
StageRecord GrantCost(const Stage& at, int wanted);
// Of both:
StageRecord GrantChanges(const Stage& at, int wanted);

// "90s", "0.5s".
std::string Seconds(Millis d);

}  // namespace autoscale
