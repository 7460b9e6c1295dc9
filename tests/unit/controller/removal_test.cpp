// What becomes of removed services and dropped upstreams, and what stops a mistake.
#include <gtest/gtest.h>

#include "tests/unit/controller/rig.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

// --- Removal ---

TEST_F(ControllerTest, AFileThatIsBeingReplacedEndsNoService) {
  ServeWeb(2);
  int waits = 0;
  meanwhile_ = [&] {
    ++waits;
    loaded_.configuration.services = {Web()};
  };
  loaded_.configuration.services = {};
  const auto report = Ask([](Controller& c) { return c.Reload(true); });
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->removed, 0);
  EXPECT_EQ(waits, 1);
  Settle();
  EXPECT_FALSE(fleet_->Find("web")->leaving);
  EXPECT_EQ(gateway_.lists["web"].endpoints.size(), 2u);

  // Gone for good, and then with nothing to wait for.
  meanwhile_ = [&] { ++waits; };
  loaded_.configuration.services = {};
  EXPECT_EQ(Ask([](Controller& c) { return c.Reload(true); })->removed, 1);
  EXPECT_EQ(waits, 2);
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(true); }).ok());
  EXPECT_EQ(waits, 2);
}

TEST_F(ControllerTest, ARemovalGoesOnAfterACrash) {
  ServeWeb(2);
  ASSERT_EQ(gateway_.lists["web"].endpoints.size(), 2u);
  gateway_.error =
      Error{ErrorKind::kUnavailable, "refused"};  // so that they cannot finish draining
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(true); }).ok());
  Settle();
  ASSERT_EQ(fleet_->Find("web")->instances.at(0).phase, InstancePhase::kDraining);

  Crash();
  gateway_.error.reset();
  Boot();
  Start({});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(provider_.history.back(), "terminate web-1-2");
  for (const char* id : {"web-1-1", "web-1-2"}) {
    provider_.Becomes("web", id, InstanceState::kGone);
  }
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_TRUE(gateway_.lists["web"].endpoints.empty());
  EXPECT_TRUE(gateway_.lists["web"].may_be_empty);
  EXPECT_EQ(fleet_->Find("web"), nullptr);
  EXPECT_TRUE(store_->ReadServices()->empty());
  EXPECT_TRUE(store_->ReadInstances()->empty());
}

TEST_F(ControllerTest, AServiceThatComesBackIsNotFinished) {
  ServeWeb(2);
  gateway_.error = Error{ErrorKind::kUnavailable, "refused"};
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(true); }).ok());
  Settle();
  Crash();
  gateway_.error.reset();
  Boot();
  Start({Web()});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(Now().desired, 2);
  EXPECT_EQ(Now().ready, 2);
  EXPECT_EQ(provider_.history, (std::vector<std::string>{"launch web-1-1", "launch web-1-2"}));
  EXPECT_EQ(store_->ReadServices()->at(0).leaving, "");
}

TEST_F(ControllerTest, AnUpstreamThatIsDroppedIsEmptiedAlsoAfterACrash) {
  ServeWeb(1);
  gateway_.refuse = "web";
  ServiceSpec web = Web();
  web.gateways = {{"edge", "shop"}};
  web.content_hash = 1;
  loaded_.configuration.services = {web};
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(false); }).ok());
  Settle();
  EXPECT_EQ(gateway_.lists["shop"].endpoints.size(), 1u);
  EXPECT_EQ(gateway_.lists["web"].endpoints.size(), 1u);  // refused
  Crash();
  gateway_.refuse.clear();
  Boot();
  Start({web});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_TRUE(gateway_.lists["web"].endpoints.empty());
  EXPECT_EQ(gateway_.lists["shop"].endpoints.size(), 1u);
  EXPECT_EQ(store_->ReadServices()->size(), 1u);
}

TEST_F(ControllerTest, AnUpstreamIsEmptiedAndGivenBackUnderTheVersionsOfOneDaemon) {
  gateway_.strict = true;
  ServeWeb(1);
  ServiceSpec web = Web();
  for (const auto& [round, upstream] : {std::pair(1, "shop"), std::pair(2, "web")}) {
    web.gateways = {{"edge", upstream}};
    web.content_hash = static_cast<uint64_t>(round);
    loaded_.configuration.services = {web};
    ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(false); }).ok());
    for (int i = 0; i < 10; ++i) Tick();
    const std::string former = round == 1 ? "web" : "shop";
    EXPECT_EQ(gateway_.lists[upstream].endpoints.size(), 1u) << round;
    EXPECT_TRUE(gateway_.lists[former].endpoints.empty()) << round;
    EXPECT_EQ(store_->ReadServices()->size(), 1u) << round;
  }
}

TEST_F(ControllerTest, AServiceThatComesBackWithAnotherUpstreamLeavesNoList) {
  ServeWeb(2);
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(true); }).ok());
  ServiceSpec web = Web();
  web.gateways = {{"edge", "shop"}};
  loaded_.configuration.services = {web};
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(false); }).ok());
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_TRUE(gateway_.lists["web"].endpoints.empty());
  EXPECT_EQ(gateway_.lists["shop"].endpoints.size(), 2u);
  EXPECT_EQ(Now().ready, 2);
}

TEST_F(ControllerTest, AServiceThatComesBackBeforeItIsGoneGoesOnAsItWas) {
  const ServiceSpec web =
      Web("state.n = (state.n or 0) + 1\n"
          "return scale_to(metric('load').value, 'evaluation ' .. state.n)\n");
  const auto evaluations = [&] {
    const auto record = Ask([](Controller& c) { return c.Explain("web"); });
    return std::stoi(record->proposal.reason.substr(sizeof "evaluation"));
  };
  metrics_.Says("load", 2);
  Start({web});
  for (int i = 0; i < 2; ++i) {
    Tick();
    MakeReady();
  }
  ASSERT_TRUE(Ask([](Controller& c) { return c.Pause("web", "a deploy"); }).ok());
  metrics_.Says("load", 5);
  for (const bool crash : {false, true}) {
    const int before = evaluations();
    gateway_.error = Error{ErrorKind::kUnavailable, "refused"};  // it cannot finish
    loaded_.configuration.services = {};
    ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(true); }).ok());
    Settle();
    if (crash) {
      Crash();
      Boot();
      Start({});
      Tick();
    }
    gateway_.error.reset();
    loaded_.configuration.services = {web};
    ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(false); }).ok());
    Tick();
    const auto views = Ask([](Controller& c) { return c.ReadServices("web"); });
    EXPECT_TRUE(views->at(0).paused) << crash;
    EXPECT_EQ(views->at(0).pause_reason, "a deploy");
    EXPECT_EQ(evaluations(), before + 1) << crash;
    EXPECT_EQ(Now().desired, 2) << crash;
  }
}

TEST_F(ControllerTest, ADryRunFinishesNoRemoval) {
  ServeWeb(2);
  gateway_.error = Error{ErrorKind::kUnavailable, "refused"};
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(true); }).ok());
  Settle();
  Crash();
  gateway_.error.reset();
  dry_run_ = true;
  Boot();
  Start({});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(provider_.history, (std::vector<std::string>{"launch web-1-1", "launch web-1-2"}));
  EXPECT_NE(store_->ReadServices()->at(0).leaving, "");
}

TEST_F(ControllerTest, AnUpstreamChangesHandsInTwoReloads) {
  ServeWeb(1);
  ServiceSpec shop = Web();
  shop.name = "shop";
  shop.file = "shop.yaml";
  shop.line = 1;
  loaded_.configuration.services = {shop};
  const auto report = Ask([](Controller& c) { return c.Reload(false); });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message,
            "shop.yaml:1: upstream 'web' of gateway 'edge' is still published by service 'web'; "
            "take it away there, reload, and give it to 'shop' with a second reload, once what "
            "used it has drained");
  EXPECT_FALSE(fleet_->Find("web")->leaving);
}

TEST_F(ControllerTest, AConfigurationWithoutAnyServiceMustBeMeant) {
  metrics_.Says("load", 1);
  Start({Web()});
  Tick();
  const auto report = Ask([](Controller& c) { return c.Reload(false); });
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("reload --remove-all"), std::string::npos);
  EXPECT_FALSE(fleet_->Find("web")->leaving);
  EXPECT_TRUE(Ask([](Controller& c) { return c.Reload(true); }).ok());
  EXPECT_TRUE(fleet_->Find("web")->leaving);
}

TEST_F(ControllerTest, WhatCameOfADecisionIsThereAfterACrash) {
  metrics_.Says("load", 2);
  Start({Web()});
  Tick();
  Tick();
  provider_.Becomes("web", "web-1-1", InstanceState::kReady);
  Settle();  // the decision is still open: one instance of two is ready
  Crash();
  Boot();
  const DecisionRecord record = store_->ReadDecisions("web", 1)->at(0);
  EXPECT_EQ(record.decision.desired, 2);
  ASSERT_GE(record.actions.size(), 3u);
  EXPECT_EQ(record.actions[0].text, "web-1-2 is asked for");
  EXPECT_NE(record.actions[1].text.find("web-1-1 is ready"), std::string::npos);
}

// --- Guards ---

TEST_F(ControllerTest, TheBudgetHoldsOverAllServicesAndACrash) {
  changes_per_minute_ = 5;
  Crash();
  Boot();
  metrics_.Says("load", 4);
  ServiceSpec shop = Web();
  shop.name = "shop";
  shop.gateways.clear();
  Start({shop, Web()});
  Tick();  // to min
  Tick();
  EXPECT_EQ(CapacityOf(*fleet_->Find("shop")).desired + Now().desired, 5);
  const auto record = Ask([](Controller& c) { return c.Explain("web"); });
  EXPECT_NE(record->decision.reason.find("3 of 5 changes a minute are left over all services, 1 of "
                                         "them for this one"),
            std::string::npos)
      << record->decision.reason;
  Crash();
  Boot();
  Start({shop, Web()});
  Tick();
  EXPECT_EQ(CapacityOf(*fleet_->Find("shop")).desired + Now().desired, 5);
  clock_.Advance(seconds(60));
  Tick();
  EXPECT_EQ(CapacityOf(*fleet_->Find("shop")).desired, 4);
  EXPECT_EQ(Now().desired, 4);
}

TEST_F(ControllerTest, ABreakerStopsActingSurvivesACrashAndIsClosedByHand) {
  ServeWeb(2);
  provider_.launch_error = Error{ErrorKind::kExhausted, "no port"};
  metrics_.Says("load", 6);
  for (int i = 0; i < 400; ++i) Tick();
  ASSERT_NE(fleet_->Find("web")->breaker, "");
  EXPECT_EQ(Now().ready, 2);
  metrics_.Says("load", 1);  // it does not act in either direction
  Tick();
  EXPECT_EQ(Now().desired, 6);
  EXPECT_EQ(Now().ready, 2);
  auto record = Ask([](Controller& c) { return c.Explain("web"); });
  EXPECT_EQ(record->decision.stages.back().name, "breaker");
  EXPECT_EQ(record->decision.stages.back().reason,
            "breaker open: 10 actions in a row have failed; the last: no port");

  Crash();
  Boot();
  const size_t asked = provider_.history.size();
  Start({Web()});
  Tick();
  EXPECT_EQ(provider_.history.size(), asked) << "a crash is no reason to try again";
  const auto views = Ask([](Controller& c) { return c.ReadServices("web"); });
  EXPECT_TRUE(views->at(0).breaker);
  EXPECT_TRUE(views->at(0).problem.starts_with("breaker open, a person is needed: "))
      << views->at(0).problem;
  EXPECT_EQ(Now().desired, 6);

  provider_.launch_error.reset();
  metrics_.Says("load", 3);
  ASSERT_TRUE(Ask([](Controller& c) { return c.Resume("web"); }).ok());
  for (int i = 0; i < 3; ++i) {
    Tick();
    MakeReady();
  }
  EXPECT_EQ(Now().desired, 3);
  EXPECT_EQ(Now().ready, 3);
  EXPECT_EQ(store_->ReadServices()->at(0).breaker, "");
}

}  // namespace
}  // namespace autoscale
