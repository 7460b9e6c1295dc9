#include "daemon/metrics/learned.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <unordered_set>
#include <utility>

#include "daemon/metrics/plan.h"
#include "daemon/telemetry/log.h"

namespace autoscale {
namespace {

constexpr std::chrono::milliseconds kLearnFor{4};  // a pass; a fit takes less than one
constexpr Millis kBacklog{20};                     // until the next pass while some wait
constexpr Millis kFirstRetry = std::chrono::seconds(10);
constexpr Millis kLongestRetry = std::chrono::minutes(10);
constexpr int64_t kAnswerBytes = 4 << 20;  // that one range query should answer at most
constexpr int64_t kPointBytes = 32;        // as Prometheus writes them: [1700000000,"123.456"]
constexpr int64_t kLeastChunk = 24;        // slots
constexpr int64_t kMostChunk = 10'000;     // Prometheus refuses more than 11,000
constexpr int64_t kOverlap = 3;            // slots asked for again: what came late is in them
constexpr double kJitter = 0.2;            // of the time until the next refresh

std::shared_ptr<const std::string> Text(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

bool IsLearned(const MetricUse& use) {
  return use.spec->derived != nullptr && use.spec->derived->kind != DerivedSpec::Kind::kPredict &&
         use.base >= 0;
}

}  // namespace

// One derived metric of one service.
struct LearnedMetrics::Learned {
  Learned(const DerivedSpec& derived)
      : series(derived.step, static_cast<int>(derived.history / derived.step)) {}

  std::string service;
  std::shared_ptr<const MetricSpec> spec;  // its own
  std::shared_ptr<const MetricSpec> base;
  std::string key;       // of the base
  std::string identity;  // of all that it is learned from
  Series series;
  std::shared_ptr<const ForecastModel> model;
  // Why it stands on nothing; null: it does not. Shared with the samples.
  std::shared_ptr<const std::string> problem;
  std::string doubt;      // why its past is not kept up to date, though it stands on it
  bool complete = false;  // its past has come
  bool waiting = false;   // in to_learn_
  // kAnomaly: what is usual in this slot.
  std::optional<Usual> usual;
  int64_t usual_slot = INT64_MIN;
};

// One range query, for all that share it.
struct LearnedMetrics::Past {
  MetricQuery query;
  Millis step{0}, refresh{0};
  int64_t slots = 0;
  double jitter = 0;
  std::vector<std::shared_ptr<Learned>> uses;  // in the order of their keys

  int64_t chunk = kLeastChunk;         // slots to ask for at once
  int64_t widest_chunk = kLeastChunk;  // the most that is ever asked for
  bool widened = false;                // the last piece came: this one may be too large
  int64_t next = INT64_MIN;      // the first slot that is not known; before: all are asked for
  std::optional<int64_t> until;  // of the reading under way
  TimePoint due;
  Millis retry = kFirstRetry;
  std::string told;  // what the log was told; empty: all is well
};

LearnedMetrics::LearnedMetrics(Options options) : options_(options) {}
LearnedMetrics::~LearnedMetrics() = default;

std::shared_ptr<LearnedMetrics::Learned> LearnedMetrics::TakeUp(const ServiceSpec& service,
                                                                const MetricUse& use,
                                                                const Row* before) const {
  const MetricUse& base = service.metrics[static_cast<size_t>(use.base)];
  const DerivedSpec& derived = *use.spec->derived;
  std::string identity = QueryIdentity(QueryOf(*base.spec, service.name)) + '\x1e' + base.key;
  for (const Millis d : {derived.season, derived.history, derived.step, derived.horizon}) {
    identity += '\x1e' + std::to_string(d.count());
  }
  identity += '\x1e' + std::to_string(static_cast<int>(derived.kind)) +
              std::to_string(derived.method ? static_cast<int>(*derived.method) : -1);
  std::shared_ptr<Learned> one;
  for (const auto& known : before == nullptr ? Row() : *before) {
    if (known && known->spec->name == use.spec->name && known->identity == identity) one = known;
  }
  if (!one) {
    one = std::make_shared<Learned>(derived);
    one->service = service.name;
    one->key = base.key;
    one->identity = std::move(identity);
    one->problem = Text("its past has not come yet");
  }
  one->spec = use.spec;
  one->base = base.spec;
  return one;
}

void LearnedMetrics::Use(const std::vector<std::shared_ptr<const ServiceSpec>>& services) {
  std::unordered_map<std::string, Row> rows;
  std::map<std::string, std::unique_ptr<Past>> pasts;
  for (const auto& service : services) {
    const auto before = rows_.find(service->name);
    for (size_t i = 0; i < service->metrics.size(); ++i) {
      const MetricUse& use = service->metrics[i];
      if (!IsLearned(use)) continue;
      Row& row = rows[service->name];
      row.resize(service->metrics.size());
      row[i] = TakeUp(*service, use, before == rows_.end() ? nullptr : &before->second);
      const DerivedSpec& derived = *use.spec->derived;
      MetricQuery query = QueryOf(*row[i]->base, service->name);
      auto& past = pasts[QueryIdentity(query) + '\x1e' + std::to_string(derived.step.count()) +
                         '\x1e' + std::to_string(derived.history.count())];
      if (!past) {
        past = std::make_unique<Past>();
        past->query = std::move(query);
        past->step = derived.step;
        past->slots = derived.history / derived.step;
        past->refresh = derived.refresh;
      }
      past->refresh = std::min(past->refresh, derived.refresh);
      past->uses.push_back(row[i]);
    }
  }
  for (auto& [identity, past] : pasts) {
    std::sort(past->uses.begin(), past->uses.end(),
              [](const auto& a, const auto& b) { return a->key < b->key; });
    past->jitter = static_cast<double>(std::hash<std::string>{}(identity) % 1000) / 1000;
    past->widest_chunk =
        std::clamp(kAnswerBytes / kPointBytes / static_cast<int64_t>(past->uses.size()),
                   kLeastChunk, kMostChunk);
    past->chunk = past->widest_chunk;
    const auto before = pasts_.find(identity);
    const bool known = std::all_of(past->uses.begin(), past->uses.end(),
                                   [](const auto& one) { return one->complete; });
    if (before == pasts_.end() || !known) continue;
    past->next = before->second->next;
    past->due = before->second->due;
    past->told = before->second->told;
  }
  rows_ = std::move(rows);
  pasts_ = std::move(pasts);
  ++generation_;
  asking_ = false;
}

std::optional<TimePoint> LearnedMetrics::NextLook() const {
  if (!to_learn_.empty()) return options_.clock.Now() + kBacklog;
  if (asking_) return std::nullopt;  // its answer wakes the thread
  std::optional<TimePoint> next;
  for (const auto& [identity, past] : pasts_) {
    if (!next || past->due < *next) next = past->due;
  }
  return next;
}

void LearnedMetrics::Step() {
  const auto began = std::chrono::steady_clock::now();
  while (!to_learn_.empty() && std::chrono::steady_clock::now() - began < kLearnFor) {
    const std::shared_ptr<Learned> one = std::move(to_learn_.front());
    to_learn_.pop_front();
    one->waiting = false;
    Learn(*one);
  }
  if (asking_ || pasts_.empty()) return;
  // The next in turn that is due.
  const TimePoint now = options_.clock.Now();
  auto past = pasts_.upper_bound(last_asked_);
  for (size_t i = 0; i < pasts_.size(); ++i, ++past) {
    if (past == pasts_.end()) past = pasts_.begin();
    if (past->second->due > now) continue;
    last_asked_ = past->first;
    return Ask(*past->second);
  }
}

// --- The past ---

void LearnedMetrics::Ask(Past& past) {
  const int64_t present = Series(past.step, 1).SlotOf(options_.clock.Now());
  if (!past.until) past.until = present;
  const int64_t first = std::max(past.next, *past.until - past.slots + 1);
  const auto count = static_cast<int>(std::min(past.chunk, *past.until - first + 1));
  if (count <= 0) return Finish(past);  // time stood still since
  asking_ = true;
  options_.source.AskRange(
      {.value = past.query.value,
       .by = past.query.by,
       .step = past.step,
       .first = first,
       .count = count},
      options_.timeout,
      [this, at = &past, first, count, generation = generation_](Result<RangeAnswer> answer) {
        if (generation != generation_) return;
        asking_ = false;
        Take(*at, first, count, std::move(answer));
      });
}

void LearnedMetrics::Take(Past& past, int64_t first, int count, Result<RangeAnswer> answer) {
  if (!answer.ok()) return Fail(past, count, answer.error().message);
  auto row = answer->rows.cbegin();
  for (const auto& one : past.uses) {
    while (row != answer->rows.cend() && row->key < one->key) ++row;
    const bool answered = row != answer->rows.cend() && row->key == one->key;
    for (int i = 0; i < count; ++i) {
      TakePoint(*one, first + i, answered ? row->values[static_cast<size_t>(i)] : std::nan(""));
    }
  }
  past.next = first + count;
  past.chunk = std::min(past.chunk * 2, past.widest_chunk);
  past.widened = true;
  past.retry = kFirstRetry;
  if (past.next > *past.until) Finish(past);
}

// What a tick has seen is not forgotten for a gap. Where an empty answer is data it is so in the
// past as well, from the first value on: before, the metric may not have been there.
void LearnedMetrics::TakePoint(Learned& one, int64_t slot, double value) {
  if (std::isnan(value)) {
    const bool begun = slot > one.series.begin() && one.series.begin() < one.series.end();
    if (!one.base->missing.when_empty || !begun || !std::isnan(one.series.At(slot))) return;
    value = *one.base->missing.when_empty;
  }
  one.series.Put(slot, value);
}

void LearnedMetrics::LearnLater(const std::shared_ptr<Learned>& one) {
  if (std::exchange(one->waiting, true)) return;
  to_learn_.push_back(one);
}

void LearnedMetrics::Finish(Past& past) {
  past.next = *past.until - kOverlap;
  past.until.reset();
  past.due = options_.clock.Now() +
             FromSeconds(ToSeconds(past.refresh) * (1 - kJitter / 2 + kJitter * past.jitter));
  for (const auto& one : past.uses) {
    one->complete = true;
    one->doubt.clear();
    LearnLater(one);
  }
  if (past.told.empty()) return;
  past.told.clear();
  LogInfo("the past of a metric is answered again", {{"metric", past.uses.front()->base->name}});
}

// Shorter ranges may fare better: they take less time and answer less.
void LearnedMetrics::Fail(Past& past, int count, const std::string& error) {
  past.chunk = std::max<int64_t>(count / 2, kLeastChunk);
  // Nobody who was away altogether has said that it was too much.
  if (std::exchange(past.widened, false)) past.widest_chunk = past.chunk;
  past.due = options_.clock.Now() + past.retry;
  past.retry = std::min({past.retry * 2, kLongestRetry, std::max(past.refresh, kFirstRetry)});
  for (const auto& one : past.uses) {
    if (!one->complete) {
      one->problem = Text("its past cannot be had: " + error);
      continue;
    }
    // Its ticks go on adding to it: what was learned long ago must not stand for ever.
    one->doubt =
        "it is learned from this daemon's own ticks alone: its past cannot be had: " + error;
    LearnLater(one);
  }
  if (past.told == error) return;
  past.told = error;
  LogWarning("the past of a metric cannot be had; what is made of it stands on what is known",
             {{"metric", past.uses.front()->base->name},
              {"services", static_cast<int64_t>(past.uses.size())},
              {"error", error}});
}

// --- Learning ---

void LearnedMetrics::Learn(Learned& one) {
  one.usual_slot = INT64_MIN;
  const DerivedSpec& derived = *one.spec->derived;
  if (derived.kind == DerivedSpec::Kind::kAnomaly) {
    one.problem.reset();
    return;
  }
  const Millis slack = derived.step - Millis(1);
  auto model = FitForecast(one.series,
                           {.season = static_cast<int>(derived.season / derived.step),
                            .horizon = static_cast<int>((derived.horizon + slack) / derived.step),
                            .method = derived.method});
  ++options_.counters.forecasts_fitted;
  if (!model.ok()) {
    const bool news = !one.problem || *one.problem != model.error().message;
    one.model.reset();
    if (!news) return;
    // Hours are counted in it: told once, and kept up to date where people ask.
    if (!one.problem || !one.problem->starts_with("too little history")) {
      LogWarning(
          "there is no forecast yet: the metric's present value stands in",
          {{"service", one.service}, {"metric", one.spec->name}, {"error", model.error().message}});
    }
    one.problem = Text(model.error().message);
    return;
  }
  if (!one.model || one.model->method() != model->method()) {
    double loss = 1;
    for (const BackTest& test : model->back_tests()) {
      if (test.method == model->method()) loss = test.loss;
    }
    LogInfo("a forecast is made", {{"service", one.service},
                                   {"metric", one.spec->name},
                                   {"method", ToString(model->method())},
                                   {"loss", loss}});
  }
  one.problem.reset();
  one.model = std::make_shared<const ForecastModel>(*std::move(model));
}

// --- Samples ---

void LearnedMetrics::MakeForecast(Learned& one, const Sample& base, Sample& sample) const {
  const int64_t slot = one.series.SlotOf(options_.clock.Now());
  sample.value = base.value;
  if (one.model) {
    // Never less than what is: a forecast alone takes nothing away.
    const double predicted = one.model->Predict(one.series, slot);
    if (std::isfinite(predicted)) sample.value = std::max(base.value, predicted);
  } else {
    sample.substituted = true;
    sample.error = one.problem;
  }
}

void LearnedMetrics::MakeOddness(Learned& one, const Sample& base, Sample& sample) const {
  const int64_t slot = one.series.SlotOf(options_.clock.Now());
  const DerivedSpec& derived = *one.spec->derived;
  if (one.usual_slot != slot) {
    one.usual = UsualAt(one.series, slot, static_cast<int>(derived.season / derived.step));
    one.usual_slot = slot;
  }
  if (one.usual) {
    sample.value = OddnessOf(*one.usual, base.value);
  } else {
    static const auto kTooLittle =
        Text("too little history of this time of the season, and of the last steps");
    sample.state = SampleState::kEmpty;
    sample.error = one.problem ? one.problem : kTooLittle;
  }
}

void LearnedMetrics::Fill(const ServiceSpec& service, std::span<Sample> samples) {
  const auto row = rows_.find(service.name);
  if (row == rows_.end() || row->second.size() != samples.size()) return;
  for (size_t i = 0; i < samples.size(); ++i) {
    Learned* const one = row->second[i].get();
    if (one == nullptr) continue;
    const Sample& base = samples[static_cast<size_t>(service.metrics[i].base)];
    Sample& sample = samples[i];
    sample = {.state = base.state, .age_s = base.age_s, .coverage = base.coverage};
    if (base.state != SampleState::kFresh) {
      sample.error =
          Text("its metric '" + one->base->name + "' is not usable (" +
               std::string(ToString(base.state)) + ")" + (base.error ? ": " + *base.error : ""));
      continue;
    }
    one->series.Put(one->series.SlotOf(options_.clock.Now()), base.value);
    if (one->spec->derived->kind == DerivedSpec::Kind::kForecast) {
      MakeForecast(*one, base, sample);
    } else {
      MakeOddness(*one, base, sample);
    }
  }
}

std::string LearnedMetrics::ProblemOf(const std::string& service) const {
  const auto row = rows_.find(service);
  if (row == rows_.end()) return {};
  for (const auto& one : row->second) {
    if (one && one->problem) {
      return "metric '" + one->spec->name + "' is not learned yet: " + *one->problem;
    }
    if (one && !one->doubt.empty()) return "metric '" + one->spec->name + "': " + one->doubt;
  }
  return {};
}

}  // namespace autoscale
