// Reading: what a metric is to show in a simulation, and the sample that comes of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/spec.h"
#include "engine/model/metric.h"
#include "engine/model/snapshot.h"

namespace autoscale {

struct Reading {
  enum class Kind {
    kState,  // no usable value
    kValue,
    kTotal,  // a load spread over the ready instances
    kEach,   // a value an instance; the metric's is their aggregate
  };
  Kind kind = Kind::kState;
  SampleState state = SampleState::kEmpty;
  double value = 0;                       // of kValue and kTotal
  std::vector<InstanceSample> each;       // of kEach, or beside a value; sorted by id
  std::optional<double> age_s, coverage;  // instead of what a good answer has
};

// As the daemon would collect it at such a capacity; still to be judged.
Sample MakeSample(const Reading& reading, const MetricSpec& metric, const Capacity& capacity);

// The id of the instance with this number, from 1: "i-001", sorted as numbers are.
std::string InstanceId(size_t number);

// "missing" and the names of the states other than fresh; absent: no such word.
std::optional<SampleState> ParseTrouble(std::string_view word);

}  // namespace autoscale
