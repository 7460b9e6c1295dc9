#include "engine/model/sample_rules.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

namespace autoscale {
namespace {

void Substitute(Sample& sample, double value) {
  sample.value = value;
  sample.state = SampleState::kFresh;
  sample.substituted = true;
}

void Doubt(Sample& sample, std::string why) {
  sample.state = SampleState::kImplausible;
  sample.error = std::make_shared<const std::string>(std::move(why));
}

std::string Format(const char* form, double value) {
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(), form, value);
  return text.data();
}

// What is wrong with a finite value; empty: nothing.
std::string FaultOf(double value, const SampleRules& rules) {
  if (std::abs(value) > kMaxValue) {
    return Format("the value %g is beyond anything that could be measured", value);
  }
  if (value < 0 && !rules.may_be_negative) {
    return Format("the value %g is below 0; where that is meant, declare `negative: true`", value);
  }
  return {};
}

void JudgeValue(Sample& sample, const SampleRules& rules) {
  std::string fault = FaultOf(sample.value, rules);
  for (const InstanceSample& instance : sample.instances) {
    if (fault.empty() && std::isfinite(instance.value)) fault = FaultOf(instance.value, rules);
  }
  if (!fault.empty()) Doubt(sample, std::move(fault));
}

}  // namespace

Sample Judge(Sample raw, const SampleRules& rules) {
  if (raw.state == SampleState::kFresh && !std::isfinite(raw.value)) raw.state = SampleState::kNaN;
  const bool judged = raw.state == SampleState::kFresh || raw.state == SampleState::kEmpty ||
                      raw.state == SampleState::kNaN;
  if (!judged) return raw;

  // In floats on both sides: 0.9f is less than 0.9.
  const auto max_age = static_cast<float>(ToSeconds(rules.max_age));
  if (raw.age_s && *raw.age_s > max_age) {
    raw.state = SampleState::kStale;
    return raw;
  }
  if (raw.age_s && *raw.age_s < -max_age) {
    Doubt(raw, Format("its newest data is %.0f s in the future", -static_cast<double>(*raw.age_s)));
    return raw;
  }
  if (raw.age_s && *raw.age_s < 0) raw.age_s = 0.0F;  // clocks of several machines
  if (raw.state == SampleState::kEmpty) {
    if (rules.when_empty) Substitute(raw, *rules.when_empty);
  } else if (raw.coverage && *raw.coverage < static_cast<float>(kMinCoverage)) {
    raw.state = SampleState::kPartial;
  } else if (rules.exact_count && raw.coverage &&
             *raw.coverage > static_cast<float>(kMaxCoverage)) {
    Doubt(raw, Format("%.0f %% of the series expected answer: something is counted twice",
                      static_cast<double>(*raw.coverage) * 100));
  } else if (raw.state == SampleState::kNaN) {
    // Infinite is something divided by nothing, and no "nothing to divide": the load of a fleet
    // that has died must not become what stands for no load.
    if (rules.when_nan && !std::isinf(raw.value)) Substitute(raw, *rules.when_nan);
  } else {
    JudgeValue(raw, rules);
  }
  return raw;
}

}  // namespace autoscale
