#include "simulator/reading.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "simulator/simulation.h"

namespace autoscale {
namespace {

double Combine(const std::vector<InstanceSample>& each, Aggregate aggregate) {
  double sum = 0;
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  int count = 0;
  for (const InstanceSample& instance : each) {
    if (!std::isfinite(instance.value)) continue;
    ++count;
    sum += instance.value;
    least = std::min(least, instance.value);
    most = std::max(most, instance.value);
  }
  if (count == 0) return std::nan("");
  switch (aggregate) {
    case Aggregate::kSum:
      return sum;
    case Aggregate::kMax:
      return most;
    case Aggregate::kMin:
      return least;
    case Aggregate::kAverage:
      break;
  }
  return sum / count;
}

Sample TroubledSample(SampleState state, const MetricSpec& metric) {
  Sample sample{.state = state};
  if (state == SampleState::kStale) {
    sample.age_s = static_cast<float>(2 * ToSeconds(metric.max_age));
  } else if (state == SampleState::kPartial) {
    sample.coverage = 0.5F;
  } else if (state == SampleState::kError) {
    sample.error = std::make_shared<const std::string>("its query failed");
  } else if (state == SampleState::kImplausible) {
    sample.error = std::make_shared<const std::string>("it cannot be true");
  }
  return sample;
}

}  // namespace

std::string InstanceId(size_t number) {
  const std::string digits = std::to_string(number);
  return "i-" + std::string(digits.size() < 3 ? 3 - digits.size() : 0, '0') + digits;
}

Sample MakeSample(const Reading& reading, const MetricSpec& metric, const Capacity& capacity) {
  Sample sample;
  switch (reading.kind) {
    case Reading::Kind::kState:
      return TroubledSample(reading.state, metric);
    case Reading::Kind::kValue:
      sample = FreshSample(reading.value);
      break;
    case Reading::Kind::kTotal:
      sample = SpreadSample(reading.value, capacity.ready);
      break;
    case Reading::Kind::kEach:
      if (!reading.each.empty()) sample = FreshSample(Combine(reading.each, metric.aggregate));
      break;
  }
  if (reading.age_s) sample.age_s = static_cast<float>(*reading.age_s);
  if (reading.coverage) sample.coverage = static_cast<float>(*reading.coverage);
  sample.instances = reading.each;
  return sample;
}

std::optional<SampleState> ParseTrouble(std::string_view word) {
  if (word == "missing") return SampleState::kEmpty;
  const auto state = ParseSampleState(word);
  return state == SampleState::kFresh ? std::nullopt : state;
}

}  // namespace autoscale
