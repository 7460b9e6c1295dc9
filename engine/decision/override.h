// Override: something stronger than any rule keeps the capacity, such as a pause.
#pragma once

#include <string>
#include <string_view>

#include "engine/model/decision.h"

namespace autoscale {

// Adds the stage to the decision, which from then on is `desired`.
inline void Override(Decision& decision, std::string_view stage, int desired,
                     const std::string& reason) {
  decision.stages.push_back(
      {.name = stage, .before = decision.desired, .after = desired, .reason = reason});
  decision.desired = desired;
  decision.reason += "; " + reason;
}

}  // namespace autoscale
