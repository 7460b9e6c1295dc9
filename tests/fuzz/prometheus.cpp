// Prometheus' answers: to a range query, and to an instant query, with the samples that its rows
// make.
//
// Input: the shape of the instant query ('0' to '6'), then the answer's body.
#include "net/prometheus.h"

#include <cmath>
#include <cstring>
#include <tuple>

#include "daemon/metrics/collect.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

const MetricQuery kQueries[] = {
    {.value = "up", .series = "", .by = {}, .instance_label = ""},
    {.value = "up", .series = "up", .by = {}, .instance_label = ""},
    {.value = "up", .series = "", .by = {"service"}, .instance_label = ""},
    {.value = "up", .series = "up", .by = {"service"}, .instance_label = ""},
    {.value = "up", .series = "up", .by = {"service", "zone"}, .instance_label = ""},
    {.value = "up", .series = "up", .by = {"service"}, .instance_label = "instance"},
    {.value = "up", .series = "", .by = {}, .instance_label = "instance"},
};

const std::vector<KnownInstance> kInstances = {
    {.id = "i-1", .endpoint = "127.0.0.1:1", .ready = true, .serving_for = std::chrono::hours(1)},
    {.id = "i-2", .endpoint = "127.0.0.1:2", .ready = true, .serving_for = std::chrono::hours(1)},
    {.id = "i-3", .endpoint = "127.0.0.1:3", .ready = false, .serving_for = Millis(0)},
};

void CheckRow(const Answer::Row& row, const MetricQuery& query) {
  const bool asked = !query.series.empty();
  Expect(row.age_s.has_value() == asked, "an age where one was asked for");
  Expect(!row.age_s || !std::isnan(*row.age_s), "an age is a number, below 0 for the future");
  Expect(row.value || asked, "a row says something", row.key);
  const bool counted = asked && query.instance_label.empty();
  Expect(counted ? row.series >= 0 : row.series == -1, "a count where one was asked for");
  Expect(!query.instance_label.empty() || row.instance.empty(), "no instance unless asked for");
  Expect(!query.by.empty() || row.key.empty(), "no key unless asked for", row.key);
}

void CheckSample(const Sample& sample) {
  if (sample.state == SampleState::kFresh) {
    Expect(std::isfinite(sample.value), "a fresh value is a number");
    Expect(!sample.age_s || *sample.age_s <= 60, "a fresh sample is not old");
    Expect(!sample.coverage || sample.substituted || *sample.coverage >= kMinCoverage,
           "a fresh sample speaks for enough");
  }
  Expect(!sample.coverage || *sample.coverage >= 0, "coverage is not below 0");
  for (size_t i = 1; i < sample.instances.size(); ++i) {
    Expect(sample.instances[i - 1].instance < sample.instances[i].instance,
           "instances are sorted, each once", sample.instances[i].instance);
  }
}

// The samples of one key, as metrics of several kinds would have them.
void CheckSamples(const MetricQuery& query, std::span<const Answer::Row> rows) {
  for (const Expectation& expect : {Expectation{}, Expectation{Expectation::Kind::kInstances, 0},
                                    Expectation{Expectation::Kind::kCount, 3}}) {
    for (const Aggregate aggregate :
         {Aggregate::kAverage, Aggregate::kSum, Aggregate::kMax, Aggregate::kMin}) {
      MetricSpec spec{.name = "m", .query = query.value, .series = query.series};
      spec.instance_label = query.instance_label;
      spec.expect = expect;
      spec.aggregate = aggregate;
      CheckSample(MakeSample(spec, rows, kInstances));
      spec.missing = {.when_empty = 0, .when_nan = 0};
      CheckSample(MakeSample(spec, rows, kInstances));
    }
  }
}

bool SameBits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

void CheckSame(const Answer& answer, const Answer& again) {
  Expect(answer.rows().size() == again.rows().size(), "the same body gives as many rows");
  for (size_t i = 0; i < answer.rows().size(); ++i) {
    const Answer::Row& a = answer.rows()[i];
    const Answer::Row& b = again.rows()[i];
    Expect(a.key == b.key && a.instance == b.instance && a.series == b.series &&
               a.age_s == b.age_s && a.value.has_value() == b.value.has_value() &&
               SameBits(a.value.value_or(0), b.value.value_or(0)),
           "the same body gives the same rows", a.key);
  }
}

void CheckRange(std::string_view text) {
  for (const std::vector<std::string>& by : {std::vector<std::string>{}, {"service"}}) {
    const RangeQuery query{.value = "up", .by = by, .step = Millis(60'000), .first = 0, .count = 5};
    const Result<RangeAnswer> answer = ParseRangeAnswer(std::string(text), query);
    if (!answer.ok()) {
      ExpectMessage(answer.error().message);
      continue;
    }
    for (size_t i = 0; i < answer->rows.size(); ++i) {
      Expect(answer->rows[i].values.size() == 5, "a value for each instant");
      Expect(i == 0 || answer->rows[i - 1].key < answer->rows[i].key, "rows are sorted, each once");
    }
  }
}

void Run(std::string_view text) {
  const MetricQuery& query = kQueries[TakeChoice(text, std::size(kQueries))];
  CheckRange(text);
  const Result<Answer> answer = ParseAnswer(std::string(text), query);
  const Result<Answer> again = ParseAnswer(std::string(text), query);
  Expect(answer.ok() == again.ok(), "the same body is as good");
  if (!answer.ok()) {
    ExpectMessage(answer.error().message);
    Expect(answer.error().message == again.error().message, "the same body, the same error");
    return;
  }
  CheckSame(*answer, *again);
  const Answer::Row* last = nullptr;
  for (const Answer::Row& row : answer->rows()) {
    CheckRow(row, query);
    Expect(last == nullptr || std::tie(last->key, last->instance) < std::tie(row.key, row.instance),
           "rows are sorted, each once", row.key);
    const bool new_key = last == nullptr || last->key != row.key;
    last = &row;
    if (!new_key) continue;
    const auto [first, end] = answer->Find(row.key);
    Expect(first == &row && end > first, "a row is found by its key", row.key);
    CheckSamples(query, {first, end});
  }
  CheckSamples(query, {});
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  autoscale::fuzz::Run(autoscale::fuzz::ToText(data, size));
  return 0;
}
