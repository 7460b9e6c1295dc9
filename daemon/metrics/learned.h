// LearnedMetrics: forecasts and anomalies, made on each tick of their metric's sample and of what
// was learned from its past.
//
// The past comes from Prometheus by range queries in the background, one at a time, each for all
// services that share the metric's query; from then on each tick adds its own samples. Tick thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/spec.h"
#include "daemon/clock.h"
#include "daemon/metrics/source.h"
#include "engine/forecast/anomaly.h"
#include "engine/forecast/forecast.h"

namespace autoscale {

class LearnedMetrics {
 public:
  struct Options {
    const Clock& clock;
    MetricSource& source;
    Counters& counters;
    Millis timeout{5000};  // of a range query
  };
  explicit LearnedMetrics(Options options);
  ~LearnedMetrics();

  // The services there are from now on. What is known of metrics that stay is kept.
  void Use(const std::vector<std::shared_ptr<const ServiceSpec>>& services);

  // Asks for past that is due and learns from what came, for a few milliseconds at most.
  void Step();
  // When the next Step has something to do; absent: nothing is learned here.
  [[nodiscard]] std::optional<TimePoint> NextLook() const;

  // Sets the samples of the service's forecasts and anomalies from those of their metrics.
  void Fill(const ServiceSpec& service, std::span<Sample> samples);

  // Why a metric of the service is not learned yet; empty: all are, or none is to be.
  [[nodiscard]] std::string ProblemOf(const std::string& service) const;

 private:
  struct Learned;
  struct Past;
  using Row = std::vector<std::shared_ptr<Learned>>;  // parallel to a service's metrics

  std::shared_ptr<Learned> TakeUp(const ServiceSpec& service, const MetricUse& use,
                                  const Row* before) const;
  void Ask(Past& past);
  void Take(Past& past, int64_t first, int count, Result<RangeAnswer> answer);
  static void TakePoint(Learned& one, int64_t slot, double value);
  void LearnLater(const std::shared_ptr<Learned>& one);
  void Finish(Past& past);
  void Fail(Past& past, int count, const std::string& error);
  void Learn(Learned& one);
  void MakeForecast(Learned& one, const Sample& base, Sample& sample) const;
  void MakeOddness(Learned& one, const Sample& base, Sample& sample) const;

  Options options_;
  std::unordered_map<std::string, Row> rows_;           // by service
  std::map<std::string, std::unique_ptr<Past>> pasts_;  // by identity
  std::deque<std::shared_ptr<Learned>> to_learn_;
  std::string last_asked_;  // so that each has its turn
  bool asking_ = false;
  uint64_t generation_ = 0;  // of pasts_: answers to an older one are dropped
};

}  // namespace autoscale
