// Snapshot: all that a policy may see of one service in one tick.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "engine/model/metric.h"
#include "engine/model/time.h"

namespace autoscale {

struct Bounds {
  int min = 1;
  int max = 1;
};

struct Capacity {
  int desired = 0;  // what was decided
  int ready = 0;    // instances that pass their health check and are not draining
  [[nodiscard]] int pending() const { return desired > ready ? desired - ready : 0; }
};

using ParamValue = std::variant<double, bool, std::string>;
using Params = std::map<std::string, ParamValue>;  // ordered: policies must see one order

// A metric as the service's configuration declares it, as far as a policy is concerned.
struct DeclaredMetric {
  std::string name;
  Unit unit = Unit::kRatio;
};

// References: valid for the duration of one evaluation.
struct Snapshot {
  std::string_view service;
  TimePoint now;
  Capacity capacity;
  Bounds bounds;
  std::span<const DeclaredMetric> metrics;
  std::span<const Sample> samples;  // parallel to `metrics`
  const Params* params = nullptr;   // never null while evaluating
  std::string_view state;  // the policy's `state` table as the host encoded it; empty: none yet
};

}  // namespace autoscale
