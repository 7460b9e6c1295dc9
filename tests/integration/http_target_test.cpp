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
  EXPECT_TRUE(
      Says(reload.err, {"web.yaml:1: service 'web' moves from provider http (" + manager_.Url() +
                        "/group at '/capacity') to process, and 2 instances run there: put "
                        "it back; to move it, take it out by a reload"}));
  EXPECT_TRUE(IsAt(2));
  EXPECT_TRUE(rig_.Backends().empty());
}

TEST_F(HttpTargetTest, AStartMovesNoServiceToAnotherProvider) {
  rig_.WriteService("web", "return scale_to(metric(\"load\").value, \"so many\")\n");
  Load(2);
  rig_.Start();
  ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", 2); }));
  const std::set<pid_t> before = rig_.BackendPids();
  EXPECT_EQ(rig_.End(SIGTERM), 0);
  manager_.Resize(5);
  WriteWeb(manager_);
  ExpectRefused("web.yaml:1: service 'web' moves from provider process to http (" + manager_.Url() +
                "/group at '/capacity'), and 2 instances run there: put it back; to move it, take "
                "it out by a reload, and add it anew when its instances have ended");
  EXPECT_EQ(manager_.Ports().size(), 5u);
  EXPECT_EQ(rig_.BackendPids(), before);
  rig_.WriteService("web", "return scale_to(metric(\"load\").value, \"so many\")\n");
  rig_.Start();
  ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", 2); }));
  EXPECT_EQ(rig_.BackendPids(), before);
}

TEST_F(HttpTargetTest, NorToAnotherTargetWhichAReloadTakesAsItIsFound) {
  manager_.Resize(2);
  Load(2);
  rig_.Start();
  Await(2);
  EXPECT_EQ(rig_.End(SIGTERM), 0);
  Manager other(gateway_);
  other.Resize(6);
  WriteWeb(other);
  ExpectRefused("service 'web' moves from " + manager_.Url() + "/group at '/capacity' to " +
                other.Url() +
                "/group at '/capacity', and 2 instances run there: put it back; to move it, change "
                "it by a reload");
  EXPECT_EQ(other.Ports().size(), 6u);
  EXPECT_EQ(gateway_.Serving("web"), manager_.Ports());
  // As it says.
  WriteWeb(manager_);
  rig_.Start();
  Await(2);
  rig_.prometheus().Set("load", "web", 6);
  WriteWeb(other);
  EXPECT_EQ(rig_.Ctl({"reload"}).code, 0);
  ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web") == other.Ports(); }));
  EXPECT_EQ(other.Ports().size(), 6u);
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  rig_.Start();  // from now on that is where it is
  ASSERT_TRUE(Eventually([&] { return IsServing(other, 6); }));
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

TEST_F(HttpTargetTest, WhatSomebodySetsWhileTheDaemonIsDownHoldsWhereItIsShared) {
  WriteWeb(manager_, "capacity: shared\n");
  manager_.Resize(2);
  Load(3);
  rig_.Start();
  Await(3);
  rig_.Write("policies/web.lua", "return hold(\"nothing to say\")\n");
  for (const int signal : {SIGTERM, SIGKILL}) {
    rig_.End(signal);
    const size_t count = signal == SIGTERM ? 6 : 4;
    manager_.Resize(static_cast<int>(count));
    rig_.Start();
    Await(count);
    EXPECT_TRUE(Says(rig_.daemon().Errors(), {"by somebody else: that holds (capacity: shared)"}));
  }
}

TEST_F(HttpTargetTest, WhatSomebodySetsWhileTheDaemonIsDownIsSetBackAndToldWhereItIsManaged) {
  manager_.Resize(2);
  Load(3);
  rig_.Start();
  Await(3);
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  manager_.Resize(6);
  rig_.Start();
  Await(3);
  EXPECT_TRUE(Says(rig_.daemon().Errors(),
                   {"its capacity was changed from 3 to 6 by somebody else: it is set back"}));
}

TEST_F(HttpTargetTest, AFightOverItsCapacityEndsWithAPerson) {
  rig_.ConfigureDaemon("protection: {failures: 3}\n");
  manager_.Resize(2);
  Load(3);
  rig_.Start();
  Await(3);
  for (int i = 0; i < 2; ++i) {
    manager_.Resize(5);
    Await(3);
  }
  manager_.Resize(5);
  const auto told = [&] { return rig_.Service("web").value("problem", ""); };
  ASSERT_TRUE(Eventually([&] {
    return told().find("its capacity was changed 3 times within ") != std::string::npos;
  })) << told();
  EXPECT_TRUE(Says(told(), {"a person is needed",
                            "and set back each time but the last, when it "
                            "went from 3 to 5. Mend it, then `autoscalectl resume web`"}));
  for (const size_t count : {6, 4}) {
    manager_.Resize(static_cast<int>(count));
    ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web") == manager_.Ports(); }));
    EXPECT_EQ(manager_.Ports().size(), count) << "it is left alone, and serves";
  }
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  rig_.Start();
  EXPECT_TRUE(Says(told(), {"its capacity was changed 3 times within "}));
  EXPECT_EQ(manager_.Ports().size(), 4u);
  EXPECT_EQ(rig_.Ctl({"resume", "web"}).code, 0);
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
