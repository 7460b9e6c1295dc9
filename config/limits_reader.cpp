#include "config/limits_reader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <string>

namespace autoscale {
namespace {

constexpr IntRange kInstructions{.min = 1000, .max = 1'000'000'000};
constexpr IntRange kWorkerMemory{.min = 128 << 20, .max = int64_t{64} << 30};
constexpr IntRange kMemory{.min = 1 << 20, .max = int64_t{1} << 30};  // LuaJIT alone needs 100 KiB
// A policy that hangs holds up the thread that decides for a little over twice as long, a worker
// that is stopped for up to five seconds: /healthz, calls and systemd's watchdog are waiting.
constexpr DurationRange kWall{.min = Millis(1), .max = std::chrono::seconds(1)};
constexpr IntRange kSmallText{.min = 1 << 10, .max = 16 << 20};

// A policy that hangs is ended after twice its limit; that long nobody is decided on.
Millis LongestWall(const ServiceSpec& service) { return service.interval * 2 / 5; }

std::string TooLong(const std::string& key, Millis wall, const ServiceSpec& shortest) {
  return "'" + key + "' of " + FormatDuration(wall) + " is too long for the interval of " +
         FormatDuration(shortest.interval) + " of service '" + shortest.name + "' at " +
         shortest.file + ":" + std::to_string(shortest.line) +
         ": a policy that hangs would cost every service its turn; write at most " +
         FormatDuration(LongestWall(shortest)) + ", or lengthen that interval";
}

}  // namespace

void ReadPolicyLimits(Section& root, PolicyLimits& limits) {
  std::optional<Section> section = root.Child("policy_limits");
  if (!section) return;
  const auto bytes = [&](std::string_view key, size_t fallback, IntRange range) {
    return static_cast<size_t>(section->Bytes(key, static_cast<int64_t>(fallback), range));
  };
  limits.instructions =
      static_cast<int>(section->Int("instructions", limits.instructions, kInstructions));
  limits.memory_bytes = bytes("memory", limits.memory_bytes, kMemory);
  limits.wall = section->Duration("wall", limits.wall, kWall);
  limits.state_bytes = bytes("state", limits.state_bytes, kSmallText);
  limits.source_bytes = bytes("source", limits.source_bytes, kSmallText);
  limits.worker_bytes = bytes("worker_memory", limits.worker_bytes, kWorkerMemory);
  if (limits.worker_bytes < 2 * limits.memory_bytes) {
    section->Fault("worker_memory",
                   "'policy_limits.worker_memory' must be at least twice "
                   "'policy_limits.memory': the process that runs policies holds "
                   "more than one evaluation");
  }
  section->Finish();
}

void ReadOwnLimits(Section& root, ServiceSpec& service) {
  std::optional<Section> section = root.Child("limits");
  if (!section) return;
  service.limits_line = section->Line("wall");
  const PolicyLimits usual;
  const auto instructions = section->Int("instructions", usual.instructions, kInstructions);
  const Millis wall = section->Duration("wall", usual.wall, kWall);
  const auto state = section->Bytes("state", static_cast<int64_t>(usual.state_bytes), kSmallText);
  OwnLimits& limits = service.limits;
  if (section->Has("instructions")) limits.instructions = static_cast<int>(instructions);
  if (section->Has("wall")) limits.wall = wall;
  if (section->Has("state")) limits.state_bytes = static_cast<size_t>(state);
  for (const char* key : {"memory", "source", "worker_memory"}) {
    if (!section->Has(key)) continue;
    (void)section->Raw(key);  // known, and not here
    section->Fault(key, "'limits." + std::string(key) +
                            "' is not for one service: all policies share a process; set "
                            "'policy_limits." +
                            key + "' in the daemon's file");
  }
  section->Finish();
}

void RefuseLongWalls(Section* daemon_root, Millis common, const std::vector<ServiceSpec>& services,
                     std::vector<Diagnostic>& diagnostics) {
  const auto shortest = std::min_element(
      services.begin(), services.end(),
      [](const ServiceSpec& a, const ServiceSpec& b) { return a.interval < b.interval; });
  if (shortest == services.end()) return;
  const Millis most = LongestWall(*shortest);
  bool common_is_used = false;
  for (const ServiceSpec& service : services) {
    if (!service.limits.wall) common_is_used = true;
    if (service.limits.wall.value_or(most) <= most) continue;
    diagnostics.push_back({Diagnostic::Severity::kError, service.file, service.limits_line,
                           TooLong("limits.wall", *service.limits.wall, *shortest)});
  }
  if (daemon_root == nullptr || !common_is_used || common <= most) return;
  std::optional<Section> limits = daemon_root->Child("policy_limits");
  (limits ? *limits : *daemon_root).Fault("wall", TooLong("policy_limits.wall", common, *shortest));
}

}  // namespace autoscale
