// Collect: rows of an answer -> the sample of one service, judged.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/spec.h"
#include "engine/model/metric.h"
#include "net/prometheus.h"

namespace autoscale {

// An instance as far as per-instance metrics and coverage are concerned.
struct KnownInstance {
  std::string_view id;
  std::string_view endpoint;
  bool ready = false;
  Millis serving_for{0};
};

// The sample that the rows of one service make: value (aggregated where the metric is per
// instance), age, coverage against what the metric expects, and its state by the rules all tools
// share.
Sample MakeSample(const MetricSpec& spec, std::span<const Answer::Row> rows,
                  std::span<const KnownInstance> instances);

// The sample of a query that did not answer.
Sample MakeErrorSample(std::shared_ptr<const std::string> error);

}  // namespace autoscale
