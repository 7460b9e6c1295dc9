// The real daemon before a manager of instances that speaks HTTP, and a gateway.
#include "tests/integration/http_target.h"

#include <csignal>

namespace autoscale {
namespace {

TEST_F(HttpTargetTest, FollowsThePolicyAndDrainsBeforeAnythingEnds) {
  manager_.Resize(1);
  Load(3);
  rig_.Start();
  Await(3);
  EXPECT_TRUE(Says(rig_.Explain("web"), {"so many are asked for"}));
  Load(5);
  Await(5);
  Load(1);
  Await(1);
  EXPECT_EQ(manager_.undrained(), 0);
  EXPECT_EQ(manager_.most(), 5u);
}

TEST_F(HttpTargetTest, KilledWhileAChangeIsAnsweredItGoesOnFromWhatIs) {
  manager_.Resize(2);
  Load(2);
  rig_.Start();
  Await(2);
  manager_.LoseNextAnswer();
  Load(4);
  ASSERT_TRUE(Eventually([&] { return manager_.HasLost(); }));
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  rig_.Start();
  Await(4);
  EXPECT_EQ(manager_.most(), 4u);
  Load(2);
  Await(2);
  EXPECT_EQ(manager_.undrained(), 0);
}

TEST_F(HttpTargetTest, AReloadMovesNoServiceToAnotherProvider) {
  manager_.Resize(2);
  Load(2);
  rig_.Start();
  Await(2);
  rig_.WriteService("web", "return hold()\n");  // of processes
  const DaemonRig::Ended reload = rig_.Ctl({"reload"});
  EXPECT_EQ(reload.code, 1);
  EXPECT_TRUE(Says(reload.err, {"web.yaml:1: service 'web' moves from provider http to process: "
                                "take it out, reload, and put it back"}));
  EXPECT_TRUE(IsAt(2));
  EXPECT_TRUE(rig_.Backends().empty());
}

TEST_F(HttpTargetTest, ARemovalThatIsInterruptedLeavesTheTargetAsItIs) {
  manager_.Resize(3);
  Load(3);
  rig_.Start();
  Await(3);
  rig_.Write("services.d/web.yaml", "services: []\n");
  EXPECT_EQ(rig_.Ctl({"reload", "--remove-all"}).code, 0);
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  rig_.Start();
  ASSERT_TRUE(Eventually([&] { return rig_.Ctl({"status"}).code == 0; }));
  EXPECT_EQ(manager_.Ports().size(), 3u);
  EXPECT_EQ(gateway_.Serving("web"), manager_.Ports());
}

TEST_F(HttpTargetTest, WhatSomebodyElseSetsIsSetBackAndTold) {
  manager_.Resize(2);
  Load(2);
  rig_.Start();
  Await(2);
  Load(3);
  Await(3);  // from here on it is ours
  manager_.Resize(6);
  ASSERT_TRUE(Eventually([&] {
    return rig_.daemon().Errors().find("its capacity was changed from 3 to 6 by somebody else") !=
           std::string::npos;
  })) << rig_.daemon().Errors();
  Await(3);
}

TEST_F(HttpTargetTest, AManagerThatAnswersNonsenseChangesNothing) {
  manager_.Resize(3);
  Load(3);
  rig_.Start();
  Await(3);
  manager_.Break(
      FakeAnswer{.body = "<html>maintenance", .headers = {{"Content-Type", "text/html"}}});
  ASSERT_TRUE(Eventually([&] {
    return rig_.Ctl({"status", "web"}).out.find("the answer is not JSON") != std::string::npos;
  })) << rig_.Ctl({"status", "web"}).out;
  Load(1);
  ASSERT_TRUE(Eventually([&] {
    return rig_.daemon().Errors().find("answered with a page for people") != std::string::npos;
  })) << rig_.daemon().Errors();
  EXPECT_EQ(manager_.Ports().size(), 3u);
  manager_.Break(std::nullopt);
  Await(1);
  EXPECT_EQ(manager_.undrained(), 0);
}

}  // namespace
}  // namespace autoscale
