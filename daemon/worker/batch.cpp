#include "daemon/worker/batch.h"

#include <algorithm>
#include <utility>

namespace autoscale {
namespace {

constexpr size_t kBatchBytes = 4u << 20;  // fewer requests go together when they are large
// Sources that a worker has been sent stay with it; after so many it is replaced by a fresh one.
constexpr size_t kMaxSources = 20'000;

}  // namespace

bool WorkerBatch::full() const { return policies_.size() + modules_.size() >= kMaxSources; }

void WorkerBatch::Forget() {
  policies_.clear();
  modules_.clear();
  zones_.clear();
}

uint32_t WorkerBatch::PolicyId(const PolicySource& policy) {
  std::string key = std::to_string(policy.hash) + policy.path;
  const auto [entry, is_new] =
      policies_.try_emplace(std::move(key), static_cast<uint32_t>(policies_.size()));
  if (!is_new) return entry->second;
  std::vector<uint32_t> modules;  // sent before it
  for (const auto& module : policy.modules) modules.push_back(ModuleId(*module));
  FrameWriter out(sources_);
  out.Begin(FrameKind::kPolicy);
  out.Put(policy.hash);
  out.PutText(policy.path);
  out.PutText(policy.text);
  out.Put(static_cast<uint32_t>(modules.size()));
  for (const uint32_t module : modules) out.Put(module);
  out.Finish();
  return entry->second;
}

uint32_t WorkerBatch::ModuleId(const PolicyModule& module) {
  // One file may be required under two names, as seen from two folders.
  std::string key =
      std::to_string(std::hash<std::string>()(module.text)) + module.path + '\n' + module.name;
  const auto [entry, is_new] =
      modules_.try_emplace(std::move(key), static_cast<uint32_t>(modules_.size()));
  if (!is_new) return entry->second;
  FrameWriter out(sources_);
  out.Begin(FrameKind::kModule);
  out.PutText(module.name);
  out.PutText(module.path);
  out.PutText(module.text);
  out.Finish();
  return entry->second;
}

uint32_t WorkerBatch::ZoneId(const Zone& zone) {
  const auto [entry, is_new] =
      zones_.try_emplace(zone.name + ' ' + zone.version, static_cast<uint32_t>(zones_.size()));
  if (!is_new) return entry->second;
  FrameWriter out(sources_);
  out.Begin(FrameKind::kZone);
  PutZone(out, zone);
  out.Finish();
  return entry->second;
}

size_t WorkerBatch::Pack(std::span<const EvaluationRequest> requests,
                         std::span<const uint32_t> todo, size_t most) {
  frames_.clear();
  sources_.clear();
  walls_.clear();
  FrameWriter out(frames_);
  out.Begin(kind_);
  size_t count = 0;
  const PolicySource* last = nullptr;
  uint32_t id = 0;
  std::vector<uint32_t> zones;
  while (count < std::min({todo.size(), most, kMaxBatch}) && frames_.size() < kBatchBytes) {
    const EvaluationRequest& request = requests[todo[count++]];
    if (request.policy.get() != last) {
      last = request.policy.get();
      id = PolicyId(*last);
    }
    zones.clear();
    for (const auto& zone : request.snapshot.zones) zones.push_back(ZoneId(*zone));
    PutRequest(out, id, zones, request.snapshot);
    walls_.push_back(request.snapshot.limits.wall.value_or(wall_));
  }
  out.Finish();
  frames_.insert(0, sources_);
  return count;
}

}  // namespace autoscale
