// Workloads and their scales.
#include <algorithm>
#include <utility>

#include "providers/kubernetes/cluster.h"

namespace autoscale::kubernetes {
namespace {

// After a scale was set: answers that were on their way are here by then.
constexpr std::chrono::seconds kStaleAnswers{60};
// Between a scale that could not be read and the next attempt.
constexpr Millis kAskAgain = std::chrono::seconds(5);

}  // namespace

void Cluster::FollowWorkloads(const KubernetesTarget& target) {
  const std::string path = CollectionOf(target);
  if (path.empty()) return;
  Workloads& workloads = workloads_[path];
  if (workloads.collection) return;
  // What was registered before the path was known.
  for (const auto& [service, followed] : followed_) {
    if (CollectionOf(*followed.target) != path) continue;
    interested_[path].insert(service);
    interested_[PathOf(*followed.target)].insert(service);
  }
  workloads.collection = std::make_unique<Collection>(
      loop_, api_, std::vector<std::string>{path},
      Collection::Listener{
          .take = [this, path, group = target.group, kind = target.kind](
                      const Json& object,
                      bool deleted) { TakeWorkload(path, group, kind, object, deleted); },
          .listed =
              [this, path](const std::set<std::string>& names) {
                std::erase_if(workloads_[path].items, [&](const auto& item) {
                  if (names.contains(item.first)) return false;
                  Touch(path + "/" + item.first);
                  return true;
                });
              },
          .changed = [this, path] { Touch(path); }});
}

void Cluster::TakeWorkload(const std::string& path, const std::string& group,
                           const std::string& kind, const Json& object, bool deleted) {
  const std::string name = Text(At(object, "metadata", "name"));
  const std::string key = path + "/" + name;
  Workloads& workloads = workloads_[path];
  if (deleted) {
    workloads.items.erase(name);
    floors_.erase(key);
    scales_.erase(key);
    return Touch(key);
  }
  Workload workload = ReadWorkload(object, group, kind);
  if (const auto floor = floors_.find(key); floor != floors_.end()) {
    const auto age = std::chrono::steady_clock::now() - floor->second.since;
    if (age > kStaleAnswers) {
      floors_.erase(floor);
    } else if (IsOlder(workload.version, floor->second.version)) {
      return;
    }
  }
  Workload& known = workloads.items[name];
  if (!workload.replicas) workload.replicas = known.replicas;  // until its scale is read again
  known = std::move(workload);
  Touch(key);
}

void Cluster::TakeScale(const KubernetesTarget& target, int replicas, const std::string& version) {
  const std::string path = PathOf(target);
  const auto workloads = workloads_.find(CollectionOf(target));
  if (path.empty() || workloads == workloads_.end()) return;
  const Collection* const collection = workloads->second.collection.get();
  // It was deleted while the answer was on its way.
  if (collection != nullptr && collection->listed() && Find(target) == nullptr) return;
  Workload& workload = workloads->second.items[target.name];
  if (IsOlder(version, workload.version)) return;
  workload.replicas = replicas;
  workload.version = version;
  floors_[path] = {.version = version, .since = std::chrono::steady_clock::now()};
  if (!HoldsReplicas(target.group, target.kind)) {
    scales_[path].version = version;
    scales_[path].fault.reset();
  }
  Touch(path);
}

// Of an object that changed and does not hold its replicas where we know.
void Cluster::AskScale(const KubernetesTarget& target) {
  if (HoldsReplicas(target.group, target.kind)) return;
  const Workload* const workload = Find(target);
  if (workload == nullptr) return;
  const std::string path = PathOf(target);
  Scale& scale = scales_[path];
  if (scale.asking || (scale.version == workload->version && !scale.fault)) return;
  scale.asking = true;
  ApiCall call;
  call.path = path + "/scale";
  api_.Send(std::move(call), [this, path, version = workload->version,
                              copy = target](const Result<std::string>& answer) {
    const auto asked = scales_.find(path);
    if (asked == scales_.end()) return;  // it was deleted meanwhile
    if (!answer.ok()) return FailScale(path, answer.error());
    const Json json = Json::parse(*answer, nullptr, false);
    const std::string read = Text(At(json, "metadata", "resourceVersion"));
    if (read.empty()) return FailScale(path, {ErrorKind::kUnavailable, "the answer is no scale"});
    asked->second.asking = false;
    asked->second.version = version;
    asked->second.fault.reset();
    TakeScale(copy, Number(At(json, "spec", "replicas"), 0), read);
    Touch(path);
  });
}

// It is asked for again, though the object may never change.
void Cluster::FailScale(const std::string& path, const Error& error) {
  scales_[path].fault = error;
  Touch(path);
  Later(std::max(error.retry_after, kAskAgain), [this, path] {
    const auto scale = scales_.find(path);
    if (scale == scales_.end()) return;
    scale->second.asking = false;
    Touch(path);
  });
}

const Workload* Cluster::Find(const KubernetesTarget& target) const {
  const auto workloads = workloads_.find(CollectionOf(target));
  if (workloads == workloads_.end()) return nullptr;
  const auto item = workloads->second.items.find(target.name);
  return item == workloads->second.items.end() ? nullptr : &item->second;
}

}  // namespace autoscale::kubernetes
