// ScalingRules: what the user allows the engine to make of a policy's proposals.
#pragma once

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
};

struct ScalingRules {
  Bounds bounds;
  DirectionRules up;
  DirectionRules down{.stabilization = std::chrono::minutes(5)};  // the HPA's default
};

}  // namespace autoscale
