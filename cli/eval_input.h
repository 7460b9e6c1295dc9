// The input of `policy eval`: JSON -> what one evaluation needs, or every fault by its JSON path.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "engine/decision/history.h"
#include "engine/model/metric.h"
#include "engine/model/result.h"
#include "engine/model/snapshot.h"
#include "engine/model/time.h"

namespace autoscale::cli {

struct EvalInput {
  TimePoint now;
  Capacity capacity;
  std::map<std::string, Sample> metrics;  // as given, not judged
  History history;
  std::string state;  // the policy's `state` as an earlier evaluation printed it
};

// Error: kInvalid, one line a fault: "metrics.cpu.value: must be a number, not a string".
Result<EvalInput> ParseEvalInput(std::string_view text, std::span<const DeclaredMetric> declared);

}  // namespace autoscale::cli
