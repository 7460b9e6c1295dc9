#include "providers/kubernetes/kubernetes_provider.h"

#include <chrono>
#include <list>
#include <map>
#include <utility>

#include "providers/kubernetes/resize.h"

namespace autoscale {
namespace {

using kubernetes::Cluster;
using kubernetes::TargetPtr;

// A look that waits for a cluster to answer is answered by then, with what is known.
constexpr Millis kPatience = std::chrono::seconds(15);
// A service that nobody asked about for so long is no more: all are asked about each minute.
constexpr std::chrono::minutes kForgotten{10};

class KubernetesProvider final : public Provider {
 public:
  explicit KubernetesProvider(const ProviderContext& context)
      : loop_(context.loop), http_(context.http) {}
  ~KubernetesProvider() override {
    for (const Look& look : looks_) loop_.Cancel(look.deadline);
  }

  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override {
    std::vector<std::string> services;
    for (const TargetRef& ref : targets) {
      const auto target = std::dynamic_pointer_cast<const KubernetesTarget>(ref.target);
      if (!target) continue;
      services.push_back(ref.service);
      Follow(ref.service, target);
    }
    const auto look = looks_.insert(
        looks_.end(),
        Look{.services = std::move(services), .known = 0, .done = std::move(done), .deadline = 0});
    look->deadline = loop_.After(kPatience, [this, look] { Answer(look); });
    AnswerSoon();
    DropForgotten();
  }

  void SetCapacity(TargetRef ref, CapacityWish wish, std::function<void(Status)> done) override {
    const auto target = std::dynamic_pointer_cast<const KubernetesTarget>(ref.target);
    if (!target) return Provider::SetCapacity(std::move(ref), std::move(wish), std::move(done));
    Cluster& cluster = Follow(ref.service, target);
    if (cluster.PathOf(*target).empty()) {
      loop_.Post([done = std::move(done), name = target->Shown()] {
        done(
            Error{ErrorKind::kUnavailable, name + ": the API server has not told of its kind yet"});
      });
      return;
    }
    kubernetes::Resize(cluster, target, std::move(wish), std::move(done));
  }

  void SetTargetListener(TargetListener listener) override { listener_ = std::move(listener); }

 private:
  struct Look {
    std::vector<std::string> services;
    size_t known = 0;  // so many of those, from the first on
    std::function<void(Result<std::vector<Observation>>)> done;
    EventLoop::TimerId deadline = 0;
  };
  using LookAt = std::list<Look>::iterator;

  static std::string KeyOf(const KubernetesTarget& target) {
    return target.kubeconfig + '\n' + target.context;
  }

  Cluster& Follow(const std::string& service, const TargetPtr& target) {
    const std::string key = KeyOf(*target);
    auto& cluster = clusters_[key];
    if (!cluster) {
      cluster = std::make_unique<Cluster>(
          loop_, http_, *target,
          [this, key](const Cluster::Services& changed) { Report(key, changed); });
    }
    where_[service] = key;
    cluster->Follow(service, target);
    return *cluster;
  }

  void Report(const std::string& key, const Cluster::Services& changed) {
    AnswerThoseKnown();
    if (!listener_) return;
    const Cluster& cluster = *clusters_.at(key);
    for (const std::string& service : changed) {
      const auto where = where_.find(service);
      if (where == where_.end() || where->second != key) continue;  // it has moved to another
      if (cluster.IsKnown(service)) listener_(cluster.Observe(service));
    }
  }

  // Goes on where it stopped: there may be thousands, and something changes all the time.
  [[nodiscard]] bool IsKnown(Look& look) const {
    while (look.known < look.services.size()) {
      const std::string& service = look.services[look.known];
      if (!clusters_.at(where_.at(service))->IsKnown(service)) return false;
      ++look.known;
    }
    return true;
  }

  // Thousands of services may be asked for one by one: all of that is answered together.
  void AnswerSoon() {
    if (std::exchange(answering_soon_, true)) return;
    loop_.Post([this, alive = std::weak_ptr<int>(alive_)] {
      if (alive.expired()) return;
      answering_soon_ = false;
      AnswerThoseKnown();
    });
  }

  void AnswerThoseKnown() {
    for (auto look = looks_.begin(); look != looks_.end();) {
      const auto next = std::next(look);
      if (IsKnown(*look)) Answer(look);
      look = next;
    }
  }

  void Answer(LookAt look) {
    loop_.Cancel(look->deadline);
    std::list<Look> taken;
    taken.splice(taken.begin(), looks_, look);
    std::vector<Observation> observations;
    for (const std::string& service : taken.front().services) {
      observations.push_back(clusters_.at(where_.at(service))->Observe(service));
    }
    taken.front().done(std::move(observations));
  }

  void DropForgotten() {
    const auto now = std::chrono::steady_clock::now();
    if (now - dropped_ < kForgotten / 10) return;
    dropped_ = now;
    for (auto& [key, cluster] : clusters_) cluster->DropOlder(kForgotten);
  }

  EventLoop& loop_;
  HttpClient& http_;
  TargetListener listener_;
  std::map<std::string, std::unique_ptr<Cluster>> clusters_;  // by kubeconfig and context
  std::map<std::string, std::string> where_;                  // service -> cluster
  std::list<Look> looks_;                                     // not answered yet
  bool answering_soon_ = false;
  std::chrono::steady_clock::time_point dropped_ = std::chrono::steady_clock::now();
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace

Result<std::unique_ptr<Provider>> CreateKubernetesProvider(const ProviderContext& context) {
  return std::unique_ptr<Provider>(std::make_unique<KubernetesProvider>(context));
}

}  // namespace autoscale
