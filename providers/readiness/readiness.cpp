#include "providers/readiness/readiness.h"

#include <charconv>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "providers/local/health.h"

namespace autoscale {
namespace {

using Steady = std::chrono::steady_clock;

// A service that nobody asked about for so long is no more: all are asked about each minute.
constexpr std::chrono::minutes kForgotten{10};

struct ProbedTarget final : ProviderTarget {
  std::shared_ptr<const ProviderTarget> inner;
  HealthOptions readiness;

  [[nodiscard]] std::string identity() const override { return inner->identity(); }
  [[nodiscard]] std::string place() const override { return inner->place(); }
  [[nodiscard]] PortRange ports() const override { return inner->ports(); }
  [[nodiscard]] bool has_capacity() const override { return inner->has_capacity(); }
};

// "10.0.0.1:80" -> its host and port; 0: it is none.
std::pair<std::string, int> Split(const std::string& endpoint) {
  const size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos) return {endpoint, 0};
  int port = 0;
  const char* const end = endpoint.data() + endpoint.size();
  const auto [stop, fault] = std::from_chars(endpoint.data() + colon + 1, end, port);
  return {endpoint.substr(0, colon), fault == std::errc() && stop == end ? port : 0};
}

// One instance that its target has called ready.
struct Probe {
  ObservedInstance told;  // by the target, last
  std::string endpoint;   // that is asked
  std::unique_ptr<HealthWatch> watch;
};

ObservedInstance Judged(const Probe& probe) {
  ObservedInstance judged = probe.told;
  if (judged.state != InstanceState::kReady) return judged;  // by its target's word
  switch (probe.watch->verdict()) {
    case HealthWatch::Verdict::kHealthy:
      return judged;
    case HealthWatch::Verdict::kUnknown:
      judged.state = InstanceState::kStarting;
      break;
    case HealthWatch::Verdict::kUnhealthy:
      judged.state = InstanceState::kUnready;
      break;
  }
  if (!probe.watch->trouble().empty()) judged.detail = "readiness: " + probe.watch->trouble();
  return judged;
}

struct ProbedService {
  HealthOptions options;
  Steady::time_point asked;
  bool seen = false;
  std::map<std::string, Probe> probes;  // by id
};

class ReadinessProvider final : public Provider {
 public:
  ReadinessProvider(const ProviderContext& context, std::unique_ptr<Provider> inner)
      : loop_(context.loop), http_(context.http), inner_(std::move(inner)) {}

  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override {
    for (TargetRef& ref : targets) Follow(ref);
    std::erase_if(services_, [now = Steady::now()](const auto& entry) {
      return now - entry.second.asked >= kForgotten;
    });
    inner_->Observe(std::move(targets),
                    [this, done = std::move(done)](Result<std::vector<Observation>> answer) {
                      if (answer.ok()) {
                        for (Observation& observation : answer.value()) Judge(observation);
                      }
                      done(std::move(answer));
                    });
  }

  void SetCapacity(TargetRef target, CapacityWish wish, std::function<void(Status)> done) override {
    inner_->SetCapacity(Bare(std::move(target)), std::move(wish), std::move(done));
  }
  void Launch(TargetRef target, std::vector<std::string> ids,
              std::function<void(std::vector<Status>)> done) override {
    inner_->Launch(Bare(std::move(target)), std::move(ids), std::move(done));
  }
  void Terminate(TargetRef target, std::vector<std::string> ids,
                 std::function<void(std::vector<Status>)> done) override {
    inner_->Terminate(Bare(std::move(target)), std::move(ids), std::move(done));
  }
  void Forget(const std::string& service, const std::string& id) override {
    inner_->Forget(service, id);
  }
  void ReadUsage(std::function<void(std::vector<InstanceUsage>)> done) override {
    inner_->ReadUsage(std::move(done));
  }
  void SetListener(InstanceListener listener) override {
    listener_ = listener;
    inner_->SetListener(std::move(listener));
  }
  void SetTargetListener(TargetListener listener) override {
    inner_->SetTargetListener([this, listener = std::move(listener)](Observation observation) {
      Judge(observation);
      listener(std::move(observation));
    });
  }

 private:
  static TargetRef Bare(TargetRef ref) {
    if (const auto probed = std::dynamic_pointer_cast<const ProbedTarget>(ref.target)) {
      ref.target = probed->inner;
    }
    return ref;
  }

  void Follow(TargetRef& ref) {
    const auto probed = std::dynamic_pointer_cast<const ProbedTarget>(ref.target);
    if (!probed) {
      services_.erase(ref.service);
      return;
    }
    ProbedService& service = services_[ref.service];
    service.options = probed->readiness;
    service.asked = Steady::now();
    for (auto& [id, probe] : service.probes) probe.watch->Follow(service.options);
    ref.target = probed->inner;
  }

  void Judge(Observation& observation) {
    const auto found = services_.find(observation.service);
    if (found == services_.end() || observation.fault) return;
    ProbedService& service = found->second;
    std::set<std::string> present;
    for (ObservedInstance& instance : observation.instances) {
      present.insert(instance.id);
      if (instance.state == InstanceState::kReady) {
        JudgeOne(observation.service, service, instance);
      } else if (const auto known = service.probes.find(instance.id);
                 known != service.probes.end()) {
        known->second.told = instance;  // what was found out counts when it is ready again
      }
    }
    std::erase_if(service.probes,
                  [&present](const auto& entry) { return !present.contains(entry.first); });
    service.seen = true;
  }

  void JudgeOne(const std::string& name, ProbedService& service, ObservedInstance& instance) {
    const auto [host, port] = Split(instance.endpoint);
    if (port == 0) {
      instance.state = InstanceState::kStarting;
      instance.detail = "readiness: it has no address that could be asked";
      return;
    }
    Probe& probe = service.probes[instance.id];
    const bool moved = probe.watch && probe.endpoint != instance.endpoint;
    probe.told = instance;
    if (!probe.watch || moved) {
      // Those that are there when we come may have served before: they do until they fail. One that
      // has served and is elsewhere now has to pass there first.
      using Verdict = HealthWatch::Verdict;
      auto verdict = service.seen ? Verdict::kUnknown : Verdict::kHealthy;
      if (moved && probe.watch->verdict() != Verdict::kUnknown) verdict = Verdict::kUnhealthy;
      probe.endpoint = instance.endpoint;
      probe.watch = std::make_unique<HealthWatch>(
          loop_, http_, host, port, verdict, [this, name, id = instance.id] { Report(name, id); });
      probe.watch->Follow(service.options);
    }
    instance = Judged(probe);
  }

  void Report(const std::string& name, const std::string& id) {
    if (listener_) listener_(name, Judged(services_.at(name).probes.at(id)));
  }

  EventLoop& loop_;
  HttpClient& http_;
  std::map<std::string, ProbedService> services_;
  InstanceListener listener_;
  std::unique_ptr<Provider> inner_;  // last: its calls back end before the rest is gone
};

}  // namespace

TargetParser WithReadiness(TargetParser parse) {
  return
      [parse = std::move(parse)](
          Section& section, const std::string& service) -> std::shared_ptr<const ProviderTarget> {
        auto target = parse(section, service);
        if (!section.Has("readiness")) return target;
        const HealthOptions readiness = ParseHealth(section, "readiness");
        if (!target) return target;
        auto probed = std::make_shared<ProbedTarget>();
        probed->inner = std::move(target);
        probed->readiness = readiness;
        return probed;
      };
}

CreateProvider WithReadiness(CreateProvider create) {
  return [create = std::move(create)](
             const ProviderContext& context) -> Result<std::unique_ptr<Provider>> {
    auto made = create(context);
    if (!made.ok()) return made;
    return WithReadiness(context, std::move(made).value());
  };
}

std::unique_ptr<Provider> WithReadiness(const ProviderContext& context,
                                        std::unique_ptr<Provider> provider) {
  return std::make_unique<ReadinessProvider>(context, std::move(provider));
}

}  // namespace autoscale
