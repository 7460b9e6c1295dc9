// Ten thousand ticks of the daemon's own parts, on a clock that is held: nothing may grow.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <thread>

#include "daemon/controller/controller.h"
#include "daemon/telemetry/exposition.h"
#include "daemon/telemetry/log.h"
#include "daemon/worker/worker.h"
#include "tests/fakes/parts.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kTicks = 1'000;          // they find leaks by other means, and take their time
constexpr size_t kKeptBack = 8 << 20;  // bytes that their allocators do not give back at once
#else
constexpr int kTicks = 10'000;
constexpr size_t kKeptBack = 0;
#endif
constexpr int kServices = 6;
constexpr int kReloadEvery = 500, kLookEvery = 50, kAskEvery = 40;
constexpr size_t kMostGrowth = 64 << 10;  // bytes, from the second quarter to the last

// Follows the load, and keeps a state that grows for a while and is then dropped.
constexpr const char* kPolicy = R"(
local load = metric("load").value
state.seen = state.seen or {}
state.seen[#state.seen + 1] = string.rep("x", load * 10)
if #state.seen > 40 then state.seen = {} end
return scale_to(load, "load")
)";

// Tasks of both threads, run by the one that ticks.
class SharedCourier final : public Courier {
 public:
  void ToLoop(Task task) override { Post(std::move(task)); }
  void ToTick(Task task) override { Post(std::move(task)); }
  void Deliver() {
    for (;;) {
      std::deque<Task> now;
      {
        const std::lock_guard lock(mutex_);
        now.swap(tasks_);
      }
      if (now.empty()) return;
      for (Task& task : now) task();
    }
  }

 private:
  void Post(Task task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  std::mutex mutex_;
  std::deque<Task> tasks_;
};

// Of what was measured in a quarter of the run.
size_t Median(std::vector<size_t> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

size_t ResidentOf(int pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  size_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident << 12;
}

size_t Descriptors() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                           std::filesystem::directory_iterator()));
}

class TicksTest : public testing::Test {
 protected:
  TicksTest() {
    // In memory where there is such a folder: this is no test of the disk.
    const bool shared = std::filesystem::is_directory("/dev/shm");
    std::string pattern = (shared ? std::string("/dev/shm") : testing::TempDir()) + "/ticks-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    EXPECT_TRUE(StartLogging({.level = "info", .file = folder_ + "/log"}).ok());
    store_ = Store::Open(folder_).value();
    worker_ = PolicyWorker::Start(AUTOSCALE_WORKER, PolicyLimits{}, counters_).value();
    fleet_ = std::make_unique<Fleet>(
        FleetOptions{.courier = courier_,
                     .clock = clock_,
                     .live = {{{"fake", &provider_}}, {{"edge", &gateway_}}},
                     .recording = {},
                     .counters = counters_,
                     .epoch = store_->epoch(),
                     .note = [this](const std::string& service, NoteKind kind, std::string text) {
                       controller_->Note(service, kind, std::move(text));
                     }});
    provider_.SetListener([this](const std::string& service, const ObservedInstance& observed) {
      fleet_->OnInstance(service, observed);
    });
    ControllerOptions options{.clock = clock_,
                              .courier = courier_,
                              .evaluator = *worker_,
                              .store = *store_,
                              .metrics = metrics_,
                              .fleet = *fleet_,
                              .counters = counters_};
    options.load = [this] {
      LoadResult loaded;
      loaded.configuration.services = Specs();
      return loaded;
    };
    controller_ = std::make_unique<Controller>(std::move(options));
    EXPECT_TRUE(controller_->Start(Specs()).ok());
  }
  ~TicksTest() override {
    courier_.Deliver();
    controller_.reset();
    fleet_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  static std::string NameOf(int service) { return "service-" + std::to_string(service); }

  std::vector<ServiceSpec> Specs() {
    ++generation_;
    std::vector<ServiceSpec> specs;
    // With each generation the last service comes or goes.
    for (int i = 0; i < kServices - static_cast<int>(generation_ % 2); ++i) {
      ServiceSpec& spec = specs.emplace_back();
      spec.name = NameOf(i);
      spec.content_hash = generation_;
      spec.interval = seconds(i % 2 == 0 ? 1 : 2);
      spec.rules.bounds = {.min = 1, .max = 8};
      spec.rules.down.stabilization = seconds(3);
      spec.policy = std::make_shared<PolicySource>(PolicySource{"web.lua", kPolicy, 1});
      auto metric = std::make_shared<MetricSpec>();
      metric->name = "load";
      metric->unit = Unit::kCount;
      metric->query = "load " + spec.name;
      spec.metrics = {{metric, ""}};
      spec.declared = {{"load", Unit::kCount}};
      spec.provider = "fake";
      spec.target = std::make_shared<FakeTarget>();
      spec.gateways = {{"edge", spec.name}};
    }
    return specs;
  }

  void Settle() {
    for (int i = 0; i < 3; ++i) {
      controller_->Step();
      courier_.Deliver();
    }
  }
  // What starts is ready, what is to end has ended.
  void Obey() {
    for (auto& [service, instances] : provider_.instances) {
      for (auto& [id, observed] : instances) {
        if (observed.state != InstanceState::kStarting) continue;
        observed.state = InstanceState::kReady;
        provider_.listener(service, observed);
      }
    }
    const std::vector<std::string> asked = std::exchange(provider_.history, {});
    for (const std::string& line : asked) {
      if (!line.starts_with("terminate ")) continue;
      const std::string id = line.substr(10);
      for (auto& [service, instances] : provider_.instances) {
        const auto found = instances.find(id);
        if (found == instances.end()) continue;
        ObservedInstance gone = found->second;
        gone.state = InstanceState::kGone;
        found->second = gone;
        provider_.listener(service, gone);
      }
    }
  }
  // The load of each service wanders between 1 and 8; now and then nobody knows it, or the gateway
  // does not answer.
  void Wander(int tick) {
    for (int i = 0; i < kServices; ++i) {
      if ((tick + i * 7) % 23 != 0) continue;
      metrics_.Says("load " + NameOf(i), 1 + (tick / 23 + i) * 5 % 8);
    }
    if (tick % 97 == 0) metrics_.answers.erase("load " + NameOf(tick / 97 % kServices));
    gateway_.error.reset();
    if (tick % 311 < 30) gateway_.error = Error{ErrorKind::kUnavailable, "connection refused"};
  }
  // As people do, on a thread of their own.
  void Ask(bool reload) {
    std::atomic<bool> done{false};
    std::thread asker([&] {
      if (reload) {
        EXPECT_TRUE(controller_->Reload(false).ok());
      }
      EXPECT_TRUE(controller_->ReadServices(std::nullopt).ok());
      (void)controller_->Explain(NameOf(0));
      (void)controller_->History("", 20);
      (void)RenderMetrics(counters_, controller_->Gauges(), {});
      done = true;
    });
    while (!done) courier_.Deliver();
    asker.join();
  }

  std::string folder_;
  uint64_t generation_ = 0;
  HeldClock clock_{TimePoint(seconds(1'700'000'000))};
  SharedCourier courier_;
  FakeProvider provider_;
  FakeGateway gateway_;
  FakeMetrics metrics_;
  Counters counters_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<PolicyWorker> worker_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Controller> controller_;
};

TEST_F(TicksTest, TenThousandOfThemLeaveNothingBehind) {
  std::vector<size_t> heap, worker, descriptors;
  for (int tick = 0; tick < kTicks; ++tick) {
    Wander(tick);
    clock_.Advance(seconds(1));
    Settle();
    Obey();
    Settle();
    if (tick % kAskEvery == 0) Ask(tick % kReloadEvery == 0);
    // What the fakes remember is not the daemon's.
    gateway_.history.clear();
    gateway_.history.shrink_to_fit();
    metrics_.asked.clear();
    if (tick % kLookEvery != 0) continue;
    heap.push_back(mallinfo2().uordblks + mallinfo2().hblkhd);
    worker.push_back(ResidentOf(worker_->pid()));
    descriptors.push_back(Descriptors());
  }
  EXPECT_GE(counters_.ticks, uint64_t{kTicks});
  EXPECT_GT(counters_.decisions_out, uint64_t{kTicks / 20});
  EXPECT_GT(counters_.decisions_in, uint64_t{kTicks / 20});
  EXPECT_EQ(counters_.policy_faults, 0u);
  EXPECT_EQ(counters_.worker_restarts, 0u);
  const auto quarter = [](const std::vector<size_t>& all, size_t nth) {
    const auto size = static_cast<ptrdiff_t>(all.size() / 4);
    const auto begin = all.begin() + size * static_cast<ptrdiff_t>(nth);
    return Median({begin, begin + size});
  };
  RecordProperty("heap_second_quarter", std::to_string(quarter(heap, 1)));
  RecordProperty("heap_last_quarter", std::to_string(quarter(heap, 3)));
  EXPECT_LE(quarter(heap, 3), quarter(heap, 1) + kMostGrowth);
  EXPECT_LE(quarter(worker, 3), quarter(worker, 1) + 4 * kMostGrowth + kKeptBack);
  EXPECT_EQ(quarter(descriptors, 3), quarter(descriptors, 1));
}

}  // namespace
}  // namespace autoscale
