// Judge: whether a sample as collected may be acted on. Shared by the daemon's collector and by
// offline evaluation, so that both mean the same by "fresh".
#pragma once

#include <optional>

#include "engine/model/metric.h"
#include "engine/model/time.h"

namespace autoscale {

struct SampleRules {
  std::optional<double> when_empty;
  std::optional<double> when_nan;
  Millis max_age{0};
  bool may_be_negative = false;
  bool exact_count = false;  // more series than expected are as wrong as fewer
};

// Gives the sample the state that its age, coverage and value deserve. A state other than fresh,
// empty or nan stands. In this order:
//   older than max_age            -> stale, whatever the value: a dead exporter is not "no traffic"
//   younger than now by as much   -> implausible
//   empty                         -> when_empty where there is one (coverage says nothing of
//   nothing) coverage < kMinCoverage       -> partial, NaN or not exact, coverage > kMaxCoverage ->
//   implausible: counted twice NaN                           -> when_nan where there is one
//   infinite                      -> nan, whatever when_nan says
//   negative without leave, or beyond kMaxValue, of any instance -> implausible
// A value taken from when_empty or when_nan makes the sample fresh and `substituted`.
Sample Judge(Sample raw, const SampleRules& rules);

}  // namespace autoscale
