// The real daemon before moto and a gateway. Skipped without moto: tests/real/fetch_moto gets it.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "tests/fault/fleet/fake_nginx.h"
#include "tests/integration/daemon_rig.h"
#include "tests/real/moto.h"

namespace autoscale {
namespace {

constexpr const char* kTerminate = "TerminateInstanceInAutoScalingGroup";

class AwsDaemonTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto program = FindMoto();
    if (!program) GTEST_SKIP() << "no moto: tests/real/fetch_moto gets it";
    setenv("AWS_ACCESS_KEY_ID", "testing", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "very-secret-indeed", 1);
    moto_ = std::make_unique<Moto>(*program);
    moto_->Reset();
    proxy_ = std::make_unique<MotoProxy>(*moto_);
    rig_.ConfigureDaemon("gateways: {edge: {" + gateway_.Section() + "}}\n");
    rig_.Write("policies/web.lua",
               "return scale_to(metric(\"load\").value, \"so many are asked for\")\n");
    rig_.Write("services.d/web.yaml",
               "service: web\npolicy: ../policies/web.lua\ninterval: 250ms\nmax: 8\n"
               "metrics: {load: shared}\ngateways: [{gateway: edge}]\ndrain_timeout: 10s\n"
               "scaling: {down: {stabilization: 0s, max_step_percent: 100}}\n"
               "provider:\n  type: aws\n  region: us-east-1\n  group: web-asg\n  port: 8080\n"
               "  endpoint: " +
                   proxy_->Url() + "\n  poll: 300ms\n  timeout: 3s\n");
  }
  void TearDown() override {
    if (moto_) {
      EXPECT_EQ(rig_.daemon().Errors().find("very-secret-indeed"), std::string::npos);
    }
  }

  void Load(double value) { rig_.prometheus().Set("load", "web", value); }
  // Whom the gateway sends requests to.
  std::set<std::string> Serving() const {
    std::set<std::string> hosts;
    const nlohmann::json list = gateway_.List("web");
    for (const auto& peer : list.value("peers", nlohmann::json::array())) {
      if (peer["state"] == "serving" && peer["port"] == 8080) hosts.insert(peer["host"]);
    }
    return hosts;
  }
  // Moto, gateway and status agree.
  bool IsAt(size_t count) {
    const std::set<std::string> addresses = moto_->Addresses("web-asg");
    if (addresses.size() != count || Serving() != addresses) return false;
    const nlohmann::json service = rig_.Service("web");
    return !service.is_null() && service["capacity"]["desired"] == count &&
           service["capacity"]["ready"] == count && service["instances"].size() == count;
  }
  void Await(size_t count) {
    ASSERT_TRUE(Eventually([&] { return IsAt(count); }))
        << moto_->Addresses("web-asg").size() << rig_.Ctl({"status", "web"}).out
        << rig_.Explain("web");
  }

  FakeNginx gateway_;
  std::unique_ptr<Moto> moto_;
  std::unique_ptr<MotoProxy> proxy_;
  DaemonRig rig_;
};

TEST_F(AwsDaemonTest, KilledInTheMiddleOfAChangeNothingIsAskedTwice) {
  moto_->MakeGroup("web-asg", 2, 1, 8);
  Load(2);
  rig_.Start();
  Await(2);

  proxy_->Fail("SetDesiredCapacity", {.ending = FakeAnswer::Ending::kHang}, 1, /*done=*/true);
  Load(5);
  ASSERT_TRUE(Eventually([&] { return proxy_->Done("SetDesiredCapacity") == 1; }));
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  rig_.Start();
  Await(5);
  EXPECT_EQ(proxy_->Done("SetDesiredCapacity"), 1);

  proxy_->Fail(kTerminate, {.ending = FakeAnswer::Ending::kHang}, 1, /*done=*/true);
  Load(2);
  ASSERT_TRUE(Eventually([&] { return proxy_->Done(kTerminate) == 1; }));
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  rig_.Start();
  Await(2);
  EXPECT_EQ(proxy_->Done(kTerminate), 3);
  EXPECT_EQ(proxy_->Done("SetDesiredCapacity"), 1);
  EXPECT_EQ(moto_->Group("web-asg").desired, 2);
}

TEST_F(AwsDaemonTest, ProtectedInstancesAndMinSizeBoundAScaleIn) {
  moto_->MakeGroup("web-asg", 5, 2, 8);
  const std::string id = *moto_->Ids("web-asg").rbegin();
  moto_->Call("autoscaling", "SetInstanceProtection",
              {{"AutoScalingGroupName", "web-asg"},
               {"InstanceIds.member.1", id},
               {"ProtectedFromScaleIn", "true"}});
  Load(5);
  rig_.Start();
  Await(5);
  Load(1);
  Await(2);
  EXPECT_TRUE(moto_->Ids("web-asg").contains(id));
  EXPECT_TRUE(Says(rig_.Ctl({"status", "web", "-o", "json"}).out,
                   {"it is protected from scale-in in its group", "the group's MinSize is 2"}));
}

TEST_F(AwsDaemonTest, BeyondMaxSizeIsToldAndNothingElseSuffers) {
  moto_->MakeGroup("web-asg", 2, 0, 3);
  Load(2);
  rig_.Start();
  Await(2);
  Load(6);
  ASSERT_TRUE(Eventually([&] {
    return rig_.Ctl({"status", "web"}).out.find("it allows 0 to 3 instances") != std::string::npos;
  })) << rig_.Ctl({"status", "web"}).out;
  EXPECT_EQ(proxy_->Asked("SetDesiredCapacity"), 0);
  Load(3);
  Await(3);
}

TEST_F(AwsDaemonTest, AnInstanceThatVanishesIsOffTheListAndItsReplacementOnIt) {
  moto_->MakeGroup("web-asg", 3, 0, 8);
  Load(3);
  rig_.Start();
  Await(3);
  moto_->Call("ec2", "TerminateInstances", {{"InstanceId.1", *moto_->Ids("web-asg").begin()}});
  Await(3);
  Load(1);
  Await(1);
}

}  // namespace
}  // namespace autoscale
