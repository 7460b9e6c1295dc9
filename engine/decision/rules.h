// ScalingRules: what the user allows the engine to make of a policy's proposals.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/model/snapshot.h"
#include "engine/model/time.h"

namespace autoscale {

// At most `value` instances (or percent of the capacity at the period's start) within `period`.
struct RateLimit {
  enum class Kind { kInstances, kPercent };
  Kind kind = Kind::kInstances;
  int value = 0;     // >= 1
  Millis period{0};  // 1 s to 30 min, as in the Kubernetes HPA
};

// How several limits of one direction combine. kDisabled forbids the direction altogether.
enum class RateSelect { kMax, kMin, kDisabled };

struct DirectionRules {
  Millis stabilization{0};  // up: the least proposal of this window counts; down: the greatest
  Millis cooldown{0};  // up: since the last scale-out; down: since the last change of either kind
  RateSelect select = RateSelect::kMax;
  std::vector<RateLimit> limits;  // none: any step is allowed
  // Of the capacity within the last minute (its most on the way down, its least on the way up) so
  // much may be changed, and at least one instance. 0: any step. Not held against a capacity
  // outside its bounds.
  int max_step_percent = 0;
};

// After so many changes of direction within the period there is no scale-in until they are fewer.
struct ReversalRules {
  int most = 0;  // 0: any number
  Millis period{std::chrono::hours(1)};
};

// No scale-in while the metric is above the level, or cannot be told.
struct ErrorGuard {
  std::string metric;
  double above = 0;  // in the metric's unit
};

struct ScalingRules {
  Bounds bounds;
  DirectionRules up;
  DirectionRules down{.stabilization = std::chrono::minutes(5)};  // the HPA's default
  ReversalRules reversals;
  std::optional<ErrorGuard> error_guard;
  // Before a scale-in: would the policy take it back, with the load of those taken away on the
  // others? Asked where a metric spreads over the instances.
  bool projection = true;
};

}  // namespace autoscale
