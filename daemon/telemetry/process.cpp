#include "daemon/telemetry/process.h"

#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace autoscale {
namespace {

double SecondsOf(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double CountDescriptors() {
  std::error_code failed;
  std::filesystem::directory_iterator entries("/proc/self/fd", failed);
  double count = 0;
  for (; !failed && entries != std::filesystem::directory_iterator(); entries.increment(failed)) {
    ++count;
  }
  return count;
}

}  // namespace

std::optional<OwnUsage> ReadOwnUsage() {
  std::string line;
  if (!std::getline(std::ifstream("/proc/self/stat"), line)) return std::nullopt;
  // The second field, the program's name in parentheses, may hold spaces: read on after it.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(line.substr(name_end + 1));
  std::string skipped;
  double threads = 0, start_ticks = 0, virtual_bytes = 0, resident_pages = 0;
  for (int field = 3; field < 20; ++field) rest >> skipped;
  rest >> threads >> skipped >> start_ticks >> virtual_bytes >> resident_pages;  // fields 20 to 24
  if (!rest) return std::nullopt;

  const double since_boot = start_ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
  const double boot = SecondsOf(CLOCK_REALTIME) - SecondsOf(CLOCK_BOOTTIME);
  return OwnUsage{
      .cpu_seconds = SecondsOf(CLOCK_PROCESS_CPUTIME_ID),
      .resident_bytes = resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE)),
      .open_descriptors = CountDescriptors(),
      .threads = threads,
      .start_unix_seconds = boot + since_boot,
  };
}

}  // namespace autoscale
