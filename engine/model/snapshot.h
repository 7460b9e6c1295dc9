// Snapshot: all that a policy may see of one service in one tick.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "engine/model/metric.h"
#include "engine/model/time.h"
#include "engine/model/zone.h"

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
  bool spread = false;  // load shared by the instances: at n of them it is value × ready / n
};

// Limits that a service sets for its policy; absent: what holds for all policies.
struct OwnLimits {
  std::optional<int> instructions;
  std::optional<Millis> wall;
  std::optional<size_t> state_bytes;
  bool operator==(const OwnLimits&) const = default;
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
  Zones zones;                      // that local_time may be asked for; the first is the default
  std::string_view state;  // the policy's `state` table as the host encoded it; empty: none yet
  OwnLimits limits;        // not for the policy to see
};

}  // namespace autoscale
