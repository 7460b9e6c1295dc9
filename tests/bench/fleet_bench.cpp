// What a service costs: CPU and memory of the daemon's parts with ten thousand of them.
//
//   fleet_bench [services] [ticks] [interval_ms] [runs]
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "daemon/memory.h"
#include "tests/bench/fleet_rig.h"
#include "tests/bench/measure.h"

namespace {
std::atomic<uint64_t> allocations{0};
}

// Counts what the daemon's C++ allocates; curl and SQLite go past it.
void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* block = std::malloc(size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

namespace autoscale {
namespace {

constexpr uint64_t kWarmUpTicks =
    6;  // of 2 s; then instances count as established, and buffers have grown

struct Setting {
  int services = 10'000;
  uint64_t ticks = 15;
  Millis interval{2000};
  int runs = 3;
};

// Sums since the start; of what came between two, the difference is taken.
struct Usage {
  double tick_us = 0, io_us = 0, worker_us = 0;  // of CPU
  double evaluations = 0, allocations = 0, queries = 0, commits = 0, changes = 0;
};

struct Figures {
  Usage usage;  // a tick
  double daemon_kib = 0, worker_kib = 0;
};

Usage Read(const FleetRig& rig) {
  const Counters& counters = rig.counters();
  const double tick = CpuMicros(CLOCK_THREAD_CPUTIME_ID);
  return {.tick_us = tick,
          .io_us = CpuMicros(CLOCK_PROCESS_CPUTIME_ID) - tick,
          .worker_us = CpuMicrosOf(rig.worker_pid()),
          .evaluations = static_cast<double>(counters.evaluations),
          .allocations = static_cast<double>(allocations),
          .queries = static_cast<double>(counters.queries),
          .commits = static_cast<double>(counters.store_commits),
          .changes = static_cast<double>(counters.decisions_out + counters.decisions_in)};
}

// The difference of two, a tick.
Usage Between(const Usage& from, const Usage& to, uint64_t ticks) {
  const auto mean = [&](double Usage::*field) {
    return (to.*field - from.*field) / static_cast<double>(ticks);
  };
  return {.tick_us = mean(&Usage::tick_us),
          .io_us = mean(&Usage::io_us),
          .worker_us = mean(&Usage::worker_us),
          .evaluations = mean(&Usage::evaluations),
          .allocations = mean(&Usage::allocations),
          .queries = mean(&Usage::queries),
          .commits = mean(&Usage::commits),
          .changes = mean(&Usage::changes)};
}

Figures Measure(const FleetShape& shape, uint64_t ticks) {
  ReturnLargeBlocks();
  FleetRig rig(shape);
  rig.RunUntilSettled();
  rig.RunTicks(kWarmUpTicks);
  const Usage before = Read(rig);
  rig.RunTicks(ticks);
  const Usage after = Read(rig);
  return {.usage = Between(before, after, ticks),
          .daemon_kib = ProportionalKib(getpid()),
          .worker_kib = ProportionalKib(rig.worker_pid())};
}

std::string MakeFolder() {
  std::string pattern = std::filesystem::temp_directory_path() / "fleet-bench-XXXXXX";
  if (mkdtemp(pattern.data()) != nullptr) return pattern;
  std::perror("fleet_bench: mkdtemp");
  std::exit(1);
}

// Each run has processes of its own: nothing of an earlier one is in its memory.
Figures MeasureApart(const Setting& setting, int services, uint64_t ticks,
                     FleetWith with = FleetWith::kNothing) {
  int port_pipe[2];
  if (pipe(port_pipe) != 0) std::abort();
  FleetShape shape{
      .with = with, .services = services, .interval = setting.interval, .folder = MakeFolder()};
  waitpid(Fork([&] { StoreFleet(shape); }), nullptr, 0);
  const int prometheus = Fork([&] { ServePrometheus(shape, port_pipe[1]); });
  close(port_pipe[1]);
  std::optional<Figures> figures;
  if (read(port_pipe[0], &shape.prometheus_port, sizeof shape.prometheus_port) > 0) {
    figures = RunApart([&] { return Measure(shape, ticks); });
  }
  close(port_pipe[0]);
  if (prometheus > 1) kill(prometheus, SIGKILL);
  waitpid(prometheus, nullptr, 0);
  std::error_code ignored;
  std::filesystem::remove_all(shape.folder, ignored);
  if (figures) return *figures;
  std::fprintf(stderr, "fleet_bench: a run ended without figures\n");
  std::exit(1);
}

double CpuMicros(const Usage& usage) { return usage.tick_us + usage.io_us + usage.worker_us; }

void Print(const Setting& setting, const std::vector<Figures>& runs, const Figures& small) {
  const Figures& median = runs[runs.size() / 2];
  const double n = setting.services;
  const double total_kib = median.daemon_kib + median.worker_kib;
  const double small_kib = small.daemon_kib + small.worker_kib;
  std::printf("fleet_bench: %d services, 3 shared queries, 4 instances each; a tick is %lld ms\n\n",
              setting.services, static_cast<long long>(setting.interval.count()));
  std::printf("CPU a service and tick, median of %zu runs of %llu ticks (runs:", runs.size(),
              static_cast<unsigned long long>(setting.ticks));
  for (const Figures& run : runs) std::printf(" %.2f", CpuMicros(run.usage) / n);
  std::printf(")\n  %-34s %8.2f us\n", "all", CpuMicros(median.usage) / n);
  std::printf("  %-34s %8.2f us\n", "tick thread", median.usage.tick_us / n);
  std::printf("  %-34s %8.2f us\n", "I/O thread: HTTP, parsing", median.usage.io_us / n);
  std::printf("  %-34s %8.2f us\n", "policy worker", median.usage.worker_us / n);
  std::printf("memory, daemon and worker\n");
  std::printf("  %-34s %8.2f KiB\n", "a service, above one of 10 services",
              (total_kib - small_kib) / (n - 10));
  std::printf("  %-34s %8.2f KiB\n", "a service, of all", total_kib / n);
  std::printf("  %-34s %8.1f MiB and %.1f MiB\n", "daemon and worker", median.daemon_kib / 1024,
              median.worker_kib / 1024);
  std::printf("  %-34s %8.1f MiB and %.1f MiB\n", "with 10 services", small.daemon_kib / 1024,
              small.worker_kib / 1024);
  std::printf("a tick\n");
  std::printf("  %-34s %8.0f\n", "services evaluated", median.usage.evaluations);
  std::printf("  %-34s %8.1f\n", "queries", median.usage.queries);
  std::printf("  %-34s %8.1f\n", "capacities changed", median.usage.changes);
  std::printf("  %-34s %8.1f\n", "commits to the store", median.usage.commits);
  std::printf("  %-34s %8.2f\n\n", "allocations a service", median.usage.allocations / n);
}

// What a service costs with one of the other features, beside a run without it.
void PrintWith(const Setting& setting, const Figures& small) {
  constexpr std::pair<FleetWith, const char*> kAll[] = {{FleetWith::kNothing, "nothing else"},
                                                        {FleetWith::kModules, "modules"},
                                                        {FleetWith::kShadow, "a shadow"},
                                                        {FleetWith::kForecast, "a forecast"},
                                                        {FleetWith::kChanges, "more changes"}};
  const double n = setting.services;
  const double small_kib = small.daemon_kib + small.worker_kib;
  double plain_us = 0, plain_kib = 0;
  std::printf("%-14s %9s %9s %9s %9s %7s %9s %7s %9s\n", "with", "us", "tick", "I/O", "worker",
              "ratio", "KiB", "ratio", "changes");
  for (const auto& [with, name] : kAll) {
    const Figures run = MeasureApart(setting, setting.services, setting.ticks, with);
    const double us = CpuMicros(run.usage) / n;
    const double kib = (run.daemon_kib + run.worker_kib - small_kib) / (n - 10);
    if (with == FleetWith::kNothing) {
      plain_us = us;
      plain_kib = kib;
    }
    std::printf("%-14s %9.2f %9.2f %9.2f %9.2f %7.2f %9.2f %7.2f %9.1f\n", name, us,
                run.usage.tick_us / n, run.usage.io_us / n, run.usage.worker_us / n, us / plain_us,
                kib, kib / plain_kib, run.usage.changes);
    std::fflush(stdout);
  }
}

int Main(int argc, char** argv) {
  Setting setting;
  if (argc > 1) setting.services = std::max(11, std::atoi(argv[1]));
  if (argc > 2) setting.ticks = static_cast<uint64_t>(std::max(1, std::atoi(argv[2])));
  if (argc > 3) setting.interval = Millis(std::max(250, std::atoi(argv[3])));
  if (argc > 4) setting.runs = std::max(1, std::atoi(argv[4]));
  std::vector<Figures> runs;
  for (int i = 0; i < setting.runs; ++i) {
    runs.push_back(MeasureApart(setting, setting.services, setting.ticks));
  }
  std::sort(runs.begin(), runs.end(), [](const Figures& a, const Figures& b) {
    return CpuMicros(a.usage) < CpuMicros(b.usage);
  });
  const Figures small = MeasureApart(setting, 10, 3);
  Print(setting, runs, small);
  PrintWith(setting, small);
  return 0;
}

}  // namespace
}  // namespace autoscale

int main(int argc, char** argv) { return autoscale::Main(argc, argv); }
