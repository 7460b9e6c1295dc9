// What the state database writes in a day: the daemon's own controller, fleet and store over fakes
// and a clock that is turned by hand.
//
//   store_bench [services] [hours] [day|flapping|FILE.csv]
//
// day: a daily curve of 1:5 with 5 % of noise, each service at another hour. flapping: every metric
// comes and goes from tick to tick, and the decision's reason with it. FILE.csv: requests a minute
// in the last column, each service an hour later.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "daemon/controller/controller.h"
#include "daemon/fleet/recording.h"
#include "daemon/telemetry/log.h"
#include "tests/fakes/parts.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

constexpr seconds kInterval{15};
constexpr double kPerInstance = 100;  // requests per second that make an instance fully used
constexpr double kLeast = 150, kMost = 750;
constexpr const char* kPolicy = R"(
local latency = metric "latency"
if latency.value > 0.25 then return scale_up(1, "p95 over 250 ms") end
return track(metric "cpu", 0.60)
)";

class HostEvaluator final : public Evaluator {
 public:
  std::vector<Evaluation> Evaluate(std::span<const EvaluationRequest> requests, Deadline) override {
    std::vector<Evaluation> answers;
    for (const EvaluationRequest& request : requests) {
      answers.push_back(host_.Evaluate(*request.policy, request.snapshot));
    }
    return answers;
  }

 private:
  PolicyHost host_{PolicyLimits{}};
};

// Confirms at once, each upstream with its own version.
class ConfirmingGateway final : public Gateway {
 public:
  [[nodiscard]] GatewayCapabilities capabilities() const override {
    return {.counts_in_flight = true};
  }
  void Publish(UpstreamList list, std::function<void(Status)> done) override {
    versions_[list.upstream] = list.version;
    done(Ok{});
  }
  void Inspect(std::vector<std::string> upstreams,
               std::function<void(Result<std::vector<UpstreamStatus>>)> done) override {
    std::vector<UpstreamStatus> all;
    for (const std::string& upstream : upstreams)
      all.push_back({upstream, versions_[upstream], {}});
    done(std::move(all));
  }

 private:
  std::map<std::string, ListVersion> versions_;
};

// The requests per second of a service at a time.
class Demand {
 public:
  explicit Demand(const std::string& shape) {
    if (shape == "day" || shape == "flapping") return;
    std::ifstream file(shape);
    for (std::string line; std::getline(file, line);) {
      char* end = nullptr;
      const char* last = line.c_str() + line.rfind(',') + 1;
      const double value = std::strtod(last, &end);
      if (end != last) trace_.push_back(value);
    }
    if (trace_.empty()) {
      std::fprintf(stderr, "store_bench: no numbers in %s\n", shape.c_str());
      std::exit(1);
    }
    most_ = *std::max_element(trace_.begin(), trace_.end());
  }
  double At(int service, double hours) {
    const double noise = std::normal_distribution<>(1, 0.05)(random_);
    if (trace_.empty()) {
      const double phase = 2 * std::numbers::pi * (hours + service) / 24;
      return (kLeast + (kMost - kLeast) * (1 - std::cos(phase)) / 2) * noise;
    }
    const auto minute = static_cast<size_t>((hours + service) * 60) % trace_.size();
    return trace_[minute] / most_ * kMost * noise;
  }

 private:
  std::vector<double> trace_;
  double most_ = 0;
  std::mt19937 random_{1};
};

std::string NameOf(int service) { return "service-" + std::to_string(100 + service); }

ServiceSpec SpecOf(int service) {
  ServiceSpec spec;
  spec.name = NameOf(service);
  spec.interval = kInterval;
  spec.rules.bounds = {.min = 2, .max = 20};
  spec.policy = std::make_shared<PolicySource>(PolicySource{"bench.lua", kPolicy, 1});
  for (const auto& [name, unit] : {std::pair{"cpu", Unit::kRatio}, {"latency", Unit::kSeconds}}) {
    auto metric = std::make_shared<MetricSpec>();
    metric->name = name;
    metric->unit = unit;
    metric->query = std::string(name) + "-" + spec.name;
    spec.metrics.push_back({metric, ""});
    spec.declared.push_back({name, unit});
  }
  spec.provider = "fake";
  spec.target = std::make_shared<FakeTarget>();
  spec.gateways = {{"edge", spec.name}};
  return spec;
}

// One of /proc/self/io.
int64_t Io(const std::string& name) {
  std::ifstream file("/proc/self/io");
  std::string key;
  for (int64_t value = 0; file >> key >> value;) {
    if (key == name + ":") return value;
  }
  return 0;
}

class Bench {
 public:
  Bench(int services, const std::string& folder, std::string shape)
      : services_(services), shape_(std::move(shape)), demand_(shape_) {
    auto store = Store::Open(folder);
    if (!store.ok()) {
      std::fprintf(stderr, "store_bench: %s\n", store.error().message.c_str());
      std::exit(1);
    }
    store_ = std::move(store).value();
    fleet_ = std::make_unique<Fleet>(
        FleetOptions{.courier = courier_,
                     .clock = clock_,
                     .live = {{{"fake", &provider_}}, {{"edge", &gateway_}}},
                     .recording = {{{"fake", &recording_}}, {{"edge", &recording_gateway_}}},
                     .counters = counters_,
                     .epoch = store_->epoch(),
                     .note = [this](const std::string& service, NoteKind kind, std::string text) {
                       controller_->Note(service, kind, std::move(text));
                     }});
    provider_.SetListener([this](const std::string& service, const ObservedInstance& observed) {
      fleet_->OnInstance(service, observed);
    });
    controller_ = std::make_unique<Controller>(ControllerOptions{.clock = clock_,
                                                                 .courier = courier_,
                                                                 .evaluator = evaluator_,
                                                                 .store = *store_,
                                                                 .metrics = metrics_,
                                                                 .fleet = *fleet_,
                                                                 .counters = counters_,
                                                                 .load = {}});
    std::vector<ServiceSpec> specs;
    for (int i = 0; i < services; ++i) specs.push_back(SpecOf(i));
    if (!controller_->Start(specs).ok()) std::abort();
    Pass(seconds(0));
  }

  // A tick of everybody, with what happens until the next: instances become ready and end.
  void Tick(int tick) {
    const double hours = static_cast<double>(tick) * kInterval.count() / 3600;
    for (int i = 0; i < services_; ++i) Measure(i, tick, hours);
    Pass(seconds(1));
    Answer(InstanceState::kStarting, InstanceState::kReady);
    for (int i = 0; i < 7; ++i) Pass(seconds(2));
  }
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  void Measure(int service, int tick, double hours) {
    const std::string name = NameOf(service);
    const Member* member = fleet_->Find(name);
    const int ready = std::max(1, CapacityOf(*member).ready);
    const double cpu = demand_.At(service, hours) / ready / kPerInstance;
    metrics_.Says("cpu-" + name, cpu);
    metrics_.Says("latency-" + name, 0.080 + 0.01 * cpu);
    if (shape_ == "flapping" && (tick + service) % 2 == 0) metrics_.SaysNothing("cpu-" + name);
    if (shape_ == "flapping" && tick % 3 == 0) metrics_.SaysNothing("latency-" + name);
  }
  void Pass(Millis time) {
    clock_.Advance(time);
    for (int i = 0; i < 3; ++i) {
      controller_->Step();
      courier_.Deliver();
    }
    metrics_.asked.clear();
    Answer(InstanceState::kReady, InstanceState::kGone);
  }
  // Instances that wait for it change their state: started ones become ready, stopped ones end.
  void Answer(InstanceState from, InstanceState to) {
    for (auto& [service, instances] : provider_.instances) {
      const Member* member = fleet_->Find(service);
      std::vector<std::string> ids;
      for (const Instance& instance : member->instances) {
        const auto found = instances.find(instance.id);
        if (found == instances.end() || found->second.state != from) continue;
        if (to == InstanceState::kGone && instance.phase != InstancePhase::kStopping) continue;
        ids.push_back(instance.id);
      }
      for (const std::string& id : ids) provider_.Becomes(service, id, to);
    }
    courier_.Deliver();
  }

  const int services_;
  const std::string shape_;
  Demand demand_;
  HeldClock clock_{TimePoint(seconds(1'700'000'000))};
  HandCourier courier_;
  FakeProvider provider_;
  ConfirmingGateway gateway_;
  RecordingProvider recording_{provider_};
  RecordingGateway recording_gateway_;
  FakeMetrics metrics_;
  HostEvaluator evaluator_;
  Counters counters_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Controller> controller_;
};

// How long the tick thread is held up once an hour.
void MeasureBackup(const std::string& folder) {
  constexpr int kServices = 10'000;
  constexpr int kInstances = 4;  // a service
  auto store = Store::Open(folder);
  if (!store.ok()) std::abort();
  StoreBatch batch;
  for (int i = 0; i < kServices; ++i) {
    ServiceRow& row = batch.services.emplace_back();
    row.name = NameOf(i);
    row.policy_state = std::string(100, 'x');
    for (int run = 0; run < 4; ++run) row.history.AddProposal(TimePoint(seconds(run)), run);
    for (int k = 0; k < kInstances; ++k) {
      batch.instances.push_back({.service = row.name,
                                 .id = row.name + "-1-" + std::to_string(k),
                                 .phase = InstancePhase::kServing,
                                 .endpoint = "127.0.0.1:20001"});
    }
  }
  if (!(*store)->Commit(batch).ok() || !(*store)->Maintain(TimePoint(seconds(1))).ok())
    std::abort();
  std::printf("the hourly back-up of %d services with %d instances each:", kServices, kInstances);
  for (int hour = 2; hour < 7; ++hour) {
    const auto began = std::chrono::steady_clock::now();
    if (!(*store)->Maintain(TimePoint(std::chrono::hours(hour))).ok()) std::abort();
    std::printf(" %.0f ms",
                std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
                    .count());
  }
  std::printf("\n");
}

int Main(int argc, char** argv) {
  const int services = argc > 1 ? std::atoi(argv[1]) : 100;
  const int hours = argc > 2 ? std::atoi(argv[2]) : 24;
  const std::string shape = argc > 3 ? argv[3] : "day";
  if (!StartLogging({.level = "error"}).ok()) return 1;
  std::string folder = "store-bench-XXXXXX";  // here: /tmp may be memory
  if (mkdtemp(folder.data()) == nullptr) return 1;
  {
    Bench bench(services, folder, shape);
    const int64_t written = Io("wchar"), reached = Io("write_bytes");
    const int ticks = hours * 3600 / static_cast<int>(kInterval.count());
    for (int tick = 0; tick < ticks; ++tick) bench.Tick(tick);
    const double days = hours / 24.0, mb = 1e6 * days;
    const Counters& counters = bench.counters();
    std::printf(
        "%s, %d services, a tick of %d s, %d h: a day %.1f MB written (%.1f MB at the disk), %.0f "
        "commits, %.0f changes of capacity\n",
        shape.c_str(), services, static_cast<int>(kInterval.count()), hours,
        static_cast<double>(Io("wchar") - written) / mb,
        static_cast<double>(Io("write_bytes") - reached) / mb,
        static_cast<double>(counters.store_commits) / days,
        static_cast<double>(counters.decisions_out + counters.decisions_in) / days);
  }
  for (const char* file : {"autoscaled.db", "autoscaled.db.backup"}) {
    std::printf("%s: %.1f MB\n", file,
                static_cast<double>(std::filesystem::file_size(folder + "/" + file)) / 1e6);
  }
  MeasureBackup(folder);
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace autoscale

int main(int argc, char** argv) { return autoscale::Main(argc, argv); }
