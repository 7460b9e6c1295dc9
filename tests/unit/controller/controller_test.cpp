#include "daemon/controller/controller.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "daemon/fleet/recording.h"
#include "tests/fakes/parts.h"

namespace autoscale {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Runs policies in this process.
class HostEvaluator final : public Evaluator {
 public:
  std::vector<Evaluation> Evaluate(std::span<const EvaluationRequest> requests) override {
    std::vector<Evaluation> answers;
    for (const EvaluationRequest& request : requests) {
      answers.push_back(host_.Evaluate(*request.policy, request.snapshot));
    }
    return answers;
  }

 private:
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
                     .live = {{{"fake", &provider_}}, {{"edge", &gateway_}}},
                     .recording = {{{"fake", &recording_}}, {{"edge", &recording_gateway_}}},
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
                                                       .fleet = *fleet_,
                                                       .counters = counters_,
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
    spec.interval = seconds(1);
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

  // Passes at this instant until nothing more comes of it.
  void Settle() {
    for (int i = 0; i < 8; ++i) {
      controller_->Step();
      courier_.Deliver();
    }
  }
  // The next tick, and all that follows from it at once.
  void Tick() {
    clock_.Advance(seconds(1));
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
  HeldClock clock_{TimePoint(seconds(1'700'000'000))};
  LockedCourier courier_;
  FakeProvider provider_;
  FakeGateway gateway_;
  RecordingProvider recording_{provider_};
  RecordingGateway recording_gateway_;
  FakeMetrics metrics_;
  HostEvaluator evaluator_;
  Counters counters_;
  LoadResult loaded_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Controller> controller_;
};

TEST_F(ControllerTest, ANewServiceGoesToItsMinEvenWithoutMetrics) {
  Start({Web()});
  Tick();
  EXPECT_EQ(Now().desired, 1);
  EXPECT_EQ(provider_.history.size(), 1u);
}

TEST_F(ControllerTest, AFleetFollowsItsLoadOutAndIn) {
  metrics_.Says("load", 3);
  Start({Web()});
  Tick();  // 0 is below min 1
  MakeReady();
  Tick();
  EXPECT_EQ(Now().desired, 3);
  MakeReady();
  EXPECT_EQ(Now().ready, 3);
  EXPECT_EQ(gateway_.history.back(), "publish :20001 :20002 :20003");
  metrics_.Says("load", 2);
  Tick();
  EXPECT_EQ(Now().desired, 2);
  EXPECT_EQ(gateway_.history.back(), "publish :20001 :20002 :20003(draining)");
}

TEST_F(ControllerTest, MissingDataNeverShrinksAFleet) {
  metrics_.Says("load", 5);
  Start({Web()});
  Tick();
  MakeReady();
  Tick();
  MakeReady();
  ASSERT_EQ(Now().desired, 5);
  metrics_.SaysNothing("load");
  for (int i = 0; i < 20; ++i) Tick();
  EXPECT_EQ(Now().desired, 5);
  metrics_.answers.clear();  // connection refused
  for (int i = 0; i < 20; ++i) Tick();
  EXPECT_EQ(Now().desired, 5);
  metrics_.silent = true;  // hung
  for (int i = 0; i < 20; ++i) Tick();
  EXPECT_EQ(Now().desired, 5);
  const auto record = Ask([](Controller& c) { return c.Explain("web"); });
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->samples.at(0).sample.state, SampleState::kError);
  EXPECT_EQ(record->proposal.cause, HoldCause::kMetric);
}

TEST_F(ControllerTest, ATickWithoutAnswersEndsAtItsDeadlineAndHoldsNobodyElseUp) {
  metrics_.silent = true;
  ServiceSpec slow = Web();
  slow.name = "slow";
  slow.interval = seconds(10);
  ServiceSpec fast = Web("return scale_to(2, 'two')");
  fast.metrics.clear();
  fast.declared.clear();
  Start({slow, fast});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(CapacityOf(*fleet_->Find("web")).desired, 2);
  EXPECT_EQ(CapacityOf(*fleet_->Find("slow")).desired, 0);  // still waiting
  for (int i = 0; i < 7; ++i) Tick();
  EXPECT_EQ(CapacityOf(*fleet_->Find("slow")).desired, 1);  // min, at the deadline of 5 s
}

TEST_F(ControllerTest, AnUnchangedTickWritesNothing) {
  metrics_.Says("load", 2);
  Start({Web()});
  for (int i = 0; i < 3; ++i) {
    Tick();
    MakeReady();
  }
  Tick();
  const uint64_t commits = counters_.store_commits;
  const size_t decisions = Stored();
  for (int i = 0; i < 100; ++i) Tick();
  EXPECT_EQ(counters_.store_commits, commits);
  EXPECT_EQ(Stored(), decisions);
}

TEST_F(ControllerTest, APolicyThatThrowsCostsItsServiceAHoldAndNobodyElseAnything) {
  metrics_.Says("load", 4);
  ServiceSpec bad = Web("error('boom')");
  bad.name = "bad";
  Start({bad, Web()});
  for (int i = 0; i < 3; ++i) {
    Tick();
    MakeReady();
  }
  EXPECT_EQ(Now().desired, 4);
  EXPECT_EQ(CapacityOf(*fleet_->Find("bad")).desired, 1);
  const auto views = Ask([](Controller& c) { return c.ReadServices("bad"); });
  ASSERT_TRUE(views.ok());
  EXPECT_NE(views->at(0).problem.find("boom"), std::string::npos) << views->at(0).problem;
}

TEST_F(ControllerTest, ExplainTellsWhatWasDone) {
  metrics_.Says("load", 2);
  Start({Web()});
  Tick();
  MakeReady();
  Tick();
  MakeReady();
  const auto record = Ask([](Controller& c) { return c.Explain("web"); });
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->decision.before, 1);
  EXPECT_EQ(record->decision.desired, 2);
  EXPECT_EQ(record->proposal.reason, "load");
  EXPECT_EQ(record->proposal.at, "web.lua:1");
  std::string actions;
  for (const ActionRecord& action : record->actions) actions += action.text + "\n";
  EXPECT_NE(actions.find("is asked for"), std::string::npos) << actions;
  EXPECT_NE(actions.find("is ready at 127.0.0.1:20002"), std::string::npos) << actions;
  EXPECT_NE(actions.find("gateway edge confirmed list 1.2 (2 serving)"), std::string::npos)
      << actions;
}

TEST_F(ControllerTest, WhatComesOfADecisionStaysWithItThroughTheHoldsThatFollow) {
  metrics_.Says("load", 2);
  Start({Web()});
  Tick();
  MakeReady();
  Tick();  // 1 -> 2
  Tick();  // a hold while the second one starts
  MakeReady();
  Tick();
  DecisionRecord out;
  for (const DecisionRecord& record : *store_->ReadDecisions("web", 100)) {
    if (record.decision.before == 1 && record.decision.desired == 2) out = record;
  }
  ASSERT_EQ(out.actions.size(), 3u);
  EXPECT_NE(out.actions[0].text.find("is asked for"), std::string::npos);
  EXPECT_NE(out.actions[1].text.find("is ready at"), std::string::npos);
  EXPECT_NE(out.actions[2].text.find("confirmed list"), std::string::npos);
}

TEST_F(ControllerTest, APausedServiceKeepsItsCapacityAndReplacesTheDead) {
  metrics_.Says("load", 2);
  Start({Web()});
  for (int i = 0; i < 2; ++i) {
    Tick();
    MakeReady();
  }
  ASSERT_TRUE(Ask([](Controller& c) { return c.Pause("web", "a deployment"); }).ok());
  metrics_.Says("load", 8);
  Tick();
  EXPECT_EQ(Now().desired, 2);
  clock_.Advance(seconds(60));
  provider_.Becomes("web", provider_.instances["web"].begin()->first, InstanceState::kGone, "x");
  Settle();
  EXPECT_EQ(provider_.history.back().substr(0, 6), "forget");
  EXPECT_EQ(fleet_->Find("web")->instances.size(), 2u);
  const auto record = Ask([](Controller& c) { return c.Explain("web"); });
  EXPECT_EQ(record->decision.stages.back().reason, "paused: a deployment");
  EXPECT_EQ(record->decision.reason, "load; paused: a deployment");
  ASSERT_TRUE(Ask([](Controller& c) { return c.Resume("web"); }).ok());
  Tick();
  EXPECT_EQ(Now().desired, 8);
}

TEST_F(ControllerTest, ADeadDaemonResumesWithItsInstancesAndCooldowns) {
  ServiceSpec web = Web();
  web.rules.down.cooldown = seconds(60);
  metrics_.Says("load", 4);
  Start({web});
  for (int i = 0; i < 2; ++i) {
    Tick();
    MakeReady();
  }
  ASSERT_EQ(Now().ready, 4);
  const size_t launches = provider_.history.size();
  Crash();
  metrics_.Says("load", 1);
  Boot();
  Start({web});
  Tick();
  EXPECT_EQ(Now().desired, 4) << "the cooldown of the last change is over only in 60 s";
  EXPECT_EQ(Now().ready, 4);
  EXPECT_EQ(provider_.history.size(), launches) << "nothing was started or stopped";
  EXPECT_EQ(gateway_.status.version.epoch, 2u);
  EXPECT_EQ(gateway_.history.back(), "publish :20001 :20002 :20003 :20004");
  clock_.Advance(seconds(60));
  Tick();
  EXPECT_EQ(Now().desired, 1);
}

TEST_F(ControllerTest, ADryRunDecidesAndTouchesNothing) {
  ServiceSpec web = Web();
  web.dry_run = true;
  metrics_.Says("load", 7);
  provider_.instances["web"]["a"] = {"a", InstanceState::kReady, "127.0.0.1:1", ""};
  Start({web});
  for (int i = 0; i < 5; ++i) Tick();
  EXPECT_TRUE(provider_.history.empty());
  EXPECT_TRUE(gateway_.history.empty());
  const auto record = Ask([](Controller& c) { return c.Explain("web"); });
  ASSERT_TRUE(record.ok());
  EXPECT_TRUE(record->dry_run);
  EXPECT_EQ(record->capacity.desired, 1) << "from the real capacity on each tick";
  EXPECT_EQ(record->decision.desired, 7);
  EXPECT_EQ(Stored(), 1u) << "the same recommendation is stored once";
}

TEST_F(ControllerTest, ADryRunsCooldownsAreAsIfItHadActed) {
  ServiceSpec web = Web();
  web.dry_run = true;
  web.rules.up.cooldown = seconds(60);
  metrics_.Says("load", 7);
  provider_.instances["web"]["a"] = {"a", InstanceState::kReady, "127.0.0.1:1", ""};
  Start({web});
  Tick();
  Tick();
  const auto record = Ask([](Controller& c) { return c.Explain("web"); });
  EXPECT_EQ(record->decision.desired, 1);
  EXPECT_EQ(record->decision.stages.at(2).reason, "1s of 60s since the last scale-out");
}

TEST_F(ControllerTest, AStandingRecommendationOfADryRunWritesNothing) {
  ServiceSpec web = Web();
  web.dry_run = true;
  metrics_.Says("load", 7);
  provider_.instances["web"]["a"] = {"a", InstanceState::kReady, "127.0.0.1:1", ""};
  Start({web});
  for (int i = 0; i < 3; ++i) Tick();
  const uint64_t commits = counters_.store_commits;
  for (int i = 0; i < 20; ++i) Tick();
  EXPECT_EQ(counters_.store_commits, commits);
  EXPECT_EQ(counters_.decisions_out, 1u);
}

TEST_F(ControllerTest, ALostInstanceIsAnEventAndNotTheLastDecisionAgain) {
  metrics_.Says("load", 2);
  Start({Web()});
  for (int i = 0; i < 3; ++i) {
    Tick();
    MakeReady();
  }
  provider_.Becomes("web", "web-1-1", InstanceState::kGone, "killed by signal 9");
  Settle();
  const DecisionRecord record = store_->ReadDecisions("web", 1)->at(0);
  EXPECT_EQ(record.decision.before, record.decision.desired);
  EXPECT_EQ(record.decision.reason, "web-1-1 is lost: killed by signal 9");
  EXPECT_EQ(record.at, clock_.Now());
}

TEST_F(ControllerTest, AReloadThatUsesANewGatewayIsRefusedWithASentence) {
  Start({Web()});
  ServiceSpec web = Web();
  web.file = "web.yaml";
  web.line = 3;
  web.gateways = {{"edge2", "web"}};
  loaded_.configuration.services = {web};
  const auto report = Ask([](Controller& c) { return c.Reload(); });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message.substr(0, 36), "web.yaml:3: gateway 'edge2' is new, ");
}

TEST_F(ControllerTest, AnUnknownServiceIsAnsweredWithTheClosestNames) {
  Start({Web()});
  const auto record = Ask([](Controller& c) { return c.Explain("wbe"); });
  ASSERT_FALSE(record.ok());
  EXPECT_EQ(record.error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(record.error().message, "no service 'wbe'; configured are for example: web");
}

TEST_F(ControllerTest, ABrokenReloadChangesNothing) {
  metrics_.Says("load", 2);
  Start({Web()});
  Tick();
  loaded_.diagnostics = {{.file = "web.yaml", .line = 3, .message = "min 9 is above max 5"}};
  const auto report = Ask([](Controller& c) { return c.Reload(); });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message, "web.yaml:3: min 9 is above max 5");
  EXPECT_NE(fleet_->Find("web"), nullptr);
}

TEST_F(ControllerTest, AReloadAddsChangesAndRemoves) {
  metrics_.Says("load", 2);
  ServiceSpec old = Web();
  old.name = "old";
  Start({old, Web()});
  Tick();
  ServiceSpec web = Web();
  web.rules.bounds.min = 4;
  web.content_hash = 1;
  ServiceSpec fresh = Web();
  fresh.name = "fresh";
  loaded_.configuration.services = {fresh, web};
  const auto report = Ask([](Controller& c) { return c.Reload(); });
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->added, 1);
  EXPECT_EQ(report->changed, 1);
  EXPECT_EQ(report->removed, 1);
  Tick();
  EXPECT_EQ(Now().desired, 4);
  EXPECT_TRUE(fleet_->Find("old")->leaving);
}

}  // namespace
}  // namespace autoscale
