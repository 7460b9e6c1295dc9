// A daemon that did not run for a while: suspended with its machine, stopped, or starved.
#include <gtest/gtest.h>

#include <filesystem>

#include "daemon/controller/controller.h"
#include "tests/fakes/parts.h"

namespace autoscale {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

// Runs policies in this process; may take its time.
class SlowEvaluator final : public Evaluator {
 public:
  explicit SlowEvaluator(HeldClock& clock) : clock_(clock) {}
  std::vector<Evaluation> Evaluate(std::span<const EvaluationRequest> requests, Deadline) override {
    clock_.Advance(std::exchange(takes, Millis(0)));
    std::vector<Evaluation> answers;
    for (const EvaluationRequest& request : requests) {
      answers.push_back(host_.Evaluate(*request.policy, request.snapshot));
    }
    return answers;
  }
  Millis takes{0};  // the next time

 private:
  HeldClock& clock_;
  PolicyHost host_{PolicyLimits{}};
};

// Answers at the next delivery what it knew when it was asked.
class LateMetrics final : public MetricSource {
 public:
  explicit LateMetrics(Courier& courier) : courier_(courier) {}
  void Ask(const MetricQuery& query, Millis timeout,
           std::function<void(Result<Answer>)> done) override {
    known.Ask(query, timeout, [this, done = std::move(done)](Result<Answer> answer) {
      courier_.ToTick([done, answer = std::make_shared<Result<Answer>>(std::move(answer))] {
        done(std::move(*answer));
      });
    });
  }
  void AskRange(const RangeQuery& query, Millis timeout,
                std::function<void(Result<RangeAnswer>)> done) override {
    known.AskRange(query, timeout, std::move(done));
  }
  FakeMetrics known;

 private:
  Courier& courier_;
};

class GapTest : public testing::Test {
 protected:
  GapTest() {
    std::string pattern = testing::TempDir() + "/gap-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    auto store = Store::Open(folder_);
    store_ = std::move(store).value();
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
    controller_ = std::make_unique<Controller>(ControllerOptions{.clock = clock_,
                                                                 .courier = courier_,
                                                                 .evaluator = evaluator_,
                                                                 .store = *store_,
                                                                 .metrics = late_,
                                                                 .fleet = *fleet_,
                                                                 .counters = counters_,
                                                                 .load = nullptr});
  }
  ~GapTest() override {
    courier_.Deliver();
    controller_.reset();
    fleet_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  // A service of `load` instances, all of them ready.
  void StartWith(int load) {
    ServiceSpec spec;
    spec.name = "web";
    spec.interval = seconds(1);
    spec.rules.bounds = {.min = 1, .max = 10};
    spec.rules.down.stabilization = Millis(0);
    const std::string policy = "return scale_to(metric('load').value, 'load')";
    spec.policy = std::make_shared<PolicySource>(PolicySource{"web.lua", policy, 1});
    auto metric = std::make_shared<MetricSpec>();
    metric->name = "load";
    metric->unit = Unit::kCount;
    metric->query = "load";
    spec.metrics = {{metric, ""}};
    spec.declared = {{"load", Unit::kCount}};
    spec.provider = "fake";
    spec.target = std::make_shared<FakeTarget>();
    spec.gateways = {{"edge", "web"}};
    metrics_.Says("load", load);
    ASSERT_TRUE(controller_->Start({spec}).ok());
    courier_.Deliver();
    for (int i = 0; i < 4; ++i) {
      Tick();
      MakeReady();
    }
    ASSERT_EQ(Now().ready, load);
  }
  void Settle() {
    for (int i = 0; i < 8; ++i) {
      controller_->Step();
      courier_.Deliver();
    }
  }
  void Tick() {
    clock_.Advance(seconds(1));
    Settle();
  }
  void MakeReady() {
    for (auto& [id, observed] : provider_.instances["web"]) {
      if (observed.state == InstanceState::kStarting) {
        provider_.Becomes("web", id, InstanceState::kReady);
      }
    }
    Settle();
  }
  Capacity Now() { return CapacityOf(*fleet_->Find("web")); }
  size_t Count(const std::string& what) const {
    size_t count = 0;
    for (const std::string& line : provider_.history) count += line.starts_with(what) ? 1 : 0;
    return count;
  }

  std::string folder_;
  HeldClock clock_{TimePoint(seconds(1'700'000'000))};
  HandCourier courier_;
  FakeProvider provider_;
  FakeGateway gateway_;
  LateMetrics late_{courier_};
  FakeMetrics& metrics_ = late_.known;
  SlowEvaluator evaluator_{clock_};
  Counters counters_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Controller> controller_;
};

TEST_F(GapTest, AnAnswerFromBeforeIsNotActedOn) {
  StartWith(5);
  metrics_.Says("load", 1);
  clock_.Advance(seconds(1));
  controller_->Step();  // asks
  metrics_.Says("load", 5);
  const uint64_t skipped = counters_.ticks_skipped;
  clock_.Advance(hours(8));
  courier_.Deliver();  // the answer was there all night
  Settle();
  EXPECT_EQ(Now().desired, 5);
  EXPECT_EQ(Count("terminate"), 0u);
  EXPECT_EQ(counters_.ticks_skipped, skipped + 1);  // and not one for each second of the night
}

TEST_F(GapTest, TheNextTickIsAtOnce) {
  StartWith(5);
  metrics_.Says("load", 7);
  clock_.Advance(hours(8) + Millis(300));
  Settle();
  EXPECT_EQ(Now().desired, 7);
}

TEST_F(GapTest, AnEvaluationThatSpansItIsDropped) {
  StartWith(5);
  metrics_.Says("load", 1);
  evaluator_.takes = hours(8);
  clock_.Advance(seconds(1));
  controller_->Step();
  courier_.Deliver();
  controller_->Step();
  EXPECT_EQ(Now().desired, 5);
  Settle();
  EXPECT_EQ(Now().desired, 1);  // asked anew, and still so
}

TEST_F(GapTest, AnInstanceThatStartsKeepsTheTimeItHadLeft) {
  StartWith(2);
  metrics_.Says("load", 3);
  Tick();
  ASSERT_EQ(Count("launch"), 3u);
  clock_.Advance(hours(8));
  Settle();
  EXPECT_EQ(Count("terminate"), 0u);
  const Millis timeout = fleet_->Find("web")->spec->start_timeout;
  for (Millis waited{0}; waited <= timeout; waited += seconds(1)) Tick();
  EXPECT_EQ(Count("terminate"), 1u);  // then it is too slow
}

TEST_F(GapTest, AnInstanceIsNotReplacedForHavingBeenUnhealthyBefore) {
  StartWith(2);
  const std::string id = provider_.instances["web"].begin()->first;
  provider_.Becomes("web", id, InstanceState::kUnready, "connection refused");
  Settle();
  clock_.Advance(hours(8));
  Settle();
  Tick();
  EXPECT_EQ(Count("launch"), 2u);
  provider_.Becomes("web", id, InstanceState::kReady);
  for (int i = 0; i < 60; ++i) Tick();
  EXPECT_EQ(Count("launch"), 2u);
}

TEST_F(GapTest, ADrainKeepsTheTimeItHadLeftAlsoInTheStore) {
  StartWith(3);
  gateway_.refuse = "web";  // confirms nothing
  metrics_.Says("load", 2);
  Tick();
  const auto deadline = [this]() -> std::optional<TimePoint> {
    for (const InstanceRow& row : *store_->ReadInstances()) {
      if (row.phase == InstancePhase::kDraining) return row.deadline;
    }
    return std::nullopt;
  };
  const auto before = deadline();
  ASSERT_TRUE(before);
  clock_.Advance(hours(8));
  Settle();
  EXPECT_EQ(Count("terminate"), 0u);
  EXPECT_EQ(deadline(), *before + hours(8));
}

TEST_F(GapTest, WhatComesInBeforeTheFirstPassIsNotMovedToTheFuture) {
  StartWith(2);
  clock_.Advance(hours(8));
  const std::string id = provider_.instances["web"].begin()->first;
  provider_.Becomes("web", id, InstanceState::kUnready, "connection refused");
  Settle();
  for (int i = 0; i < 31; ++i) Tick();
  EXPECT_EQ(Count("launch"), 3u);  // after its 30 s, not after another night
}

TEST_F(GapTest, WindowsAndCooldownsCountIt) {
  StartWith(2);
  const TimePoint before = clock_.Now();
  clock_.Advance(hours(8));
  Settle();
  EXPECT_EQ(clock_.Now() - before, hours(8));
  metrics_.Says("load", 1);
  Tick();
  EXPECT_EQ(Now().desired, 1);
}

}  // namespace
}  // namespace autoscale
