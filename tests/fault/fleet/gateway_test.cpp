// Gateways that misbehave as nginx itself will not.
#include <cstdio>
#include <filesystem>
#include <thread>

#include "tests/fault/fleet/fleet_fixture.h"

namespace autoscale {
namespace {

using Mood = FakeNginx::Mood;

constexpr const char* kBoth = "{gateway: edge}, {gateway: spare}";

class GatewayFault : public FleetFixture {
 protected:
  void AwaitBoth(int instances) {
    AwaitSettled(instances);
    ASSERT_TRUE(Eventually([&] { return spare_.Serving("web") == gateway_.Serving("web"); }));
  }
};

TEST_F(GatewayFault, OneThatMisbehavesIsToldSparedAndTakesUpAgainBesideAnother) {
  const std::vector<std::pair<Mood, std::string>> rows = {
      {Mood::kAnswers500, "answered 500: no room"},
      {Mood::kGarbage, "the answer is not HTTP"},
      {Mood::kHalfAnswer, "the connection was closed in the middle of the answer"},
      {Mood::kHangs, "timed out after 1s"},
      {Mood::kFindsListsBad, "refused with 400: peer 1 is not to my taste"},
      {Mood::kFindsListsLarge, "refused with 413: the list is larger than client_max_body_size"},
  };
  WriteService("web", {.gateways = kBoth});
  StartWith(2);
  for (const auto& [mood, told] : rows) {
    SCOPED_TRACE(told);
    const double errors = rig_.Metric("autoscaled_gateway_errors_total");
    gateway_.Be(mood);
    Want(3);
    // The other is served on, and new capacity is used there.
    EXPECT_TRUE(Eventually([&] { return spare_.Serving("web") == Ports(3); }));
    EXPECT_TRUE(Eventually([&] { return StatusSays(told) && Metric("problem") == 1; })) << Status();
    EXPECT_TRUE(LogSays(told));
    EXPECT_GT(rig_.Metric("autoscaled_gateway_errors_total"), errors);
    // It is left in peace: tries grow apart. A moment is looked at, long against none at all.
    const size_t before = gateway_.requests();
    std::this_thread::sleep_for(std::chrono::seconds(2));
    EXPECT_LE(gateway_.requests() - before, 20u);
    EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 0);
    gateway_.Be(Mood::kFine);
    AwaitBoth(3);
    EXPECT_TRUE(Eventually([&] { return Metric("problem") == 0; })) << Status();
    Want(2);
    AwaitBoth(2);
  }
}

TEST_F(GatewayFault, AScaleInWaitsForOneThatDoesNotAnswer) {
  WriteService("web", {.gateways = kBoth});
  StartWith(2);
  AwaitBoth(2);
  const std::set<pid_t> before = rig_.BackendPids();
  gateway_.Be(Mood::kHangs);
  Want(1);
  const std::string told = "scale-in waits: gateway edge does not answer";
  ASSERT_TRUE(Eventually([&] { return LogSays(told) && StatusSays(told); })) << Status();
  EXPECT_TRUE(LogSays("\"level\":\"warn\",\"message\":\"" + told));
  // Longer than drain_timeout, which is ten seconds here.
  std::this_thread::sleep_for(std::chrono::seconds(12));
  EXPECT_EQ(rig_.BackendPids(), before);
  EXPECT_TRUE(Eventually([&] { return spare_.Serving("web") == Ports(2); }));
  gateway_.Be(Mood::kFine);
  AwaitBoth(1);
}

TEST_F(GatewayFault, WhatItMayStillUseIsStoppedOnlyAtTheBoundAndItIsNamed) {
  WriteService("web", {.gateways = kBoth});
  WriteService("other");
  StartWith(2);
  AwaitBoth(2);
  gateway_.Be(Mood::kHangs);
  std::filesystem::remove(rig_.folder() / "services.d/web.yaml");
  Reload();
  ASSERT_TRUE(Eventually([&] { return spare_.Serving("web").empty(); }));
  EXPECT_EQ(rig_.BackendPids().size(), 4u);
  // Ten seconds of drain_timeout: until then all run.
  ASSERT_TRUE(Eventually([&] { return LogSays("of its drain (drain_timeout)"); }));
  EXPECT_TRUE(LogSays("the list without it is not confirmed by edge\""));
  ASSERT_TRUE(Eventually([&] { return rig_.BackendPids().size() == 2; }));
  gateway_.Be(Mood::kFine);
  AwaitSettled(2, "other");
}

TEST_F(GatewayFault, OneThatForgotRemembersWrongOrKnowsMoreIsRepaired) {
  WriteService("web", {.gateways = kBoth});
  StartWith(2);
  AwaitBoth(2);
  gateway_.Forget();
  ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web") == Ports(2); }));
  EXPECT_TRUE(LogSays("gateway edge fell back to list 0.0 from "));
  gateway_.Know("web", 1, 0);  // as from an old file
  ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web") == Ports(2); }));
  EXPECT_TRUE(LogSays("gateway edge fell back to list 1.0 from "));
  gateway_.Know("web", 40, 7);  // pushed by hand, or by a daemon whose database is gone
  ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web") == Ports(2); }));
  EXPECT_TRUE(LogSays("gateway edge knows a higher list, 40.7: ours is raised"));
  EXPECT_TRUE(Eventually([&] { return StatusSays("\"confirmed\": \"40."); })) << Status();
  Want(3);
  AwaitBoth(3);
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 0);
}

}  // namespace
}  // namespace autoscale
