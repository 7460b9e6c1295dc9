// Reads the daemon's file.
#pragma once

#include "config/loader.h"
#include "config/metric_reader.h"

namespace autoscale {

struct DaemonFile {
  DaemonSpec spec;
  MetricTable metrics;                       // shared by all services that name them
  Millis interval = ServiceSpec{}.interval;  // for services that do not say
};

inline constexpr DurationRange kIntervalRange{.min = Millis(250), .max = std::chrono::hours(1)};

// What the file is read for: to act, or to lend its definitions to one service file.
enum class DaemonFileUse { kRun, kDefinitions };

DaemonFile ReadDaemonFile(Section root, const LoadOptions& options, DaemonFileUse use);

}  // namespace autoscale
