#include "tests/bench/fleet_rig.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <unordered_map>

#include "config/policy_files.h"
#include "daemon/controller/controller.h"
#include "daemon/telemetry/log.h"
#include "daemon/worker/worker.h"
#include "tests/bench/fleet_metrics.h"

namespace autoscale {
namespace {

constexpr const char* kPolicy = R"(
local cpu     = metric "cpu"
local latency = metric "latency_p95"
local errors  = metric "error_ratio"

if errors.value > 0.05 then return hold("errors are high: more capacity is not the cure") end
if latency.value > 0.250 then return scale_up(1, "p95 over 250 ms") end
return track(cpu, 0.60)
)";

template <typename T>
T OrDie(Result<T> result, const char* what) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "fleet_bench: %s: %s\n", what, result.error().message.c_str());
  std::exit(1);
}

struct NoTarget final : ProviderTarget {};

// The instances that a service has had since before the daemon's start.
std::vector<std::string> FirstIds(const std::string& service, int count) {
  std::vector<std::string> ids;
  for (int i = 1; i <= count; ++i) ids.push_back(service + "-1-" + std::to_string(i));
  return ids;
}

// An address that follows from the id, so that nothing need be kept of it.
std::string EndpointOf(const std::string& id) {
  const size_t hash = std::hash<std::string>{}(id);
  char address[32];
  std::snprintf(address, sizeof address, "10.%zu.%zu.%zu:8080", hash & 255, hash >> 8 & 255,
                hash >> 16 & 255);
  return address;
}

// Everything is ready at once. Remembers the services that have changed, for the figures are to be
// the daemon's.
class ReadyProvider final : public Provider {
 public:
  explicit ReadyProvider(int instances) : instances_(instances) {}
  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override {
    std::vector<Observation> all;
    for (TargetRef& target : targets) {
      Observation& one = all.emplace_back();
      const auto changed = changed_.find(target.service);
      for (const std::string& id :
           changed != changed_.end() ? changed->second : FirstIds(target.service, instances_)) {
        one.instances.push_back(Ready(id));
      }
      one.service = std::move(target.service);
    }
    done(std::move(all));
  }
  void Launch(TargetRef target, std::vector<std::string> ids,
              std::function<void(std::vector<Status>)> done) override {
    done(std::vector<Status>(ids.size(), Ok{}));
    for (const std::string& id : ids) {
      listener_(target.service, Ready(id));
      IdsOf(target.service).push_back(id);
    }
  }
  void Terminate(TargetRef target, std::vector<std::string> ids,
                 std::function<void(std::vector<Status>)> done) override {
    done(std::vector<Status>(ids.size(), Ok{}));
    for (const std::string& id : ids) {
      std::erase(IdsOf(target.service), id);
      listener_(target.service, {.id = id, .state = InstanceState::kGone});
    }
  }
  void Forget(const std::string&, const std::string&) override {}
  void ReadUsage(std::function<void(std::vector<InstanceUsage>)> done) override { done({}); }
  void SetListener(InstanceListener listener) override { listener_ = std::move(listener); }

 private:
  static ObservedInstance Ready(const std::string& id) {
    return {.id = id, .state = InstanceState::kReady, .endpoint = EndpointOf(id)};
  }
  std::vector<std::string>& IdsOf(const std::string& service) {
    return changed_.try_emplace(service, FirstIds(service, instances_)).first->second;
  }

  const int instances_;
  std::unordered_map<std::string, std::vector<std::string>> changed_;
  InstanceListener listener_;
};

// Confirms at once and tells back what it was given.
class ConfirmingGateway final : public Gateway {
 public:
  [[nodiscard]] GatewayCapabilities capabilities() const override {
    return {.counts_in_flight = true, .persists = true};
  }
  void Publish(UpstreamList list, std::function<void(Status)> done) override {
    versions_[list.upstream] = list.version;
    done(Ok{});
  }
  void Inspect(std::vector<std::string> upstreams,
               std::function<void(Result<std::vector<UpstreamStatus>>)> done) override {
    std::vector<UpstreamStatus> all;
    all.reserve(upstreams.size());
    for (std::string& upstream : upstreams) {
      const ListVersion version = versions_[upstream];
      all.push_back({.upstream = std::move(upstream), .version = version});
    }
    done(std::move(all));
  }

 private:
  std::unordered_map<std::string, ListVersion> versions_;
};

std::shared_ptr<const PolicySource> MakePolicy(FleetWith with) {
  if (with == FleetWith::kModules) {
    return OrDie(PolicyFiles(PolicyLimits{}.source_bytes).Shipped("cpu_target"), "policy");
  }
  return std::make_shared<const PolicySource>(
      PolicySource{.path = "policies/web.lua", .text = kPolicy, .hash = 1});
}

std::vector<std::shared_ptr<const MetricSpec>> MakeMetrics(FleetWith with) {
  std::vector<std::shared_ptr<const MetricSpec>> metrics;
  for (const SharedMetric& metric : kMetrics) {
    metrics.push_back(std::make_shared<const MetricSpec>(
        MetricSpec{.name = metric.name,
                   .unit = metric.unit,
                   .query = metric.query,
                   .series = metric.series,
                   .key_labels = {"service"},
                   .expect = {.kind = Expectation::Kind::kInstances},
                   .max_age = std::chrono::seconds(5)}));
  }
  if (with == FleetWith::kForecast) {
    const DerivedSpec forecast{.base = kMetrics.front().name, .history = std::chrono::hours(48)};
    metrics.push_back(std::make_shared<const MetricSpec>(
        MetricSpec{.name = "forecast", .derived = std::make_shared<const DerivedSpec>(forecast)}));
  }
  return metrics;
}

std::vector<ServiceSpec> MakeSpecs(const FleetShape& shape) {
  const auto policy = MakePolicy(shape.with);
  const auto metrics = MakeMetrics(shape.with);
  std::shared_ptr<const ShadowSpec> shadow;
  if (shape.with == FleetWith::kShadow) {
    auto other = *policy;
    other.hash = 2;
    shadow = std::make_shared<const ShadowSpec>(
        ShadowSpec{.policy = std::make_shared<const PolicySource>(std::move(other)), .params = {}});
  }
  std::vector<ServiceSpec> specs;
  specs.reserve(static_cast<size_t>(shape.services));
  for (int i = 0; i < shape.services; ++i) {
    ServiceSpec& spec = specs.emplace_back();
    spec.name = NameOf(i);
    spec.file = "services.d/" + spec.name + ".yaml";
    spec.interval = shape.interval;
    spec.rules.bounds = {.min = shape.instances, .max = 10 * shape.instances};
    spec.policy = policy;
    spec.shadow = shadow;
    for (const auto& metric : metrics) {
      if (metric->derived) {
        spec.metrics.push_back({.spec = metric, .key = {}, .base = 0});
      } else {
        spec.metrics.push_back({.spec = metric, .key = spec.name});
      }
      spec.declared.push_back({.name = metric->name, .unit = metric->unit});
    }
    spec.provider = "memory";
    spec.target = std::make_shared<const NoTarget>();
    spec.gateways = {{.gateway = "edge", .upstream = spec.name}};
  }
  return specs;
}

}  // namespace

void StoreFleet(const FleetShape& shape) {
  const auto store = OrDie(Store::Open(shape.folder), "store");
  const auto now = std::chrono::floor<Millis>(std::chrono::system_clock::now());
  StoreBatch batch{.now = now};
  for (int i = 0; i < shape.services; ++i) {
    batch.services.push_back({.name = NameOf(i), .desired = shape.instances, .generation = 1});
    for (const std::string& id : FirstIds(NameOf(i), shape.instances)) {
      batch.instances.push_back({.service = NameOf(i),
                                 .id = id,
                                 .phase = InstancePhase::kServing,
                                 .since = now - std::chrono::hours(1),
                                 .endpoint = EndpointOf(id)});
    }
  }
  OrDie(store->Commit(batch), "store");
}

struct FleetRig::Parts {
  explicit Parts(const FleetShape& shape);
  ~Parts() {
    loop.Stop();
    io.join();
  }
  void RunOnce() {
    inbox.RunFor(controller->Patience());
    controller->Step();
  }

  const uint64_t services, forecasts;
  Counters counters;
  std::unique_ptr<Store> store;
  std::unique_ptr<Clock> clock;
  std::unique_ptr<PolicyWorker> worker;
  EventLoop loop;
  HttpClient http{loop, PrometheusSpec{}.max_connections};
  Inbox inbox;
  ThreadCourier courier{loop, inbox};
  std::unique_ptr<PrometheusClient> prometheus;
  std::unique_ptr<PrometheusSource> metrics;
  ReadyProvider provider;
  ConfirmingGateway gateway;
  std::unique_ptr<Fleet> fleet;
  std::unique_ptr<Controller> controller;
  std::thread io;
};

// As the daemon's main puts them together.
FleetRig::Parts::Parts(const FleetShape& shape)
    : services(static_cast<uint64_t>(shape.services)),
      forecasts(shape.with == FleetWith::kForecast ? services : 0),
      provider(shape.instances) {
  OrDie(StartLogging({.level = "info", .file = shape.folder + "/log"}), "log");
  store = OrDie(Store::Open(shape.folder), "store");
  clock = std::make_unique<SteadyClock>(store->last_now());
  worker = OrDie(PolicyWorker::Start(DefaultWorkerPath(), PolicyLimits{}, counters), "worker");
  prometheus = std::make_unique<PrometheusClient>(
      http,
      PrometheusOptions{.urls = {"http://127.0.0.1:" + std::to_string(shape.prometheus_port)}});
  metrics = std::make_unique<PrometheusSource>(*prometheus, courier, counters);
  provider.SetListener([this](const std::string& service, const ObservedInstance& observed) {
    courier.ToTick([this, service, observed] { fleet->OnInstance(service, observed); });
  });
  const Adapters adapters{{{"memory", &provider}}, {{"edge", &gateway}}};
  fleet = std::make_unique<Fleet>(
      FleetOptions{.courier = courier,
                   .clock = *clock,
                   .live = adapters,
                   .recording = adapters,
                   .counters = counters,
                   .epoch = store->epoch(),
                   .note = [this](const std::string& service, NoteKind kind, std::string text) {
                     controller->Note(service, kind, std::move(text));
                   }});
  controller = std::make_unique<Controller>(ControllerOptions{.clock = *clock,
                                                              .courier = courier,
                                                              .evaluator = *worker,
                                                              .store = *store,
                                                              .metrics = *metrics,
                                                              .fleet = *fleet,
                                                              .counters = counters,
                                                              .changes_per_minute = 1'000'000,
                                                              .load = nullptr});
  io = std::thread([this] { loop.Run(); });
  OrDie(controller->Start(MakeSpecs(shape)), "start");
}

FleetRig::FleetRig(const FleetShape& shape) : parts_(std::make_unique<Parts>(shape)) {}
FleetRig::~FleetRig() = default;

void FleetRig::RunTicks(uint64_t count) {
  const uint64_t goal = parts_->counters.ticks + count;
  while (parts_->counters.ticks < goal) parts_->RunOnce();
}

void FleetRig::RunUntilSettled() {
  const Counters& counters = parts_->counters;
  while (counters.gateway_publishes < parts_->services ||
         counters.forecasts_fitted < parts_->forecasts) {
    parts_->RunOnce();
  }
}

const Counters& FleetRig::counters() const { return parts_->counters; }
int FleetRig::worker_pid() const { return parts_->worker->pid(); }

}  // namespace autoscale
