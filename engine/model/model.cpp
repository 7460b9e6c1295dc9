#include <array>

#include "engine/model/decision.h"
#include "engine/model/metric.h"
#include "engine/model/result.h"

namespace autoscale {
namespace {

constexpr std::array<std::string_view, 5> kUnits = {"ratio", "percent", "seconds", "per_second",
                                                    "count"};
constexpr std::array<std::string_view, 10> kErrorKinds = {
    "invalid",        "not found", "unavailable", "conflict",     "exhausted",
    "internal fault", "blocked",   "throttled",   "out of range", "forbidden"};
constexpr std::array<std::string_view, 7> kStates = {"fresh", "stale", "partial",    "empty",
                                                     "nan",   "error", "implausible"};
constexpr std::array<std::string_view, 5> kKinds = {"hold", "scale_up", "scale_down", "scale_to",
                                                    "track"};
constexpr std::array<std::string_view, 6> kCauses = {"",        "policy", "inside",
                                                     "pending", "metric", "fault"};

template <typename E, size_t N>
std::optional<E> Find(const std::array<std::string_view, N>& names, std::string_view text) {
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == text) return static_cast<E>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view ToString(ErrorKind kind) { return kErrorKinds[static_cast<size_t>(kind)]; }
std::string_view ToString(Unit unit) { return kUnits[static_cast<size_t>(unit)]; }
std::optional<Unit> ParseUnit(std::string_view text) { return Find<Unit>(kUnits, text); }
double GreatestLevel(Unit unit) {
  constexpr double kMaxRatio = 1.5;
  return unit == Unit::kRatio ? kMaxRatio : unit == Unit::kPercent ? 100 * kMaxRatio : kMaxValue;
}
std::string_view ToString(SampleState state) { return kStates[static_cast<size_t>(state)]; }
std::optional<SampleState> ParseSampleState(std::string_view text) {
  return Find<SampleState>(kStates, text);
}
std::string_view ToString(ProposalKind kind) { return kKinds[static_cast<size_t>(kind)]; }
std::optional<ProposalKind> ParseProposalKind(std::string_view text) {
  return Find<ProposalKind>(kKinds, text);
}
std::string_view ToString(HoldCause cause) { return kCauses[static_cast<size_t>(cause)]; }

std::optional<std::string_view> FindStageName(std::string_view text) {
  for (const std::string_view name :
       {kStabilization, kRate, kCooldown, kMaxStep, kFlap, kErrors, kProtection, kProjection, kCost,
        kBudget, kBounds, kBreaker, kPause, kStore}) {
    if (name == text) return name;
  }
  return std::nullopt;
}

}  // namespace autoscale
