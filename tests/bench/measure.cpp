#include "tests/bench/measure.h"

#include <fstream>
#include <string>

namespace autoscale {

double CpuMicros(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

double CpuMicrosOf(int pid) {
  clockid_t clock{};
  return clock_getcpuclockid(pid, &clock) == 0 ? CpuMicros(clock) : 0;
}

double ProportionalKib(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string word; file >> word;) {
    double kib = 0;
    if (word == "Pss:" && file >> kib) return kib;
  }
  return 0;
}

}  // namespace autoscale
