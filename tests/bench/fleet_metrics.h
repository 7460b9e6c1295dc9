// The metrics of the fleet that is measured: what is asked for, and what the stand-in answers.
#pragma once

#include <array>
#include <cstdio>
#include <string>

#include "engine/model/metric.h"

namespace autoscale {

struct SharedMetric {
  const char* name;
  Unit unit;
  const char* query;
  const char* series;  // also tells the stand-in which of the three was asked for
};
inline constexpr std::array<SharedMetric, 3> kMetrics{{
    {"cpu", Unit::kRatio, "avg by (service) (rate(app_cpu_seconds_total[1m]))",
     "app_cpu_seconds_total"},
    {"latency_p95", Unit::kSeconds,
     "histogram_quantile(0.95, sum by (service, le) (rate(app_latency_seconds_bucket[1m])))",
     "app_latency_seconds_bucket"},
    {"error_ratio", Unit::kRatio,
     "sum by (service) (rate(app_errors_total[1m])) / sum by (service) (rate(app_all_total[1m]))",
     "app_errors_total"},
}};

inline std::string NameOf(int service) {
  char name[32];
  std::snprintf(name, sizeof name, "service-%05d", service);
  return name;
}

}  // namespace autoscale
