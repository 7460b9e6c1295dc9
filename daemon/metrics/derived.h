// DerivedMetrics: all that is made of other metrics rather than asked of Prometheus. Tick thread.
#pragma once

#include "daemon/metrics/learned.h"
#include "daemon/metrics/predicted.h"

namespace autoscale {

class DerivedMetrics {
 public:
  DerivedMetrics(LearnedMetrics::Options learned, ModelSource* models)
      : learned_(learned),
        predicted_({.clock = learned.clock, .source = models, .counters = learned.counters}) {}

  // The services there are from now on. What is known of those that stay is kept.
  void Use(const std::vector<std::shared_ptr<const ServiceSpec>>& services) {
    learned_.Use(services);
    predicted_.Use(services);
  }
  // Sets the derived samples of one service from the others of this tick.
  void Fill(const ServiceSpec& service, const Capacity& capacity, std::span<Sample> samples) {
    learned_.Fill(service, samples);
    predicted_.Fill(service, capacity, samples);
  }
  // Asks what is due and learns from what came, for a few milliseconds at most.
  void Step() {
    learned_.Step();
    predicted_.Step();
  }
  // When the next Step has something to do; absent: with the next tick or answer.
  [[nodiscard]] std::optional<TimePoint> NextLook() const { return learned_.NextLook(); }
  // Why a derived metric of the service stands on something else; empty: none does.
  [[nodiscard]] std::string ProblemOf(const ServiceSpec& service) const {
    std::string problem = learned_.ProblemOf(service.name);
    return problem.empty() ? predicted_.ProblemOf(service) : problem;
  }

 private:
  LearnedMetrics learned_;
  PredictedMetrics predicted_;
};

}  // namespace autoscale
