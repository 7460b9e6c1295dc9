// What the kernel says of our own process, for /metrics.
#pragma once

#include <optional>

namespace autoscale {

struct OwnUsage {
  double cpu_seconds = 0;
  double resident_bytes = 0;
  double open_descriptors = 0;
  double threads = 0;
  double start_unix_seconds = 0;
};

// Absent where /proc cannot be read.
std::optional<OwnUsage> ReadOwnUsage();

}  // namespace autoscale
