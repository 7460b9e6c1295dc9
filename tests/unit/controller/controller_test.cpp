#include <gtest/gtest.h>

#include "tests/unit/controller/rig.h"

namespace autoscale {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

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

// As the HPA keeps its recommendations: each hold of the outage is a proposal of what was there, so
// that the cut comes a whole window after the last of them and not with the first good sample.
TEST_F(ControllerTest, AnOutageCountsInTheWindowOfAScaleIn) {
  ServiceSpec web = Web();
  web.rules.down.stabilization = seconds(5);
  metrics_.Says("load", 5);
  Start({web});
  Tick();
  MakeReady();
  Tick();
  MakeReady();
  ASSERT_EQ(Now().desired, 5);
  metrics_.answers.clear();
  for (int i = 0; i < 60; ++i) Tick();  // many windows long
  metrics_.Says("load", 2);
  for (int second = 1; second < 5; ++second) {
    Tick();
    EXPECT_EQ(Now().desired, 5) << second << " s after the last hold";
  }
  Tick();
  EXPECT_EQ(Now().desired, 2);
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
  metrics_.Says("load", 9);
  Tick();
  const auto record = Ask([](Controller& c) { return c.Explain("web"); });
  EXPECT_EQ(record->decision.desired, 7) << "what was recommended stays";
  EXPECT_EQ(record->decision.stages.at(2).reason, "1s of 60s since the last scale-out");
}

TEST_F(ControllerTest, ADryRunStepsOnFromWhatItRecommended) {
  ServiceSpec web = Web();
  web.dry_run = true;
  web.rules.down.max_step_percent = 50;
  metrics_.Says("load", 2);
  for (const char* id : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}) {
    provider_.instances["web"][id] = {id, InstanceState::kReady, "127.0.0.1:1", ""};
  }
  Start({web});
  std::vector<int> recommended;
  for (int i = 0; i < 200; ++i) {
    Tick();
    const auto record = Ask([](Controller& c) { return c.Explain("web"); });
    EXPECT_EQ(record->capacity.desired, 10);
    const int desired = record->decision.desired;
    if (recommended.empty() || recommended.back() != desired) recommended.push_back(desired);
  }
  EXPECT_EQ(recommended, (std::vector<int>{5, 3, 2}));
}

TEST_F(ControllerTest, OnlyADecisionThatIsStoredHasANumber) {
  ServeWeb(2);
  for (int i = 0; i < 3; ++i) Tick();
  const auto explain = [&] { return Ask([](Controller& c) { return c.Explain("web"); })->id; };
  EXPECT_EQ(explain(), 0);
  metrics_.Says("load", 3);
  Tick();
  EXPECT_EQ(explain(), store_->last_decision_id());
  MakeReady();
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(explain(), 0);
}

TEST_F(ControllerTest, WhatWasNotDecidedSinceAReloadIsNoOldDecision) {
  ServeWeb(2);
  ServiceSpec web = Web();
  web.rules.bounds.max = 9;
  web.content_hash = 1;
  loaded_.configuration.services = {web};
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(false); }).ok());
  const auto inputs = [&] { return Ask([](Controller& c) { return c.Inputs("web"); }); };
  const auto early = inputs();
  ASSERT_FALSE(early.ok());
  EXPECT_NE(early.error().message.find("try after its next tick"), std::string::npos);
  Tick();
  ASSERT_TRUE(inputs().ok());
  EXPECT_NE(inputs()->inputs, nullptr);
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
  const auto report = Ask([](Controller& c) { return c.Reload(false); });
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
  const auto report = Ask([](Controller& c) { return c.Reload(false); });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message, "web.yaml:3: min 9 is above max 5");
  EXPECT_NE(fleet_->Find("web"), nullptr);
}

TEST_F(ControllerTest, AReloadAddsChangesAndRemoves) {
  metrics_.Says("load", 2);
  ServiceSpec old = Web();
  old.name = "old";
  old.gateways = {{"edge", "old"}};
  Start({old, Web()});
  Tick();
  ServiceSpec web = Web();
  web.rules.bounds.min = 4;
  web.content_hash = 1;
  ServiceSpec fresh = Web();
  fresh.name = "fresh";
  fresh.gateways = {{"edge", "fresh"}};
  loaded_.configuration.services = {fresh, web};
  const auto report = Ask([](Controller& c) { return c.Reload(false); });
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
