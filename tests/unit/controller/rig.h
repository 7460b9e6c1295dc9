// ControllerTest: a daemon's controller, store and fleet over fakes, with time and threads in the
// test's hand.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "daemon/controller/controller.h"
#include "daemon/fleet/recording.h"
#include "tests/fakes/group.h"
#include "tests/fakes/parts.h"

namespace autoscale {

// Runs policies in this process.
class HostEvaluator final : public Evaluator {
 public:
  int lost = -1;  // of the next calls the one that is not answered, as when its process dies

  std::vector<Evaluation> Evaluate(std::span<const EvaluationRequest> requests, Deadline) override {
    const bool is_lost = lost >= 0 && lost-- == 0;
    std::vector<Evaluation> answers;
    for (const EvaluationRequest& request : requests) {
      answers.push_back(is_lost ? Lost(request.snapshot)
                                : host_.Evaluate(*request.policy, request.snapshot));
      if (twist) twist(request, answers.back());
    }
    return answers;
  }
  // Called with each answer, when set.
  std::function<void(const EvaluationRequest&, Evaluation&)> twist;

 private:
  static Evaluation Lost(const Snapshot& snapshot) {
    return {.proposal = {.kind = ProposalKind::kHold,
                         .cause = HoldCause::kFault,
                         .capacity = snapshot.capacity.desired,
                         .reason = "not evaluated"},
            .outside = true};
  }

  PolicyHost host_{PolicyLimits{}};
};

class ControllerTest : public testing::Test {
 protected:
  ControllerTest() {
    std::string pattern = testing::TempDir() + "/controller-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    Boot();
  }
  ~ControllerTest() override {
    Crash();
    std::filesystem::remove_all(folder_);
  }

  // A daemon's parts over what is stored; Crash and Boot again are kill -9 and a restart.
  void Boot() {
    auto store = Store::Open(folder_);
    ASSERT_TRUE(store.ok()) << store.error().message;
    store_ = std::move(store).value();
    fleet_ = std::make_unique<Fleet>(
        FleetOptions{.courier = courier_,
                     .clock = clock_,
                     .live = {{{"fake", &provider_}, {"group", &group_}}, {{"edge", &gateway_}}},
                     .recording = {{{"fake", &recording_}, {"group", &recording_group_}},
                                   {{"edge", &recording_gateway_}}},
                     .counters = counters_,
                     .epoch = store_->epoch(),
                     .note = [this](const std::string& service, std::string text) {
                       controller_->Note(service, std::move(text));
                     }});
    provider_.SetListener([this](const std::string& service, const ObservedInstance& observed) {
      fleet_->OnInstance(service, observed);
    });
    controller_ =
        std::make_unique<Controller>(ControllerOptions{.clock = clock_,
                                                       .courier = courier_,
                                                       .evaluator = evaluator_,
                                                       .store = *store_,
                                                       .metrics = metrics_,
                                                       .models = &model_,
                                                       .fleet = *fleet_,
                                                       .counters = counters_,
                                                       .dry_run = dry_run_,
                                                       .changes_per_minute = changes_per_minute_,
                                                       .cost_per_hour = cost_per_hour_,
                                                       .load = [this] { return loaded_; }});
  }
  void Crash() {
    courier_.Deliver();
    controller_.reset();
    fleet_.reset();
    store_.reset();
  }

  ServiceSpec Web(const std::string& policy = "return scale_to(metric('load').value, 'load')") {
    ServiceSpec spec;
    spec.name = "web";
    spec.interval = std::chrono::seconds(1);
    spec.rules.bounds = {.min = 1, .max = 10};
    spec.rules.down.stabilization = Millis(0);
    spec.policy = std::make_shared<PolicySource>(
        PolicySource{"web.lua", policy, std::hash<std::string>{}(policy)});
    auto metric = std::make_shared<MetricSpec>();
    metric->name = "load";
    metric->unit = Unit::kCount;
    metric->query = "load";
    spec.metrics = {{metric, ""}};
    spec.declared = {{"load", Unit::kCount}};
    spec.provider = "fake";
    spec.target = std::make_shared<FakeTarget>();
    spec.gateways = {{"edge", "web"}};
    return spec;
  }
  void Start(const std::vector<ServiceSpec>& specs) {
    ASSERT_TRUE(controller_->Start(specs).ok());
    courier_.Deliver();
  }

  // The service Web(), at the capacity that the load says, all of it ready.
  void ServeWeb(double load) {
    metrics_.Says("load", load);
    Start({Web()});
    for (int i = 0; i < 2; ++i) {
      Tick();
      MakeReady();
    }
  }

  // Passes at this instant until nothing more comes of it.
  void Settle() {
    for (int i = 0; i < 8; ++i) {
      controller_->Step();
      courier_.Deliver();
    }
  }
  // The next tick, and all that follows from it at once.
  void Tick() {
    clock_.Advance(std::chrono::seconds(1));
    Settle();
  }
  // Whatever was started is ready.
  void MakeReady() {
    for (auto& [id, observed] : provider_.instances["web"]) {
      if (observed.state == InstanceState::kStarting) {
        provider_.Becomes("web", id, InstanceState::kReady);
      }
    }
    Settle();
  }

  // Asks as the API does, from another thread, while this one is the tick thread.
  template <typename F>
  auto Ask(F question) {
    decltype(question(*controller_)) answer = Error{};
    std::atomic<bool> done{false};
    std::thread asker([&] {
      answer = question(*controller_);
      done = true;
    });
    while (!done) {
      const std::lock_guard lock(courier_.mutex);
      courier_.Deliver();
    }
    asker.join();
    return answer;
  }

  Capacity Now() { return CapacityOf(*fleet_->Find("web")); }
  size_t Stored(const std::string& service = "web") {
    return store_->ReadDecisions(service, 1000)->size();
  }

  // The courier of the tests, safe to post to from the asking thread.
  class LockedCourier final : public Courier {
   public:
    void ToLoop(Task task) override { inner.ToLoop(std::move(task)); }
    void ToTick(Task task) override {
      if (std::this_thread::get_id() == owner) return inner.ToTick(std::move(task));
      const std::lock_guard lock(mutex);
      inner.ToTick(std::move(task));
    }
    void Deliver() { inner.Deliver(); }
    HandCourier inner;
    std::mutex mutex;
    std::thread::id owner = std::this_thread::get_id();
  };

  std::string folder_;
  HeldClock clock_{TimePoint(std::chrono::seconds(1'700'000'000))};
  LockedCourier courier_;
  FakeProvider provider_;
  FakeGroup group_;
  FakeGateway gateway_;
  RecordingProvider recording_{provider_};
  RecordingProvider recording_group_{group_};
  RecordingGateway recording_gateway_;
  FakeMetrics metrics_;
  FakeModel model_;
  HostEvaluator evaluator_;
  Counters counters_;
  LoadResult loaded_;
  int changes_per_minute_ = 1000;
  double cost_per_hour_ = 0;
  bool dry_run_ = false;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Controller> controller_;
};

}  // namespace autoscale
