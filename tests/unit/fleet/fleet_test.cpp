#include "daemon/fleet/fleet.h"

#include <gtest/gtest.h>

#include "daemon/fleet/recording.h"
#include "tests/fakes/parts.h"

namespace autoscale {
namespace {

using std::chrono::seconds;
using Lines = std::vector<std::string>;

class FleetTest : public testing::Test {
 protected:
  FleetTest()
      : fleet_({.courier = courier_,
                .clock = clock_,
                .live = {{{"fake", &provider_}}, {{"edge", &gateway_}}},
                .recording = {{{"fake", &recording_}}, {{"edge", &recording_gateway_}}},
                .counters = counters_,
                .epoch = 7,
                .note = [this](const std::string&, std::string text) {
                  notes_.push_back(std::move(text));
                }}) {
    provider_.SetListener([this](const std::string& service, const ObservedInstance& observed) {
      fleet_.OnInstance(service, observed);
    });
  }

  std::shared_ptr<ServiceSpec> Spec(bool dry_run = false) {
    auto spec = std::make_shared<ServiceSpec>();
    spec->name = "web";
    spec->provider = "fake";
    spec->target = std::make_shared<FakeTarget>();
    spec->gateways = {{"edge", "web"}};
    spec->dry_run = dry_run;
    return spec;
  }

  // Passes until nothing is under way at this moment.
  void Pass() {
    for (int i = 0; i < 5; ++i) {
      StoreBatch batch;
      courier_.Deliver();
      fleet_.Reconcile(clock_.Now(), batch);
      stored_ += batch.instances.size();
      fleet_.Act(clock_.Now());
      courier_.Deliver();
    }
  }

  void Serve(int n) {
    fleet_.Put(Spec(), n, {});
    Pass();
    fleet_.SetDesired("web", n);
    Pass();
    for (int i = 1; i <= n; ++i) {
      provider_.Becomes("web", "web-7-" + std::to_string(i), InstanceState::kReady);
    }
    Pass();
  }

  HeldClock clock_{TimePoint(seconds(1'700'000'000))};
  HandCourier courier_;
  FakeProvider provider_;
  FakeGateway gateway_;
  RecordingProvider recording_{provider_};
  RecordingGateway recording_gateway_;
  Counters counters_;
  Lines notes_;
  size_t stored_ = 0;
  Fleet fleet_;
};

TEST_F(FleetTest, AGatewayInTroubleIsNamedOnce) {
  const auto problem = [&](const std::string& error) {
    gateway_.error = Error{ErrorKind::kUnavailable, error};
    clock_.Advance(seconds(10));
    Pass();
    ServiceView view;
    fleet_.Describe("web", view);
    return view.problem;
  };
  Serve(1);
  EXPECT_EQ(problem("no answer"), "gateway edge: no answer");
  EXPECT_EQ(problem("gateway edge at unix:s: no socket"), "gateway edge at unix:s: no socket");
}

TEST_F(FleetTest, NothingIsDoneBeforeTheProviderHasToldWhatExists) {
  provider_.observe_error = Error{ErrorKind::kUnavailable, "no answer"};
  fleet_.Put(Spec(), 2, {});
  Pass();
  EXPECT_TRUE(provider_.history.empty());
  EXPECT_EQ(fleet_.Find("web")->problem, "no answer");
  provider_.observe_error.reset();
  clock_.Advance(seconds(1));
  Pass();
  EXPECT_EQ(provider_.history, (Lines{"launch web-7-1", "launch web-7-2"}));
}

TEST_F(FleetTest, ScaleOutPublishesEachInstanceWhenItIsReady) {
  fleet_.Put(Spec(), 2, {});
  Pass();
  EXPECT_TRUE(gateway_.history.empty());
  provider_.Becomes("web", "web-7-1", InstanceState::kReady);
  Pass();
  provider_.Becomes("web", "web-7-2", InstanceState::kReady);
  Pass();
  EXPECT_EQ(gateway_.history, (Lines{"publish :20001", "publish :20001 :20002"}));
  EXPECT_EQ(gateway_.status.version, (ListVersion{7, 2}));
  EXPECT_TRUE(fleet_.IsSettled("web"));
}

TEST_F(FleetTest, ScaleInDrainsWaitsAndStopsExactlyTheDrained) {
  Serve(2);
  gateway_.history.clear();
  provider_.history.clear();
  gateway_.status.endpoints = {{"127.0.0.1:20002", 1}};
  fleet_.SetDesired("web", 1);
  Pass();
  EXPECT_EQ(gateway_.history, (Lines{"publish :20001 :20002(draining)"}));
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(Millis(50));
    Pass();
  }
  EXPECT_TRUE(provider_.history.empty()) << "a request is in flight";
  gateway_.status.endpoints.clear();
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(Millis(50));
    Pass();
  }
  EXPECT_EQ(provider_.history, (Lines{"terminate web-7-2"}));
  provider_.Becomes("web", "web-7-2", InstanceState::kGone, "exited");
  Pass();
  EXPECT_EQ(provider_.history, (Lines{"terminate web-7-2", "forget web-7-2"}));
  EXPECT_TRUE(fleet_.IsSettled("web"));
}

TEST_F(FleetTest, AGatewayThatRefusesIsAskedAgainAndToldOnce) {
  gateway_.error = Error{ErrorKind::kUnavailable, "connection refused"};
  Serve(1);
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(seconds(5));
    Pass();
  }
  const auto told = std::count(notes_.begin(), notes_.end(),
                               "gateway edge did not take the list: connection refused");
  EXPECT_EQ(told, 1);
  EXPECT_GE(gateway_.history.size(), 5u);
  EXPECT_FALSE(fleet_.IsSettled("web"));
  gateway_.error.reset();
  clock_.Advance(seconds(5));
  Pass();
  EXPECT_TRUE(fleet_.IsSettled("web"));
}

TEST_F(FleetTest, AGatewayThatLostItsListGetsItAgain) {
  Serve(1);
  gateway_.history.clear();
  gateway_.status.version = {};
  clock_.Advance(seconds(3));
  Pass();
  EXPECT_EQ(gateway_.history, (Lines{"publish :20001"}));
}

TEST_F(FleetTest, AGatewayThatKnowsAHigherListIsTopped) {
  Serve(1);
  gateway_.status.version = {9, 41};
  clock_.Advance(seconds(3));
  Pass();
  EXPECT_GT(gateway_.status.version, (ListVersion{9, 41}));
  EXPECT_TRUE(fleet_.IsSettled("web"));
  clock_.Advance(seconds(3));
  gateway_.history.clear();
  Pass();
  EXPECT_TRUE(gateway_.history.empty());
}

TEST_F(FleetTest, ALaunchThatFailsIsToldAndTriedAgainLater) {
  provider_.launch_error = Error{ErrorKind::kExhausted, "no free port in 20000-20001"};
  fleet_.Put(Spec(), 1, {});
  Pass();
  EXPECT_EQ(provider_.history.size(), 1u);
  EXPECT_EQ(fleet_.Find("web")->problem, "no free port in 20000-20001");
  provider_.launch_error.reset();
  clock_.Advance(Millis(500));
  Pass();
  EXPECT_EQ(provider_.history, (Lines{"launch web-7-1", "launch web-7-1"}));
}

TEST_F(FleetTest, ASuspendProvesNoStart) {
  provider_.launch_error = Error{ErrorKind::kExhausted, "no free port"};
  fleet_.Put(Spec(), 1, {});
  Pass();
  provider_.launch_error.reset();
  clock_.Advance(Millis(500));
  Pass();
  provider_.Becomes("web", "web-7-1", InstanceState::kReady);
  Pass();
  ASSERT_EQ(fleet_.Find("web")->failures, 1);
  clock_.Advance(seconds(5));
  const TimePoint suspended = clock_.Now();
  clock_.Advance(std::chrono::hours(8));
  fleet_.Forgive(suspended, clock_.Now());
  Pass();
  clock_.Advance(seconds(24));
  Pass();
  EXPECT_EQ(fleet_.Find("web")->failures, 1);
  clock_.Advance(seconds(1) + Millis(1));
  Pass();
  fleet_.Forgive(clock_.Now(), clock_.Now());  // looks at all of them
  Pass();
  EXPECT_EQ(fleet_.Find("web")->failures, 0);
}

TEST_F(FleetTest, ARemovedServiceIsDrainedAndStoppedFirst) {
  Serve(1);
  provider_.history.clear();
  fleet_.Remove("web");
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(Millis(50));
    Pass();
  }
  EXPECT_EQ(provider_.history, (Lines{"terminate web-7-1"}));
  EXPECT_EQ(fleet_.TakeLeft(), Lines{});
  provider_.Becomes("web", "web-7-1", InstanceState::kGone);
  Pass();
  EXPECT_EQ(fleet_.TakeLeft(), (Lines{"web"}));
  EXPECT_EQ(fleet_.Find("web"), nullptr);
}

TEST_F(FleetTest, ADryRunRecommendsFromWhatIsRealAndTouchesNothing) {
  provider_.instances["web"]["a"] = {"a", InstanceState::kReady, "127.0.0.1:1", ""};
  fleet_.Put(Spec(true), 5, {});
  Pass();
  for (int i = 0; i < 3; ++i) {
    fleet_.Anchor("web");
    EXPECT_EQ(CapacityOf(*fleet_.Find("web")).desired, 1);
    EXPECT_EQ(CapacityOf(*fleet_.Find("web")).ready, 1);
    fleet_.SetDesired("web", 3);
    Pass();
  }
  EXPECT_TRUE(provider_.history.empty());
  EXPECT_TRUE(gateway_.history.empty());
  EXPECT_EQ(stored_, 0u);
  EXPECT_EQ(recording_.launches(), 6);
}

TEST_F(FleetTest, WhatWasRehearsedDoesNotBecomeReal) {
  provider_.instances["web"]["a"] = {"a", InstanceState::kReady, "127.0.0.1:1", ""};
  provider_.instances["web"]["b"] = {"b", InstanceState::kReady, "127.0.0.1:2", ""};
  fleet_.Put(Spec(true), std::nullopt, {});
  Pass();
  fleet_.SetDesired("web", 1);  // in rehearsal one of the two is stopped
  Pass();
  fleet_.Put(Spec(false), 0, {});
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(seconds(31));
    Pass();
  }
  EXPECT_EQ(CapacityOf(*fleet_.Find("web")).desired, 2);
  EXPECT_TRUE(provider_.history.empty());
  EXPECT_EQ(gateway_.history, (Lines{"publish :1 :2"}));
}

TEST_F(FleetTest, AnIdThatIsTakenIsNotGivenAgain) {
  provider_.instances["web"]["web-7-1"] = {"web-7-1", InstanceState::kReady, "127.0.0.1:1", ""};
  fleet_.Put(Spec(), std::nullopt, {});
  Pass();
  fleet_.SetDesired("web", 2);
  Pass();
  EXPECT_EQ(provider_.history, (Lines{"launch web-7-2"}));
}

// As after a back-up of the database that is older than they are.
TEST_F(FleetTest, WhatRunsThoughNothingIsStoredOfItIsKept) {
  for (const char* id : {"web-3-1", "web-3-2"}) {
    provider_.instances["web"][id] = {
        .id = id, .state = InstanceState::kReady, .endpoint = "127.0.0.1:1"};
  }
  fleet_.Put(Spec(), 1,
             {{.service = "web",
               .id = "web-3-1",
               .phase = InstancePhase::kServing,
               .endpoint = "127.0.0.1:1"}});
  Pass();
  EXPECT_EQ(CapacityOf(*fleet_.Find("web")).desired, 2);
  EXPECT_EQ(CapacityOf(*fleet_.Find("web")).ready, 2);
  EXPECT_TRUE(provider_.history.empty());
}

TEST_F(FleetTest, ADrainThatCouldNotBeStoredDoesNotEndAndIsTakenBack) {
  auto spec = Spec();
  spec->gateways.clear();  // a drain ends at once
  fleet_.Put(spec, 2, {});
  Pass();
  for (const char* id : {"web-7-1", "web-7-2"}) {
    provider_.Becomes("web", id, InstanceState::kReady);
  }
  Pass();
  provider_.history.clear();

  StoreBatch batch;  // never committed
  fleet_.SetDesired("web", 1);
  fleet_.Reconcile(clock_.Now(), batch);
  fleet_.Freeze(true);
  clock_.Advance(std::chrono::minutes(5));
  fleet_.Reconcile(clock_.Now(), batch);
  fleet_.SetDesired("web", 2);
  fleet_.Reconcile(clock_.Now(), batch);
  EXPECT_EQ(batch.instances.back().phase, InstancePhase::kServing);
  fleet_.Freeze(false);
  Pass();
  EXPECT_EQ(CapacityOf(*fleet_.Find("web")).ready, 2);
  EXPECT_TRUE(provider_.history.empty());
}

TEST_F(FleetTest, ZeroIsRememberedAsZero) {
  provider_.instances["web"]["a"] = {"a", InstanceState::kReady, "127.0.0.1:1", ""};
  fleet_.Put(Spec(), 0, {{.service = "web", .id = "a", .phase = InstancePhase::kDraining}});
  Pass();
  EXPECT_EQ(CapacityOf(*fleet_.Find("web")).desired, 0);
}

TEST_F(FleetTest, TwoUpstreamsOfOneGatewayAreConfirmedEachForItself) {
  auto spec = Spec();
  spec->gateways = {{"edge", "a"}, {"edge", "b"}};
  fleet_.Put(spec, 1, {});
  Pass();
  provider_.Becomes("web", "web-7-1", InstanceState::kReady);
  gateway_.refuse = "b";
  Pass();
  const Member& member = *fleet_.Find("web");
  EXPECT_EQ(member.links[0].confirmed, 1u);
  EXPECT_EQ(member.links[1].confirmed, 0u);
}

}  // namespace
}  // namespace autoscale
