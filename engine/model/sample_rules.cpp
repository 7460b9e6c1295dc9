#include "engine/model/sample_rules.h"

#include <cmath>

namespace autoscale {
namespace {

void Substitute(Sample& sample, double value) {
  sample.value = value;
  sample.state = SampleState::kFresh;
  sample.substituted = true;
}

}  // namespace

Sample Judge(Sample raw, std::optional<double> when_empty, std::optional<double> when_nan,
             Millis max_age) {
  if (raw.state == SampleState::kFresh && !std::isfinite(raw.value)) raw.state = SampleState::kNaN;
  const bool judged = raw.state == SampleState::kFresh || raw.state == SampleState::kEmpty ||
                      raw.state == SampleState::kNaN;
  if (!judged) return raw;

  // In floats on both sides: 0.9f is less than 0.9.
  if (raw.age_s && *raw.age_s > static_cast<float>(ToSeconds(max_age))) {
    raw.state = SampleState::kStale;
  } else if (raw.state == SampleState::kEmpty) {
    if (when_empty) Substitute(raw, *when_empty);
  } else if (raw.coverage && *raw.coverage < static_cast<float>(kMinCoverage)) {
    raw.state = SampleState::kPartial;
  } else if (raw.state == SampleState::kNaN && when_nan) {
    Substitute(raw, *when_nan);
  }
  return raw;
}

}  // namespace autoscale
