// The functions that propose: hold, scale_up, scale_down, scale_to, track, threshold.
#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <optional>

#include "engine/policy/api.h"
#include "engine/policy/library.h"
#include "engine/policy/sandbox.h"

namespace autoscale {
namespace {

constexpr double kMaxCapacity = 1e6;
constexpr int kMaxProposals = 256;         // an evaluation; one is returned in the end
constexpr size_t kMaxReason = 400;         // bytes that are kept of a reason
constexpr double kDefaultTolerance = 0.1;  // as the Kubernetes HPA
// A ratio above this is a percentage by mistake; overload and limits leave it some room above 1.
constexpr double kMaxRatio = 1.5;
// 3 × (0.8 / 0.6) must be 4, whatever the last bit of a double says.
constexpr double kRounding = 1e-9;

struct Reason {
  char text[kMaxReason + 1] = "";
  [[gnu::format(printf, 2, 3)]] void Set(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
  }
};

const Snapshot& SnapshotOf(lua_State* L) { return *ScopeOf(L).snapshot; }

// Reasons are one line on a terminal, whatever the policy wrote.
void CopyLine(const char* text, size_t length, std::string& out) {
  out.assign(text, std::min(length, kMaxReason));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
}

// Pushes a proposal whose reason is the policy's own (argument `reason`) or else `fallback`.
int Propose(lua_State* L, ProposalKind kind, HoldCause cause, int capacity, int reason,
            const char* fallback) {
  EvaluationScope& scope = ScopeOf(L);
  if (scope.made_count >= kMaxProposals) {
    PolicyError(L, "more than %d proposals in one evaluation", kMaxProposals);
  }
  const auto index = static_cast<size_t>(scope.made_count);
  if (index == scope.made.size()) scope.made.emplace_back();
  Proposal& made = scope.made[index];
  made.kind = kind;
  made.cause = cause;
  made.capacity = capacity;
  size_t length = 0;
  const char* text = reason > 0 ? lua_tolstring(L, reason, &length) : nullptr;
  if (text == nullptr) {
    text = fallback;
    length = std::char_traits<char>::length(fallback);
  }
  CopyLine(text, length, made.reason);
  made.at.assign(Sandbox::Of(L).file());
  if (const int line = CurrentLine(L); line > 0) {
    char number[16];
    std::snprintf(number, sizeof number, ":%d", line);
    made.at.append(number);
  }
  PushProposal(L, scope.made_count++);
  return 1;
}

// The stack index of an optional reason; 0 when it is absent.
int CheckReason(lua_State* L, int argument, const char* function) {
  if (lua_isnoneornil(L, argument)) return 0;
  if (lua_type(L, argument) != LUA_TSTRING) {
    PolicyError(L, "%s: the reason must be a text, not a %s", function, luaL_typename(L, argument));
  }
  return argument;
}

double CheckNumber(lua_State* L, int argument, const char* function, const char* what) {
  if (lua_type(L, argument) != LUA_TNUMBER) {
    PolicyError(L, "%s: %s must be a number, not a %s", function, what, luaL_typename(L, argument));
  }
  const double value = lua_tonumber(L, argument);
  if (!std::isfinite(value)) PolicyError(L, "%s: %s is not a finite number", function, what);
  return value;
}

// A capacity from a number: rounded up, never below 0.
int ToCapacity(lua_State* L, const char* function, double value) {
  if (!(value <= kMaxCapacity)) {
    PolicyError(L, "%s: a capacity of %.10g is more than %.0f", function, value, kMaxCapacity);
  }
  return value <= 0 ? 0 : static_cast<int>(std::ceil(value - kRounding * std::max(1.0, value)));
}

double CheckStep(lua_State* L, int argument, const char* function) {
  const double step =
      lua_isnoneornil(L, argument) ? 1 : CheckNumber(L, argument, function, "the step");
  if (step <= 0) PolicyError(L, "%s: the step must be above 0, not %g", function, step);
  return step;
}

int Hold(lua_State* L) {
  const int reason = CheckReason(L, 1, "hold");
  return Propose(L, ProposalKind::kHold, HoldCause::kPolicy, SnapshotOf(L).capacity.desired, reason,
                 "the policy holds");
}

// An earlier scale-out has not arrived: what it will bring is not in the metrics yet.
int HoldForPending(lua_State* L, const char* why) {
  const Capacity& capacity = SnapshotOf(L).capacity;
  Reason reason;
  reason.Set("%.250s%swaiting for %d of %d instances that are still starting", why,
             *why != 0 ? "; " : "", capacity.pending(), capacity.desired);
  return Propose(L, ProposalKind::kHold, HoldCause::kPending, capacity.desired, 0, reason.text);
}

int StepUp(lua_State* L, const char* function, double step, int reason, const char* fallback) {
  const Capacity& capacity = SnapshotOf(L).capacity;
  const int wanted = ToCapacity(L, function, capacity.desired + step);
  if (capacity.ready < capacity.desired) {
    return HoldForPending(L, reason > 0 ? lua_tostring(L, reason) : fallback);
  }
  return Propose(L, ProposalKind::kScaleUp, HoldCause::kNone, wanted, reason, fallback);
}

int StepDown(lua_State* L, const char* function, double step, int reason, const char* fallback) {
  const int wanted = ToCapacity(L, function, SnapshotOf(L).capacity.desired - step);
  return Propose(L, ProposalKind::kScaleDown, HoldCause::kNone, wanted, reason, fallback);
}

int ScaleUp(lua_State* L) {
  const double step = CheckStep(L, 1, "scale_up");
  const int reason = CheckReason(L, 2, "scale_up");
  Reason fallback;
  fallback.Set("%g more than %d", step, SnapshotOf(L).capacity.desired);
  return StepUp(L, "scale_up", step, reason, fallback.text);
}

int ScaleDown(lua_State* L) {
  const double step = CheckStep(L, 1, "scale_down");
  const int reason = CheckReason(L, 2, "scale_down");
  Reason fallback;
  fallback.Set("%g fewer than %d", step, SnapshotOf(L).capacity.desired);
  return StepDown(L, "scale_down", step, reason, fallback.text);
}

int ScaleTo(lua_State* L) {
  const double wanted = CheckNumber(L, 1, "scale_to", "the capacity");
  if (wanted < 0) PolicyError(L, "scale_to: the capacity must not be below 0, but is %g", wanted);
  const int reason = CheckReason(L, 2, "scale_to");
  const int capacity = ToCapacity(L, "scale_to", wanted);
  Reason fallback;
  fallback.Set("a capacity of %d", capacity);
  return Propose(L, ProposalKind::kScaleTo, HoldCause::kNone, capacity, reason, fallback.text);
}

// A level that the metric can never have is a mistake in the policy, found when it is loaded:
// "above 75" of a ratio would never scale out, and "below 30" would always scale in.
void CheckFits(lua_State* L, const MetricArgument& metric, double level) {
  const double greatest = metric.unit == Unit::kRatio     ? kMaxRatio
                          : metric.unit == Unit::kPercent ? 100 * kMaxRatio
                                                          : HUGE_VAL;
  if (level >= 0 && level <= greatest) return;
  const std::string_view unit = ToString(metric.unit);
  char hint[40] = "";
  if (metric.unit == Unit::kRatio && level > 0 && level / 100 <= kMaxRatio) {
    std::snprintf(hint, sizeof hint, " (%g?)", level / 100);
  }
  ScopeOf(L).misfit = true;
  PolicyError(L, "%g does not fit metric '%.*s', whose unit is %.*s%s", level,
              static_cast<int>(metric.name.size()), metric.name.data(),
              static_cast<int>(unit.size()), unit.data(), hint);
}

// The number in field `name` of the options at `table`, if there is one.
std::optional<double> Option(lua_State* L, int table, const char* name, const char* function) {
  lua_getfield(L, table, name);
  std::optional<double> value;
  if (!lua_isnil(L, -1)) value = CheckNumber(L, lua_gettop(L), function, name);
  lua_pop(L, 1);
  return value;
}

void CheckOptions(lua_State* L, int table, const char* function, const char* known) {
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
    const char* name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "[...]";
    char quoted[40];
    std::snprintf(quoted, sizeof quoted, " %.30s ", name);
    if (std::string_view(known).find(quoted) == std::string_view::npos) {
      PolicyError(L, "%s has no option '%.30s'; its options:%s", function, name, known);
    }
  }
}

double Tolerance(lua_State* L, int argument) {
  if (lua_isnoneornil(L, argument)) return kDefaultTolerance;
  if (lua_type(L, argument) != LUA_TTABLE) {
    PolicyError(L, "track: options are a table, such as {tolerance = 0.1}");
  }
  CheckOptions(L, argument, "track", " tolerance ");
  const double tolerance = Option(L, argument, "tolerance", "track").value_or(kDefaultTolerance);
  if (tolerance < 0 || tolerance >= 1) {
    PolicyError(L, "track: the tolerance must be at least 0 and below 1, not %g", tolerance);
  }
  return tolerance;
}

int HoldAt(lua_State* L, HoldCause cause, const char* reason) {
  return Propose(L, ProposalKind::kHold, cause, SnapshotOf(L).capacity.desired, 0, reason);
}

int TrackValue(lua_State* L, const MetricArgument& metric, double target, double tolerance) {
  const Capacity& capacity = SnapshotOf(L).capacity;
  const double value = UsableValue(L, metric);
  const auto name = static_cast<int>(metric.name.size());
  Reason reason;
  // The ratio first, then the product, as the HPA does: another order rounds another way.
  const double ratio = value / target;
  if (std::fabs(1.0 - ratio) <= tolerance) {
    reason.Set("%.*s %.4g is within %g %% of its target %g", name, metric.name.data(), value,
               tolerance * 100, target);
    return HoldAt(L, HoldCause::kInside, reason.text);
  }
  const int wanted = ToCapacity(L, "track", ratio * capacity.ready);
  reason.Set("%.*s %.4g is %s its target %g: %d ready × %.4g needs %d", name, metric.name.data(),
             value, ratio > 1 ? "above" : "below", target, capacity.ready, ratio, wanted);
  if (ratio > 1 && wanted < capacity.desired) return HoldForPending(L, reason.text);
  if (ratio < 1 && wanted > capacity.desired) {
    reason.Set("%.*s %.4g is below its target %g, but %d instances are ready where %d are wanted",
               name, metric.name.data(), value, target, capacity.ready, capacity.desired);
    return HoldAt(L, HoldCause::kPending, reason.text);
  }
  return Propose(L, ProposalKind::kTrack, HoldCause::kNone, wanted, 0, reason.text);
}

int Track(lua_State* L) {
  const MetricArgument metric = CheckMetric(L, 1, "track");
  const double target = CheckNumber(L, 2, "track", "the target");
  if (target <= 0) PolicyError(L, "track: the target must be above 0, not %g", target);
  CheckFits(L, metric, target);
  const double tolerance = Tolerance(L, 3);
  const Capacity& capacity = SnapshotOf(L).capacity;
  if (capacity.ready > 0) return TrackValue(L, metric, target, tolerance);
  if (capacity.desired > 0) return HoldForPending(L, "");
  return HoldAt(L, HoldCause::kInside, "nothing runs that track could multiply; see scale_to");
}

struct Thresholds {
  std::optional<double> above, below;
  double up = 1, down = 1;
};

Thresholds CheckThresholds(lua_State* L, const MetricArgument& metric) {
  if (lua_type(L, 2) != LUA_TTABLE) {
    PolicyError(L, "threshold needs its levels: threshold(%.*s, {above = 0.75, below = 0.3})",
                static_cast<int>(metric.name.size()), metric.name.data());
  }
  CheckOptions(L, 2, "threshold", " above below up down ");
  Thresholds levels;
  levels.above = Option(L, 2, "above", "threshold");
  levels.below = Option(L, 2, "below", "threshold");
  levels.up = Option(L, 2, "up", "threshold").value_or(1);
  levels.down = Option(L, 2, "down", "threshold").value_or(1);
  if (!levels.above && !levels.below) PolicyError(L, "threshold needs above, below or both");
  if (levels.above) CheckFits(L, metric, *levels.above);
  if (levels.below) CheckFits(L, metric, *levels.below);
  if (levels.above && levels.below && *levels.below >= *levels.above) {
    PolicyError(L, "threshold: below (%g) must be less than above (%g)", *levels.below,
                *levels.above);
  }
  if (levels.up <= 0 || levels.down <= 0) {
    PolicyError(L, "threshold: up and down must be above 0");
  }
  return levels;
}

int Threshold(lua_State* L) {
  const MetricArgument metric = CheckMetric(L, 1, "threshold");
  const Thresholds levels = CheckThresholds(L, metric);
  const double value = UsableValue(L, metric);
  const auto name = static_cast<int>(metric.name.size());
  Reason reason;
  if (levels.above && value > *levels.above) {
    reason.Set("%.*s %.4g is above %g: %g more", name, metric.name.data(), value, *levels.above,
               levels.up);
    return StepUp(L, "threshold", levels.up, 0, reason.text);
  }
  if (levels.below && value < *levels.below) {
    reason.Set("%.*s %.4g is below %g: %g fewer", name, metric.name.data(), value, *levels.below,
               levels.down);
    return StepDown(L, "threshold", levels.down, 0, reason.text);
  }
  if (levels.above && levels.below) {
    reason.Set("%.*s %.4g is between %g and %g", name, metric.name.data(), value, *levels.below,
               *levels.above);
  } else {
    reason.Set("%.*s %.4g is not %s %g", name, metric.name.data(), value,
               levels.above ? "above" : "below", levels.above ? *levels.above : *levels.below);
  }
  return HoldAt(L, HoldCause::kInside, reason.text);
}

}  // namespace

void AddProposalFunctions(lua_State* L) {
  constexpr luaL_Reg kFunctions[] = {
      {"hold", Hold},        {"scale_up", ScaleUp}, {"scale_down", ScaleDown},
      {"scale_to", ScaleTo}, {"track", Track},      {"threshold", Threshold}};
  for (const luaL_Reg& function : kFunctions) {
    lua_pushcfunction(L, function.func);
    lua_setfield(L, -2, function.name);
  }
}

}  // namespace autoscale
