#include "config/derived_reader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "config/scalar.h"

namespace autoscale {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr DurationRange kStep{.min = seconds(1), .max = hours(24)};
constexpr DurationRange kSeason{.min = seconds(4), .max = hours(24 * 35)};
constexpr DurationRange kHistory{.min = seconds(4), .max = hours(24 * 365)};
constexpr DurationRange kRefresh{.min = seconds(1), .max = hours(24 * 7)};
constexpr DurationRange kHorizon{.min = seconds(1), .max = hours(24)};
constexpr DurationRange kTimeout{.min = Millis(10), .max = minutes(5)};
constexpr DurationRange kEvery{.min = seconds(1), .max = hours(1)};
constexpr DurationRange kMaxAge{.min = seconds(1), .max = hours(24)};
constexpr Millis kModelMaxAge = minutes(5);
constexpr int64_t kLeastSlots = 4;      // of a season: fewer have no course
constexpr int64_t kMostSlots = 10'000;  // of a history; Prometheus answers at most 11,000 points
constexpr int kSeasonsChosenFrom = 2;

const std::vector<std::string> kUnits = {"ratio", "percent", "seconds", "per_second", "count"};
const std::vector<std::string> kMethods = {"auto", "naive", "seasonal", "profile"};
// In the order of DerivedSpec::Kind.
const std::vector<std::string> kKinds = {"forecast", "anomaly", "predict"};
// What is said of metrics that Prometheus is asked for.
constexpr std::string_view kAsked[] = {"query",      "series",   "match",    "expect",
                                       "when_empty", "when_nan", "negative", "per_instance"};

std::string_view NameOf(const DerivedSpec& derived) {
  return kKinds[static_cast<size_t>(derived.kind)];
}

void RefuseOthers(Section& section, const DerivedSpec& derived) {
  const std::string kind(NameOf(derived));
  for (const std::string& other : kKinds) {
    if (other == kind || !section.Has(other)) continue;
    (void)section.Raw(other);
    section.Fault(other, "a metric says '" + kind + "' or '" + other + "', not both");
  }
  const auto refuse = [&](std::string_view key, const std::string& why) {
    if (!section.Has(key)) return;
    (void)section.Raw(key);
    section.Fault(key, "'" + std::string(key) + "' has no place beside '" + kind + "': " + why);
  };
  for (const std::string_view key : kAsked) {
    refuse(key, derived.kind == DerivedSpec::Kind::kPredict
                    ? "the model outside is what is asked"
                    : "it is a matter of the metric that this one is made of");
  }
  if (derived.kind == DerivedSpec::Kind::kForecast) {
    refuse("unit", "a forecast has the unit of its metric");
  } else if (derived.kind == DerivedSpec::Kind::kAnomaly) {
    refuse("unit", "an oddness is a count of deviations");
  }
  if (derived.kind != DerivedSpec::Kind::kPredict) {
    refuse("spread", "it is so where its metric is");
    refuse("max_age", "it is as old as the metric that it is made of");
  }
}

// Faults that lie between durations; each is told at the key that is likelier wrong.
void CheckLearning(Section& section, const DerivedSpec& derived) {
  const auto text = [](std::string_view key, Millis d) {
    return "'" + std::string(key) + "' (" + FormatDuration(d) + ")";
  };
  const std::string season = text("season", derived.season);
  const std::string history = text("history", derived.history);
  const std::string step = text("step", derived.step);
  if (derived.season % derived.step != Millis(0)) {
    section.Fault("season", season + " must be a multiple of " + step);
  } else if (derived.season / derived.step < kLeastSlots) {
    section.Fault("season", season + " must hold at least " + std::to_string(kLeastSlots) +
                                " steps of " + FormatDuration(derived.step));
  } else if (derived.history / derived.step > kMostSlots) {
    section.Fault("history", history + " holds more than " + std::to_string(kMostSlots) +
                                 " steps of " + FormatDuration(derived.step) +
                                 "; shorten it or lengthen the step");
  } else if (derived.history < derived.season * kSeasonsChosenFrom) {
    section.Fault("history", history + " must hold at least two seasons of " +
                                 FormatDuration(derived.season) +
                                 ": one to learn from, one to test on");
  } else if (derived.kind == DerivedSpec::Kind::kForecast && derived.horizon > derived.season) {
    section.Fault("horizon", text("horizon", derived.horizon) + " reaches beyond " + season);
  }
}

void ReadLearning(Section& section, DerivedSpec& derived) {
  const std::string kind(NameOf(derived));
  derived.base = section.RequiredString(kind);
  derived.season = section.Duration("season", derived.season, kSeason);
  derived.history = section.Duration(
      "history", std::max(derived.history, derived.season * kSeasonsChosenFrom), kHistory);
  derived.step = section.Duration("step", derived.step, kStep);
  derived.refresh = section.Duration("refresh", derived.refresh, kRefresh);
  if (derived.kind == DerivedSpec::Kind::kForecast) {
    derived.horizon = section.Duration("horizon", derived.horizon, kHorizon);
    const size_t method = section.Choice("method", 0, kMethods);
    if (method > 0) derived.method = static_cast<ForecastMethod>(method - 1);
  }
  CheckLearning(section, derived);
}

void ReadModel(Section& section, MetricSpec& spec, DerivedSpec& derived) {
  spec.max_age = kModelMaxAge;
  spec.unit = ReadUnit(section);
  spec.spread = section.Bool("spread", spec.spread);
  std::optional<Section> model = section.Child("predict");
  if (!model) return;
  derived.url = model->RequiredString("url");
  const std::string fault = derived.url.empty() ? "" : UrlFault(derived.url);
  if (!fault.empty()) model->Fault("url", "'predict.url' " + fault);
  derived.base = model->String("fallback");
  derived.timeout = model->Duration("timeout", derived.timeout, kTimeout);
  derived.every = model->Duration("every", derived.every, kEvery);
  derived.horizon = model->Duration("horizon", derived.horizon, kHorizon);
  spec.max_age = model->Duration("max_age", spec.max_age, kMaxAge);
  derived.credentials = ReadCredentials(*model, "predict");
  if (spec.max_age < derived.every) {
    model->Fault("max_age", "'max_age' (" + FormatDuration(spec.max_age) +
                                ") is shorter than 'every' (" + FormatDuration(derived.every) +
                                "): an answer would be too old before the next one comes");
  }
  model->Finish();
}

// Why the metric cannot be made of this one; empty: it can.
std::string BaseFault(const MetricSpec& spec, const MetricSpec& base) {
  const DerivedSpec& derived = *spec.derived;
  const std::string metric = "metric '" + spec.name + "'";
  if (base.derived != nullptr) {
    return metric + " is made of '" + base.name +
           "', which is derived itself; name a metric that Prometheus is asked for";
  }
  if (derived.kind != DerivedSpec::Kind::kPredict) {
    return base.instance_label.empty()
               ? ""
               : metric + " is made of '" + base.name +
                     "', which has a value for each instance; aggregate them in its query";
  }
  if (base.unit == spec.unit) return {};
  return metric + " is in " + std::string(ToString(spec.unit)) + " and its fallback '" + base.name +
         "' in " + std::string(ToString(base.unit)) + "; name one of the same unit";
}

}  // namespace

Unit ReadUnit(Section& section) {
  if (!section.Has("unit")) section.Fault("", "'unit' is missing: " + JoinOr(kUnits));
  return static_cast<Unit>(section.Choice("unit", 0, kUnits));
}

bool IsDerived(const Section& section) {
  return std::any_of(kKinds.begin(), kKinds.end(),
                     [&](const std::string& kind) { return section.Has(kind); });
}

void ReadDerived(Section& section, MetricSpec& spec) {
  auto derived = std::make_shared<DerivedSpec>();
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(),
                                 [&](const std::string& name) { return section.Has(name); });
  derived->kind = static_cast<DerivedSpec::Kind>(kind - kKinds.begin());
  RefuseOthers(section, *derived);
  if (derived->kind == DerivedSpec::Kind::kPredict) {
    ReadModel(section, spec, *derived);
  } else {
    ReadLearning(section, *derived);
  }
  if (derived->kind == DerivedSpec::Kind::kAnomaly) {
    spec.unit = Unit::kCount;
    spec.may_be_negative = true;
  }
  section.Finish();
  spec.derived = std::move(derived);
}

std::shared_ptr<const MetricSpec> WithInherited(std::shared_ptr<const MetricSpec> derived,
                                                const MetricSpec& base) {
  if (derived->derived->kind != DerivedSpec::Kind::kForecast ||
      (derived->unit == base.unit && derived->may_be_negative == base.may_be_negative &&
       derived->spread == base.spread)) {
    return derived;
  }
  auto own = std::make_shared<MetricSpec>(*derived);
  own->unit = base.unit;
  own->may_be_negative = base.may_be_negative;
  own->spread = base.spread;
  return own;
}

void FindBases(Section& metrics, std::vector<MetricUse>& uses) {
  for (MetricUse& use : uses) {
    const MetricSpec& spec = *use.spec;
    if (spec.derived == nullptr || spec.derived->base.empty()) continue;
    const std::string& name = spec.derived->base;
    const auto base = std::find_if(
        uses.begin(), uses.end(), [&](const MetricUse& other) { return other.spec->name == name; });
    if (base == uses.end()) {
      std::vector<std::string> names;
      for (const MetricUse& other : uses) {
        if (other.spec->derived == nullptr) names.push_back(other.spec->name);
      }
      const std::string hint = DidYouMean(name, names);
      metrics.Fault(spec.name, "metric '" + spec.name + "' is made of '" + name +
                                   "', which this service does not declare" +
                                   (hint.empty() ? "; declare it here too" : hint));
      continue;
    }
    if (const std::string fault = BaseFault(spec, *base->spec); !fault.empty()) {
      metrics.Fault(spec.name, fault);
      continue;
    }
    use.base = static_cast<int>(base - uses.begin());
    use.spec = WithInherited(use.spec, *base->spec);
  }
}

}  // namespace autoscale
