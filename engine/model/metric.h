// Metrics and samples: what a policy may know about a service's load.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoscale {

enum class Unit : uint8_t { kRatio, kPercent, kSeconds, kPerSecond, kCount };

// "ratio", "percent", "seconds", "per_second", "count".
std::string_view ToString(Unit unit);
std::optional<Unit> ParseUnit(std::string_view text);

// The greatest level that a metric of the unit can be held against. A ratio above it is a
// percentage by mistake; overload and limits leave it some room above 1.
double GreatestLevel(Unit unit);

// Whether a sample may be acted on. Only kFresh may; each other state says why not.
enum class SampleState : uint8_t {
  kFresh,
  kStale,        // the newest underlying sample is older than the metric's max_age
  kPartial,      // it speaks for fewer than the required share of the instances
  kEmpty,        // the query answered with no series for this service
  kNaN,          // the query answered NaN or infinity
  kError,        // the query failed, timed out or answered nonsense; `error` says how
  kImplausible,  // it answered what cannot be true; `error` says what
};

// "fresh", "stale", "partial", "empty", "nan", "error", "implausible".
std::string_view ToString(SampleState state);
std::optional<SampleState> ParseSampleState(std::string_view text);

// The share of a service's instances that a sample must speak for to be fresh.
inline constexpr double kMinCoverage = 0.9;
// Where the number of series is known exactly, more than this share of it were counted twice.
inline constexpr double kMaxCoverage = 1.5;
// Nothing that instances are scaled by is as large, in any unit: not bytes, not nanoseconds.
inline constexpr double kMaxValue = 1e18;

struct InstanceSample {
  std::string instance;  // the instance's id
  double value = 0;
  bool ready = true;
};

// One metric of one service in one tick.
struct Sample {
  double value = 0;  // in the metric's unit; only meaningful when fresh
  SampleState state = SampleState::kEmpty;
  bool substituted = false;       // the value comes from when_empty or when_nan, not from data
  std::optional<float> age_s;     // of the newest underlying sample; absent: not asked for
  std::optional<float> coverage;  // of what is expected, more than 1 is possible; absent: not asked
  std::vector<InstanceSample> instances;  // only for per-instance metrics, sorted by id
  // What is wrong, for kError (shared by all services of a failed query) and kImplausible.
  std::shared_ptr<const std::string> error;
};

}  // namespace autoscale
