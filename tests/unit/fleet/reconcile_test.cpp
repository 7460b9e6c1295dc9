#include "daemon/fleet/reconcile.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace autoscale {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class ReconcileTest : public testing::Test {
 protected:
  ReconcileTest() {
    auto spec = std::make_shared<ServiceSpec>();
    spec->name = "web";
    spec->drain_timeout = seconds(30);
    spec->start_timeout = minutes(5);
    member_.spec = spec;
    member_.observed = true;
  }

  // One pass; answers what it stored, as "phase id" lines.
  std::vector<std::string> Pass() {
    StoreBatch batch;
    const ReconcileContext context{
        .now = now_,
        .new_id = [this](const Member&) { return "i-" + std::to_string(++last_id_); },
        .note = [this](const Member&, std::string text) { notes_.push_back(std::move(text)); },
        .lost = [this](const Member&) { ++lost_; }};
    Reconcile(member_, context, batch);
    std::vector<std::string> lines;
    for (const InstanceRow& row : batch.instances) {
      lines.push_back(std::string(ToString(row.phase)) + " " + row.id);
    }
    for (const auto& [service, id] : batch.removed_instances) lines.push_back("removed " + id);
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  void See(const std::string& id, InstanceState state, const std::string& detail = {}) {
    const std::string endpoint = "10.0.0.1:" + id.substr(2);
    TakeObservation(member_, {id, state, endpoint, detail}, now_);
  }

  // A fleet of n instances that serve.
  void Serve(int n) {
    member_.desired = n;
    Pass();
    for (int i = 1; i <= n; ++i) See("i-" + std::to_string(i), InstanceState::kReady);
    Pass();
    notes_.clear();
  }

  Instance& At(const std::string& id) {
    return *std::find_if(member_.instances.begin(), member_.instances.end(),
                         [&](const Instance& i) { return i.id == id; });
  }
  std::string List() {
    std::string text;
    for (const Endpoint& endpoint : member_.endpoints) {
      text += endpoint.address.substr(9);
      text += endpoint.state == Endpoint::State::kDraining ? "d " : " ";
    }
    return text;
  }

  TimePoint now_{seconds(1'700'000'000)};
  Member member_;
  std::vector<std::string> notes_;
  int last_id_ = 0;
  int lost_ = 0;
};

using Lines = std::vector<std::string>;

TEST_F(ReconcileTest, MissingInstancesAreStoredAsRequestedBeforeAnythingElse) {
  member_.desired = 2;
  EXPECT_EQ(Pass(), (Lines{"requested i-1", "requested i-2"}));
  EXPECT_EQ(Pass(), Lines{});  // and asked for once
}

TEST_F(ReconcileTest, OnlyAReadyInstanceGetsIntoTheList) {
  member_.desired = 1;
  Pass();
  See("i-1", InstanceState::kStarting);
  EXPECT_EQ(Pass(), (Lines{"starting i-1"}));
  EXPECT_EQ(member_.sequence, 0u);
  See("i-1", InstanceState::kReady);
  EXPECT_EQ(Pass(), (Lines{"serving i-1"}));
  EXPECT_EQ(List(), "1 ");
  EXPECT_EQ(member_.sequence, 1u);
  Pass();
  EXPECT_EQ(member_.sequence, 1u);  // an unchanged list has no new number
}

TEST_F(ReconcileTest, ScaleInDrainsTheYoungestFirst) {
  Serve(2);
  now_ += seconds(10);
  member_.desired = 3;
  Pass();
  See("i-3", InstanceState::kReady);
  Pass();
  member_.desired = 2;
  EXPECT_EQ(Pass(), (Lines{"draining i-3"}));
  EXPECT_EQ(List(), "1 2 3d ");
}

TEST_F(ReconcileTest, ScaleInCancelsStartsBeforeItDrains) {
  Serve(2);
  member_.desired = 4;
  Pass();
  See("i-3", InstanceState::kStarting);
  At("i-4").asked = now_;
  Pass();
  member_.desired = 1;
  EXPECT_EQ(Pass(), (Lines{"draining i-2", "stopping i-3", "stopping i-4"}));
}

TEST_F(ReconcileTest, WhatWasNeverAskedForIsDroppedWithoutATrace) {
  Serve(1);
  member_.desired = 2;
  Pass();
  member_.desired = 1;
  EXPECT_EQ(Pass(), (Lines{"removed i-2"}));
  EXPECT_TRUE(member_.forget.empty());
}

TEST_F(ReconcileTest, ADrainedInstanceStopsOnlyWhenGatewaysHaveConfirmedSettledAndEmptied) {
  member_.links.push_back(
      {.gateway = "edge", .capabilities = {.settle = Millis(50), .counts_in_flight = true}});
  Serve(2);
  Link& link = member_.links[0];
  link.confirmed = member_.sequence;
  member_.desired = 1;
  Pass();
  EXPECT_EQ(At("i-2").phase, InstancePhase::kDraining);
  link.loads = {{"10.0.0.1:2", 0}};
  link.loads_asked = now_;
  EXPECT_EQ(Pass(), Lines{});  // the gateway has not confirmed the list
  link.confirmed = member_.sequence;
  EXPECT_EQ(Pass(), Lines{});  // confirmed, not settled
  now_ += Millis(50);
  EXPECT_EQ(Pass(), Lines{});  // settled, but counted before that
  link.loads = {{"10.0.0.1:2", 3}};
  link.loads_asked = now_;
  EXPECT_EQ(Pass(), Lines{});  // three requests in flight
  EXPECT_EQ(At("i-2").in_flight, 3);
  link.loads.clear();
  EXPECT_EQ(Pass(), (Lines{"stopping i-2"}));
  EXPECT_EQ(List(), "1 ");
}

TEST_F(ReconcileTest, ADrainEndsAtItsBound) {
  member_.links.push_back({.gateway = "edge"});
  Serve(2);
  member_.desired = 1;
  Pass();
  now_ += seconds(29);
  EXPECT_EQ(Pass(), Lines{});
  now_ += seconds(1);
  EXPECT_EQ(Pass(), (Lines{"stopping i-2"}));
  EXPECT_NE(notes_.back().find("at the bound of its drain (drain_timeout)"), std::string::npos);
}

TEST_F(ReconcileTest, AReturningLoadTakesADrainingInstanceBack) {
  member_.links.push_back({.gateway = "edge"});
  Serve(2);
  member_.desired = 1;
  Pass();
  member_.desired = 2;
  EXPECT_EQ(Pass(), (Lines{"serving i-2"}));
  EXPECT_EQ(List(), "1 2 ");
  EXPECT_FALSE(At("i-2").deadline);
}

TEST_F(ReconcileTest, AStoppingInstanceIsNeverTakenBack) {
  Serve(2);
  member_.desired = 1;
  Pass();
  Pass();  // without gateways a drained instance stops at once
  ASSERT_EQ(At("i-2").phase, InstancePhase::kStopping);
  member_.desired = 2;
  EXPECT_EQ(Pass(), (Lines{"requested i-3"}));
}

TEST_F(ReconcileTest, ALostInstanceIsReplacedAtOnce) {
  Serve(2);
  now_ += minutes(1);
  See("i-1", InstanceState::kGone, "killed by signal 9");
  EXPECT_EQ(Pass(), (Lines{"removed i-1", "requested i-3"}));
  EXPECT_EQ(lost_, 1);
  EXPECT_EQ(List(), "2 ");
  EXPECT_EQ(notes_[0], "i-1 is lost: killed by signal 9");
  EXPECT_EQ(member_.forget, (Lines{"i-1"}));
}

TEST_F(ReconcileTest, TheLastListIsNotEmptiedByAnAccident) {
  Serve(1);
  See("i-1", InstanceState::kGone, "exited with status 1");
  Pass();
  EXPECT_EQ(List(), "1 ");
}

TEST_F(ReconcileTest, AWishForZeroEmptiesTheList) {
  Serve(1);
  member_.desired = 0;
  Pass();
  EXPECT_EQ(List(), "1d ");
  Pass();
  EXPECT_EQ(List(), "");
}

TEST_F(ReconcileTest, AFailedStartIsTriedAgainLaterEachTimeTwiceAsLate) {
  member_.desired = 1;
  Pass();
  See("i-1", InstanceState::kStarting);
  See("i-1", InstanceState::kGone, "exited with status 1 after 0.1s");
  EXPECT_EQ(Pass(), (Lines{"removed i-1"}));
  EXPECT_EQ(member_.launch_after - now_, Millis(500));
  EXPECT_EQ(member_.problem, "i-1 did not start: exited with status 1 after 0.1s");
  EXPECT_EQ(NextLook(member_, now_), member_.launch_after);
  now_ += Millis(500);
  EXPECT_EQ(Pass(), (Lines{"requested i-2"}));
  See("i-2", InstanceState::kStarting);
  See("i-2", InstanceState::kGone, "exited with status 1 after 0.1s");
  Pass();
  EXPECT_EQ(member_.launch_after - now_, Millis(1000));
  now_ += Millis(1000);
  Pass();
  See("i-3", InstanceState::kReady);
  Pass();
  EXPECT_EQ(member_.problem, "");
  now_ += seconds(30);  // proven
  Pass();
  EXPECT_EQ(member_.launch_failures, 0);
}

TEST_F(ReconcileTest, AnInstanceThatDiesSoonAfterItWasReadyIsAFailedStart) {
  Serve(1);
  now_ += seconds(29);
  See("i-1", InstanceState::kGone, "killed by signal 11");
  EXPECT_EQ(Pass(), (Lines{"removed i-1"}));
  EXPECT_EQ(member_.launch_after - now_, Millis(500));
}

TEST_F(ReconcileTest, SeveralThatFailTogetherHaveFailedOnce) {
  member_.desired = 8;
  Pass();
  for (int i = 1; i <= 8; ++i) {
    See("i-" + std::to_string(i), InstanceState::kStarting);
    See("i-" + std::to_string(i), InstanceState::kGone, "exited");
  }
  Pass();
  EXPECT_EQ(member_.launch_after - now_, Millis(500));
}

TEST_F(ReconcileTest, AnInstanceTooSlowToStartIsReplaced) {
  member_.desired = 1;
  Pass();
  See("i-1", InstanceState::kStarting);
  Pass();
  now_ += minutes(5);
  EXPECT_EQ(Pass(), (Lines{"stopping i-1"}));
}

TEST_F(ReconcileTest, AnUnhealthyInstanceLeavesTheListAndIsReplacedIfItStaysSo) {
  Serve(2);
  See("i-1", InstanceState::kUnready);
  Pass();
  EXPECT_EQ(List(), "2 ");
  EXPECT_EQ(CapacityOf(member_).ready, 1);
  now_ += seconds(30);
  EXPECT_EQ(Pass(), (Lines{"draining i-1", "requested i-3"}));
}

TEST_F(ReconcileTest, WhenNoneIsHealthyTheListStays) {
  Serve(2);
  See("i-1", InstanceState::kUnready);
  See("i-2", InstanceState::kUnready);
  Pass();
  EXPECT_EQ(List(), "1 2 ");
  // However long it lasts: what they all depend on may be what fails. One more is tried.
  now_ += minutes(10);
  EXPECT_EQ(Pass(), (Lines{"requested i-3"}));
  EXPECT_EQ(Pass(), Lines{});
  EXPECT_EQ(List(), "1 2 ");
  // It is ready: those that fail are replaced.
  See("i-3", InstanceState::kReady);
  Pass();
  EXPECT_EQ(Pass(), (Lines{"draining i-1", "draining i-2", "requested i-4"}));
  EXPECT_EQ(List(), "1d 2d 3 ");
}

TEST_F(ReconcileTest, AGatewayThatFallsBackEndsTheSettling) {
  member_.links.push_back({.gateway = "edge", .capabilities = {.settle = Millis(50)}});
  Serve(2);
  Link& link = member_.links[0];
  member_.desired = 1;
  Pass();
  link.confirmed = member_.sequence;
  Pass();
  now_ += Millis(40);
  link.confirmed = 0;
  Pass();
  link.confirmed = member_.sequence;
  now_ += Millis(20);
  EXPECT_EQ(Pass(), Lines{});  // 60 ms since the first confirmation, 0 since the second
  now_ += Millis(50);
  EXPECT_EQ(Pass(), (Lines{"stopping i-2"}));
}

TEST_F(ReconcileTest, AfterARestartServingInstancesCountBeforeTheirFirstHealthCheck) {
  member_.desired = 1;
  member_.instances.push_back({.id = "i-7",
                               .endpoint = "10.0.0.1:7",
                               .phase = InstancePhase::kServing,
                               .since = now_,
                               .stored = true});
  See("i-7", InstanceState::kStarting);
  EXPECT_EQ(Pass(), Lines{});
  EXPECT_EQ(CapacityOf(member_).ready, 1);
  EXPECT_EQ(List(), "7 ");
}

TEST_F(ReconcileTest, AnInstanceThatNobodyStoredIsTakenOver) {
  member_.desired = 1;
  See("i-9", InstanceState::kReady);
  EXPECT_EQ(Pass(), (Lines{"serving i-9"}));
  EXPECT_EQ(List(), "9 ");
}

TEST_F(ReconcileTest, ASettledMemberNeedsNoLook) {
  Serve(2);
  EXPECT_EQ(NextLook(member_, now_), std::nullopt);
}

}  // namespace
}  // namespace autoscale
