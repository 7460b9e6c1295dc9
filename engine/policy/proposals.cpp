// The functions that propose: hold, scale_up, scale_down, scale_to, track, threshold.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string_view>

#include "engine/model/text.h"
#include "engine/policy/api.h"
#include "engine/policy/library.h"
#include "engine/policy/ordered_keys.h"
#include "engine/policy/sandbox.h"

namespace autoscale {
namespace {

constexpr int kMaxProposals = 256;         // an evaluation; one is returned in the end
constexpr size_t kMaxReason = 400;         // bytes that are kept of a reason
constexpr size_t kMaxWhy = 250;            // of one that another text follows
constexpr double kDefaultTolerance = 0.1;  // as the Kubernetes HPA
// 3 × (0.8 / 0.6) must be 4, whatever the last bit of a double says.
constexpr double kRounding = 1e-9;

// A number as %.4g writes it.
struct Short {
  double value;
};

// Put together piece by piece, for printf takes four times as long to write a number, and most of
// a small policy's evaluation. Numbers are as %g writes them.
class Reason {
 public:
  template <typename... Parts>
  explicit Reason(const Parts&... parts) {
    (Add(parts), ...);
    *end_ = 0;
  }
  [[nodiscard]] const char* text() const { return text_; }

 private:
  void Add(std::string_view text) {
    end_ = std::copy_n(text.data(), std::min(text.size(), Room()), end_);
  }
  void Add(int number) { Take(std::to_chars(end_, end_ + Room(), number)); }
  void Add(double number) { AddNumber(number, 6); }
  void Add(Short number) { AddNumber(number.value, 4); }
  void AddNumber(double number, int digits) {
    Take(std::to_chars(end_, end_ + Room(), number, std::chars_format::general, digits));
  }
  void Take(std::to_chars_result written) {
    if (written.ec == std::errc()) end_ = written.ptr;
  }
  [[nodiscard]] size_t Room() const { return static_cast<size_t>(text_ + kMaxReason - end_); }

  char text_[kMaxReason + 1];
  char* end_ = text_;
};

const Snapshot& SnapshotOf(lua_State* L) { return *ScopeOf(L).snapshot; }

// Reasons are one line on a terminal, whatever the policy wrote.
void CopyLine(const char* text, size_t length, std::string& out) {
  out.assign(text, std::min(length, kMaxReason));
  BlankControls(out);
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
  made.at.clear();
  size_t length = 0;
  const char* text = reason > 0 ? lua_tolstring(L, reason, &length) : nullptr;
  if (text == nullptr) {
    text = fallback;
    length = std::char_traits<char>::length(fallback);
  }
  CopyLine(text, length, made.reason);
  AppendPlace(made.at, UsersPlace(L));
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

// A capacity from a number: rounded up, never below 0. A load beyond all measure needs the most
// there can be: a fault would hold, and want fewer than for a smaller load.
int ToCapacity(lua_State* L, const char* function, double value) {
  if (!std::isfinite(value)) PolicyError(L, "%s: the capacity is not a finite number", function);
  if (value >= kMaxCapacity) return kMaxCapacity;
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
  const Reason reason(std::string_view(why).substr(0, kMaxWhy), *why != 0 ? "; " : "",
                      "waiting for ", capacity.pending(), " of ", capacity.desired,
                      " instances that are still starting");
  return Propose(L, ProposalKind::kHold, HoldCause::kPending, capacity.desired, 0, reason.text());
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
  const Reason fallback(step, " more than ", SnapshotOf(L).capacity.desired);
  return StepUp(L, "scale_up", step, reason, fallback.text());
}

int ScaleDown(lua_State* L) {
  const double step = CheckStep(L, 1, "scale_down");
  const int reason = CheckReason(L, 2, "scale_down");
  const Reason fallback(step, " fewer than ", SnapshotOf(L).capacity.desired);
  return StepDown(L, "scale_down", step, reason, fallback.text());
}

int ScaleTo(lua_State* L) {
  const double wanted = CheckNumber(L, 1, "scale_to", "the capacity");
  if (wanted < 0) PolicyError(L, "scale_to: the capacity must not be below 0, but is %g", wanted);
  const int reason = CheckReason(L, 2, "scale_to");
  const int capacity = ToCapacity(L, "scale_to", wanted);
  const Reason fallback("a capacity of ", capacity);
  return Propose(L, ProposalKind::kScaleTo, HoldCause::kNone, capacity, reason, fallback.text());
}

// A level that the metric can never have is a mistake in the policy, found when it is loaded:
// "above 75" of a ratio would never scale out, and "below 30" would always scale in.
void CheckFits(lua_State* L, const MetricArgument& metric, double level) {
  if (level >= 0 && level <= GreatestLevel(metric.unit)) return;
  const std::string_view unit = ToString(metric.unit);
  char hint[40] = "";
  if (metric.unit == Unit::kRatio && level > 0 && level / 100 <= GreatestLevel(Unit::kRatio)) {
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
  const OrderedKey* keys = nullptr;
  const size_t count = PushOrderedKeys(L, table, &keys);  // of several wrong ones always the same
  for (size_t i = 0; i < count; ++i) {
    const char* name = keys[i].text != nullptr ? keys[i].text : "[...]";
    char quoted[40];
    std::snprintf(quoted, sizeof quoted, " %.30s ", name);
    const bool is_word = std::string_view(name).find(' ') == std::string_view::npos;
    if (!is_word || std::string_view(known).find(quoted) == std::string_view::npos) {
      PolicyError(L, "%s has no option '%.30s'; its options:%s", function, name, known);
    }
  }
  lua_pop(L, 1);
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
  const std::string_view name = metric.name;
  // The ratio first, then the product, as the HPA does: another order rounds another way.
  const double ratio = value / target;
  if (std::fabs(1.0 - ratio) <= tolerance) {
    const Reason reason(name, " ", Short{value}, " is within ", tolerance * 100,
                        " % of its target ", target);
    return HoldAt(L, HoldCause::kInside, reason.text());
  }
  const int wanted = ToCapacity(L, "track", ratio * capacity.ready);
  const Reason reason(name, " ", Short{value}, " is ", ratio > 1 ? "above" : "below",
                      " its target ", target, ": ", capacity.ready, " ready × ", Short{ratio},
                      " needs ", wanted);
  if (ratio > 1 && wanted < capacity.desired) return HoldForPending(L, reason.text());
  if (ratio < 1 && wanted > capacity.desired) {
    const Reason pending(name, " ", Short{value}, " is below its target ", target, ", but ",
                         capacity.ready, " instances are ready where ", capacity.desired,
                         " are wanted");
    return HoldAt(L, HoldCause::kPending, pending.text());
  }
  return Propose(L, ProposalKind::kTrack, HoldCause::kNone, wanted, 0, reason.text());
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
  const std::string_view name = metric.name;
  if (levels.above && value > *levels.above) {
    const Reason reason(name, " ", Short{value}, " is above ", *levels.above, ": ", levels.up,
                        " more");
    return StepUp(L, "threshold", levels.up, 0, reason.text());
  }
  if (levels.below && value < *levels.below) {
    const Reason reason(name, " ", Short{value}, " is below ", *levels.below, ": ", levels.down,
                        " fewer");
    return StepDown(L, "threshold", levels.down, 0, reason.text());
  }
  if (levels.above && levels.below) {
    const Reason reason(name, " ", Short{value}, " is between ", *levels.below, " and ",
                        *levels.above);
    return HoldAt(L, HoldCause::kInside, reason.text());
  }
  const Reason reason(name, " ", Short{value}, levels.above ? " is not above " : " is not below ",
                      levels.above ? *levels.above : *levels.below);
  return HoldAt(L, HoldCause::kInside, reason.text());
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
