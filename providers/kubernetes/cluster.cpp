#include "providers/kubernetes/cluster.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <utility>

namespace autoscale::kubernetes {
namespace {

// Changes that come together are reported together.
constexpr Millis kFlushAfter{20};

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string NamespacePath(const std::string& api_version, const std::string& api_namespace) {
  const bool core = api_version.find('/') == std::string::npos;
  return (core ? "/api/" : "/apis/") + api_version + "/namespaces/" + api_namespace + "/";
}

std::string SlicesKey(const std::string& api_namespace) { return "slices " + api_namespace; }
std::string ScalersKey(const std::string& api_namespace) { return "scalers " + api_namespace; }
std::string SlicesKey(const std::string& api_namespace, const std::string& service) {
  return SlicesKey(api_namespace) + "/" + service;
}

}  // namespace

Cluster::Cluster(EventLoop& loop, HttpClient& http, const KubernetesTarget& any,
                 std::function<void(const Services&)> report)
    : loop_(loop), api_(loop, http, any.kubeconfig, any.context), report_(std::move(report)) {}

Cluster::~Cluster() {
  if (flush_) loop_.Cancel(*flush_);
}

// --- Who is followed ---

void Cluster::Follow(const std::string& service, const TargetPtr& target) {
  AskVersion();
  // Again and again while its kind is not known: it may be installed any time.
  if (CollectionOf(*target).empty()) Discover(target->ApiVersion());
  Followed& followed = followed_[service];
  followed.since = std::chrono::steady_clock::now();
  const bool same = followed.target != nullptr && *followed.target == *target;
  const bool moved = followed.target != nullptr && !same;
  followed.target = target;
  FollowWorkloads(*target);
  FollowSlices(target->api_namespace);
  FollowScalers(target->api_namespace);
  if (same) return;
  if (moved) {
    for (auto& [key, services] : interested_) services.erase(service);
  }
  for (const std::string& key :
       {target->ApiVersion(), CollectionOf(*target), PathOf(*target),
        SlicesKey(target->api_namespace), ScalersKey(target->api_namespace),
        SlicesKey(target->api_namespace, target->api_service)}) {
    interested_[key].insert(service);
  }
  AskScale(*target);  // those that are there already report nothing until they change
}

void Cluster::DropOlder(std::chrono::steady_clock::duration age) {
  const auto before = std::chrono::steady_clock::now() - age;
  for (auto it = followed_.begin(); it != followed_.end();) {
    if (it->second.since >= before) {
      ++it;
      continue;
    }
    for (auto& [key, services] : interested_) services.erase(it->first);
    dirty_.erase(it->first);
    it = followed_.erase(it);
  }
  std::erase_if(interested_, [](const auto& one) { return one.second.empty(); });
  std::erase_if(workloads_, [&](const auto& one) { return !interested_.contains(one.first); });
  std::erase_if(slices_,
                [&](const auto& one) { return !interested_.contains(SlicesKey(one.first)); });
  std::erase_if(scalers_,
                [&](const auto& one) { return !interested_.contains(ScalersKey(one.first)); });
}

void Cluster::Touch(const std::string& key) {
  const auto services = interested_.find(key);
  if (services == interested_.end() || services->second.empty()) return;
  dirty_.insert(services->second.begin(), services->second.end());
  if (!flush_) {
    flush_ = loop_.After(kFlushAfter, [this] {
      flush_.reset();
      Flush();
    });
  }
}

void Cluster::Flush() {
  const Services changed = std::exchange(dirty_, {});
  for (const std::string& service : changed) {
    const auto followed = followed_.find(service);
    if (followed == followed_.end()) continue;
    const KubernetesTarget& target = *followed->second.target;
    FollowWorkloads(target);  // its plural may be known now
    AskScale(target);
  }
  report_(changed);
}

void Cluster::Later(Millis pause, std::function<void()> task) {
  loop_.After(pause, [alive = std::weak_ptr<int>(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  });
}

// --- What the server can do ---

void Cluster::AskVersion() {
  if (version_known_ || std::exchange(asking_version_, true)) return;
  ApiCall call;
  call.path = "/version";
  api_.Send(std::move(call), [this](const Result<std::string>& answer) {
    if (!answer.ok()) return FailVersion(answer.error());
    const Json version = Json::parse(*answer, nullptr, false);
    // "22+" on some providers.
    const int minor = std::atoi(Text(At(version, "minor")).c_str());
    const int major = std::atoi(Text(At(version, "major")).c_str());
    if (major == 0) return FailVersion({ErrorKind::kUnavailable, "the answer is no version"});
    asking_version_ = false;
    version_known_ = true;
    deletion_cost_ = major > 1 || minor >= 22;
    for (const auto& [service, followed] : followed_) Touch(CollectionOf(*followed.target));
  });
}

// Until it is known, nothing is told of any target: Kubernetes would seem to choose who ends, and
// nobody would be drained before. Who may not read it goes on like that.
void Cluster::FailVersion(const Error& error) {
  const bool passes = error.kind == ErrorKind::kUnavailable || error.kind == ErrorKind::kThrottled;
  if (!passes && !std::exchange(version_refused_, true)) {
    for (const auto& [service, followed] : followed_) Touch(CollectionOf(*followed.target));
  }
  Later(version_backoff_.Next(error.retry_after), [this] {
    asking_version_ = false;
    if (!followed_.empty()) AskVersion();  // else with the next that is followed
  });
}

void Cluster::Discover(const std::string& api_version) {
  Discovered& discovered = discovered_[api_version];
  if (std::exchange(discovered.asking, true)) return;
  ApiCall call;
  call.path = (api_version.find('/') == std::string::npos ? "/api/" : "/apis/") + api_version;
  api_.Send(std::move(call), [this, api_version](const Result<std::string>& answer) {
    Discovered& found = discovered_[api_version];
    found.asking = false;
    if (!answer.ok()) {
      if (found.known) return;  // the other kinds are what they were
      found.fault = answer.error();
      return Touch(api_version);
    }
    const size_t before = found.plurals.size();
    const Json list = Json::parse(*answer, nullptr, false);
    for (const Json& resource : At(list, "resources")) {
      // Of "plural/scale" the kind is Scale; the plural alone carries its own.
      const std::string name = Text(At(resource, "name"));
      if (name.find('/') != std::string::npos) continue;
      found.plurals[Text(At(resource, "kind"))] = name;
    }
    found.fault.reset();
    if (!std::exchange(found.known, true) || found.plurals.size() > before) Touch(api_version);
  });
}

std::string Cluster::CollectionOf(const KubernetesTarget& target) const {
  std::string plural = Lower(target.kind) + "s";
  if (!HoldsReplicas(target.group, target.kind)) {
    const auto discovered = discovered_.find(target.ApiVersion());
    if (discovered == discovered_.end()) return {};
    const auto found = discovered->second.plurals.find(target.kind);
    if (found == discovered->second.plurals.end()) return {};
    plural = found->second;
  }
  return NamespacePath(target.ApiVersion(), target.api_namespace) + plural;
}

std::string Cluster::PathOf(const KubernetesTarget& target) const {
  const std::string collection = CollectionOf(target);
  return collection.empty() ? "" : collection + "/" + target.name;
}

bool Cluster::EndsExactly(const KubernetesTarget& target) const {
  if (!deletion_cost_ || target.group != "apps") return false;
  if (target.kind != "Deployment" && target.kind != "ReplicaSet") return false;
  const Workload* const workload = Find(target);
  return workload != nullptr && !workload->rolling;
}

// --- Endpoints ---

void Cluster::FollowSlices(const std::string& api_namespace) {
  Slices& slices = slices_[api_namespace];
  if (slices.collection) return;
  std::vector<std::string> paths;
  for (const char* const version : {"discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"}) {
    paths.push_back(NamespacePath(version, api_namespace) + "endpointslices");
  }
  slices.collection = std::make_unique<Collection>(
      loop_, api_, std::move(paths),
      Collection::Listener{.take = [this, api_namespace](
                                       const Json& object,
                                       bool deleted) { TakeSlice(api_namespace, object, deleted); },
                           .listed =
                               [this, api_namespace](const std::set<std::string>& names) {
                                 std::vector<std::string> gone;
                                 for (const auto& [name, slice] : slices_[api_namespace].items) {
                                   if (!names.contains(name)) gone.push_back(name);
                                 }
                                 for (const std::string& name : gone)
                                   DropSlice(api_namespace, name);
                               },
                           .changed = [this, api_namespace] { Touch(SlicesKey(api_namespace)); }});
}

void Cluster::TakeSlice(const std::string& api_namespace, const Json& object, bool deleted) {
  const std::string name = Text(At(object, "metadata", "name"));
  DropSlice(api_namespace, name);
  if (deleted) return;
  Slice slice = ReadSlice(object);
  const std::string service = slice.service;
  if (service.empty()) return;
  Slices& slices = slices_[api_namespace];
  slices.by_service[service].insert(name);
  slices.items[name] = std::move(slice);
  Touch(SlicesKey(api_namespace, service));
}

void Cluster::DropSlice(const std::string& api_namespace, const std::string& name) {
  Slices& slices = slices_[api_namespace];
  const auto item = slices.items.find(name);
  if (item == slices.items.end()) return;
  const auto by_service = slices.by_service.find(item->second.service);
  by_service->second.erase(name);
  Touch(SlicesKey(api_namespace, by_service->first));
  if (by_service->second.empty()) slices.by_service.erase(by_service);
  slices.items.erase(item);
}

// --- Other autoscalers ---

void Cluster::FollowScalers(const std::string& api_namespace) {
  Scalers& scalers = scalers_[api_namespace];
  if (scalers.collection) return;
  // v1 has what is asked of it, and is served since 1.2.
  const std::string path =
      NamespacePath("autoscaling/v1", api_namespace) + "horizontalpodautoscalers";
  scalers.collection = std::make_unique<Collection>(
      loop_, api_, std::vector<std::string>{path},
      Collection::Listener{.take =
                               [this, api_namespace](const Json& object, bool deleted) {
                                 TakeScaler(api_namespace, Text(At(object, "metadata", "name")),
                                            deleted ? "" : ReadScaleTarget(object));
                               },
                           .listed =
                               [this, api_namespace](const std::set<std::string>& names) {
                                 std::vector<std::string> gone;
                                 for (const auto& [name, scaled] :
                                      scalers_[api_namespace].targets) {
                                   if (!names.contains(name)) gone.push_back(name);
                                 }
                                 for (const std::string& name : gone)
                                   TakeScaler(api_namespace, name, "");
                               },
                           .changed = [this, api_namespace] { Touch(ScalersKey(api_namespace)); }});
}

// `scaled` empty: it has gone.
void Cluster::TakeScaler(const std::string& api_namespace, const std::string& name,
                         const std::string& scaled) {
  Scalers& scalers = scalers_[api_namespace];
  std::string& known = scalers.targets[name];
  if (known != scaled) {  // its own status changes all the time
    if (!known.empty()) scalers.by_target[known].erase(name);
    if (!scaled.empty()) scalers.by_target[scaled].insert(name);
    known = scaled;
    Touch(ScalersKey(api_namespace));
  }
  if (scaled.empty()) scalers.targets.erase(name);
}

std::string Cluster::BlockedBy(const KubernetesTarget& target) const {
  const auto scalers = scalers_.find(target.api_namespace);
  if (scalers == scalers_.end()) return {};
  const auto names = scalers->second.by_target.find(target.kind + "/" + target.name);
  if (names == scalers->second.by_target.end() || names->second.empty()) return {};
  return "the HorizontalPodAutoscaler " + target.api_namespace + "/" + *names->second.begin() +
         " scales it too: delete it, or leave the capacity to it (capacity: external)";
}

}  // namespace autoscale::kubernetes
