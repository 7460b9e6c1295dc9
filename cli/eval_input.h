// The input of `policy eval`: JSON -> what one evaluation needs, or every fault by its JSON path.
#pragma once

#include <span>
#include <string_view>

#include "engine/model/result.h"
#include "engine/model/snapshot.h"
#include "simulator/step.h"

namespace autoscale::cli {

// Error: kInvalid, one line a fault: "metrics.cpu.value: must be a number, not a string".
Result<StepInput> ParseEvalInput(std::string_view text, std::span<const DeclaredMetric> declared);

}  // namespace autoscale::cli
