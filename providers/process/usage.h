// What a process and its descendants use.
#pragma once

#include <sys/types.h>

namespace autoscale {

struct ProcessUsage {
  double cpu_seconds = 0;   // user and system, children that ended included
  double memory_bytes = 0;  // resident; pages shared between processes count for each
};

// Sums over the process and its living descendants; zeros when there is no such process. Reads a
// few files of /proc for each of them.
ProcessUsage ReadProcessUsage(pid_t pid);

}  // namespace autoscale
