// MetricPlan: which queries answer for which services, so that what many services share is asked
// once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/spec.h"
#include "net/prometheus.h"

namespace autoscale {

// One sample that a query is to give: metric number `metric` of service number `service`.
struct PlannedUse {
  uint32_t service = 0;
  uint32_t metric = 0;
};

struct PlannedQuery {
  MetricQuery query;
  std::vector<PlannedUse> uses;  // in the order of their keys, so that rows and uses merge
};

// The query of a metric for one service.
MetricQuery QueryOf(const MetricSpec& spec, const std::string& service);

// Equal for equal queries.
std::string QueryIdentity(const MetricQuery& query);

// The distinct queries of the services given, by their position in `services`.
std::vector<PlannedQuery> PlanQueries(
    const std::vector<std::shared_ptr<const ServiceSpec>>& services);

}  // namespace autoscale
