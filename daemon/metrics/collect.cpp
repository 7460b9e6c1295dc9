#include "daemon/metrics/collect.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/model/sample_rules.h"

namespace autoscale {
namespace {

// Instances whose series must be there. One that began to serve less than max_age ago may not have
// been scraped yet: expecting it would hold every second step of a scale-out.
bool IsEstablished(const MetricSpec& spec, const KnownInstance& instance) {
  return instance.ready && instance.serving_for >= spec.max_age;
}

int CountEstablished(const MetricSpec& spec, std::span<const KnownInstance> instances) {
  return static_cast<int>(
      std::count_if(instances.begin(), instances.end(),
                    [&](const KnownInstance& i) { return IsEstablished(spec, i); }));
}

// Of those that gave a number: how many did not shows in the coverage.
double Combine(Aggregate aggregate, const std::vector<InstanceSample>& samples) {
  double sum = 0;
  int count = 0;
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
  for (const InstanceSample& sample : samples) {
    if (!std::isfinite(sample.value)) continue;
    ++count;
    sum += sample.value;
    least = std::min(least, sample.value);
    greatest = std::max(greatest, sample.value);
  }
  if (count == 0) return std::nan("");
  switch (aggregate) {
    case Aggregate::kAverage:
      return sum / count;
    case Aggregate::kSum:
      return sum;
    case Aggregate::kMax:
      return greatest;
    case Aggregate::kMin:
      return least;
  }
  return std::nan("");
}

// How many series would be a full answer; 0: not checked (or nothing is there to be covered).
int Expected(const MetricSpec& spec, std::span<const KnownInstance> instances) {
  switch (spec.expect.kind) {
    case Expectation::Kind::kNothing:
      return 0;
    case Expectation::Kind::kInstances:
      return CountEstablished(spec, instances);
    case Expectation::Kind::kCount:
      return spec.expect.count;
  }
  return 0;
}

void TakeInstances(Sample& sample, const MetricSpec& spec, std::span<const Answer::Row> rows,
                   std::span<const KnownInstance> instances) {
  int covered = 0;
  std::vector<bool> taken(instances.size());
  for (const Answer::Row& row : rows) {
    if (!row.value) continue;
    const auto known = std::find_if(
        instances.begin(), instances.end(),
        [&](const KnownInstance& i) { return i.id == row.instance || i.endpoint == row.instance; });
    if (known == instances.end()) continue;  // somebody else's, or already gone
    // Named by its id and by its address: one instance all the same, and counted once.
    const auto position = static_cast<size_t>(known - instances.begin());
    if (taken[position]) continue;
    taken[position] = true;
    if (std::isfinite(*row.value) && IsEstablished(spec, *known)) ++covered;
    sample.instances.push_back(
        {.instance = std::string(known->id), .value = *row.value, .ready = known->ready});
  }
  std::sort(sample.instances.begin(), sample.instances.end(),
            [](const auto& a, const auto& b) { return a.instance < b.instance; });
  if (const int expected = CountEstablished(spec, instances); expected > 0) {
    sample.coverage = static_cast<float>(covered) / static_cast<float>(expected);
  }
  if (sample.instances.empty()) {
    // Not "no series": whatever an empty answer means here, this is none.
    const auto stranger = std::find_if(
        rows.begin(), rows.end(), [](const Answer::Row& row) { return row.value.has_value(); });
    if (stranger == rows.end() || CountEstablished(spec, instances) == 0) return;
    sample.state = SampleState::kError;
    sample.error = std::make_shared<const std::string>(
        "none of its series is of an instance of this service: its label " + spec.instance_label +
        " says '" + std::string(stranger->instance) + "', the instances are " +
        std::string(instances[0].id) +
        (instances[0].endpoint.empty() ? "" : " at " + std::string(instances[0].endpoint)) +
        " and so on");
    return;
  }
  sample.state = SampleState::kFresh;
  sample.value = Combine(spec.aggregate, sample.instances);
}

}  // namespace

Sample MakeSample(const MetricSpec& spec, std::span<const Answer::Row> rows,
                  std::span<const KnownInstance> instances) {
  Sample sample{.state = SampleState::kEmpty};
  // The series behind the metric was asked for and is nowhere: a dead exporter, not "no traffic".
  if (rows.empty() && !spec.series.empty()) {
    sample.age_s = std::numeric_limits<float>::infinity();
  }
  for (const Answer::Row& row : rows) {
    // The oldest of several would hide that the rest still reports; the newest is what Prometheus
    // itself would answer for the sum.
    if (row.age_s && (!sample.age_s || *row.age_s < *sample.age_s)) sample.age_s = row.age_s;
  }
  if (!spec.instance_label.empty()) {
    TakeInstances(sample, spec, rows, instances);
  } else if (!rows.empty()) {
    const Answer::Row& row = rows.front();
    if (row.value) {
      sample.state = SampleState::kFresh;
      sample.value = *row.value;
    }
    const int expected = Expected(spec, instances);
    if (row.series >= 0 && expected > 0) {
      // More than expected is shown too: young, draining and just ended instances have series, but
      // so have those that are scraped twice.
      sample.coverage = static_cast<float>(row.series) / static_cast<float>(expected);
    }
  }
  return Judge(std::move(sample), RulesOf(spec));
}

Sample MakeErrorSample(std::shared_ptr<const std::string> error) {
  return {.state = SampleState::kError, .error = std::move(error)};
}

}  // namespace autoscale
