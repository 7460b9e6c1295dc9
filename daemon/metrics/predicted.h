// PredictedMetrics: what models outside say, asked in the background. Tick thread.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/spec.h"
#include "daemon/clock.h"
#include "daemon/metrics/model_source.h"
#include "daemon/telemetry/telemetry.h"

namespace autoscale {

class PredictedMetrics {
 public:
  struct Options {
    const Clock& clock;
    ModelSource* source = nullptr;  // null: nobody is asked
    Counters& counters;
  };
  explicit PredictedMetrics(Options options);
  ~PredictedMetrics();

  // The services there are from now on. Answers to those that stay are kept. Reads secrets.
  void Use(const std::vector<std::shared_ptr<const ServiceSpec>>& services);

  // Sets the samples of the service's predictions from the last answers. Of each model that is due
  // it is noted what to tell it of the service.
  void Fill(const ServiceSpec& service, const Capacity& capacity, std::span<Sample> samples);

  // Asks the models of what was noted, one request each.
  void Step();

  // What is wrong with a model of the service; empty: nothing.
  [[nodiscard]] std::string ProblemOf(const ServiceSpec& service) const;

 private:
  struct Model;
  Model* ModelOf(const ServiceSpec& service, const MetricSpec& metric) const;
  void Ask(Model& model);
  void Take(Model& model, Result<HttpResponse> response);
  void Tell(Model& model, const std::string& problem);

  Options options_;
  std::map<std::string, std::shared_ptr<Model>> models_;  // by identity
};

}  // namespace autoscale
