#include "providers/process/usage.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "providers/process/identity.h"

namespace autoscale {
namespace {

// A bound for the walk; far more than an instance has.
constexpr size_t kMaxProcesses = 1000;

void AddChildren(pid_t pid, std::vector<pid_t>& pids) {
  namespace fs = std::filesystem;
  std::error_code fault;
  for (fs::directory_iterator it("/proc/" + std::to_string(pid) + "/task", fault), end;
       !fault && it != end; it.increment(fault)) {
    std::ifstream children(it->path() / "children");
    for (pid_t child; children >> child && pids.size() < kMaxProcesses;) pids.push_back(child);
  }
}

}  // namespace

ProcessUsage ReadProcessUsage(pid_t pid) {
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page_bytes = static_cast<double>(sysconf(_SC_PAGESIZE));
  ProcessUsage usage;
  std::vector<pid_t> pids = {pid};
  for (size_t i = 0; i < pids.size(); ++i) {
    const auto stat = ReadProcessStat(pids[i]);
    if (!stat) continue;
    usage.cpu_seconds += static_cast<double>(stat->cpu_ticks) / ticks_per_second;
    usage.memory_bytes += static_cast<double>(stat->resident_pages) * page_bytes;
    AddChildren(pids[i], pids);
  }
  return usage;
}

}  // namespace autoscale
