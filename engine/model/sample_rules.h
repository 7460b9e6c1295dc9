// Judge: whether a sample as collected may be acted on. Shared by the daemon's collector and by
// offline evaluation, so that both mean the same by "fresh".
#pragma once

#include <optional>

#include "engine/model/metric.h"
#include "engine/model/time.h"

namespace autoscale {

// Gives the sample the state that its age, coverage and value deserve. A state other than fresh,
// empty or nan stands. In this order:
//   older than max_age        -> stale, whatever the value: a dead exporter is not "no traffic"
//   empty                     -> when_empty where there is one (coverage says nothing of nothing)
//   coverage < kMinCoverage   -> partial, NaN or not
//   NaN or infinite           -> when_nan where there is one
// A value taken from when_empty or when_nan makes the sample fresh and `substituted`.
Sample Judge(Sample raw, std::optional<double> when_empty, std::optional<double> when_nan,
             Millis max_age);

}  // namespace autoscale
