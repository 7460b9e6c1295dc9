// The real daemon before a fake of AWS and a gateway: what moto has not, lifecycle hooks above all.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/fault/fleet/fake_nginx.h"
#include "tests/integration/daemon_rig.h"
#include "tests/unit/aws/fake_aws.h"

namespace autoscale {
namespace {

class AwsTargetTest : public testing::Test {
 protected:
  void Start(const std::string& more) {
    setenv("AWS_ACCESS_KEY_ID", "testing", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "testing", 1);
    rig_.ConfigureDaemon("gateways: {edge: {" + gateway_.Section() + "}}\n");
    rig_.Write("policies/web.lua", "return scale_to(metric(\"load\").value)\n");
    rig_.Write("services.d/web.yaml",
               "service: web\npolicy: ../policies/web.lua\ninterval: 250ms\nmax: 8\n"
               "metrics: {load: shared}\ngateways: [{gateway: edge}]\ndrain_timeout: 20s\n"
               "scaling: {down: {stabilization: 0s, max_step_percent: 100}}\n" +
                   more +
                   "provider:\n  type: aws\n  region: us-east-1\n  group: web\n  port: 8080\n"
                   "  lifecycle_hook: drain\n  poll: 200ms\n  timeout: 2s\n  endpoint: " +
                   aws_.Url() + "\n");
    rig_.prometheus().Set("load", "web", 3);
    aws_.Make("web", 3);
    rig_.Start();
    ASSERT_TRUE(Eventually([&] { return Hosts("serving").size() == 3; })) << Status();
  }
  std::string Status() { return rig_.Ctl({"status", "web"}).out + rig_.daemon().Errors(); }
  // As the gateway has them.
  std::set<std::string> Hosts(const std::string& state) const {
    std::set<std::string> hosts;
    const nlohmann::json list = gateway_.List("web");
    for (const auto& peer : list.value("peers", nlohmann::json::array())) {
      if (peer["state"] == state) hosts.insert(peer["host"]);
    }
    return hosts;
  }
  std::string LifecycleOf(size_t nth) const {
    const auto instances = aws_.Get("web").instances;
    return nth < instances.size() ? instances[nth].lifecycle : "gone";
  }
  // As AWS does when it interrupts one, and starts another in its place.
  void Interrupt(size_t nth) {
    aws_.Edit("web", [&](FakeGroup& g) {
      g.instances[nth].lifecycle = "Terminating:Wait";
      g.instances.push_back({.id = "i-web-9", .lifecycle = "Pending"});
    });
  }

  FakeNginx gateway_;
  FakeAws aws_;
  DaemonRig rig_;
};

TEST_F(AwsTargetTest, AnInterruptedInstanceIsDrainedAndThenLetGo) {
  Start("");
  gateway_.Be(FakeNginx::Mood::kHangs);  // nobody confirms that it gets no requests any more
  Interrupt(0);
  ASSERT_TRUE(Eventually([&] {
    return Status().find("is being ended by its target (Terminating:Wait): it is drained") !=
           std::string::npos;
  })) << Status();
  EXPECT_EQ(aws_.Count("CompleteLifecycleAction"), 0u);
  EXPECT_EQ(LifecycleOf(0), "Terminating:Wait");
  gateway_.Be(FakeNginx::Mood::kFine);
  ASSERT_TRUE(Eventually([&] { return LifecycleOf(0) == "Terminating:Proceed"; })) << Status();
  EXPECT_FALSE(Hosts("serving").contains("10.0.0.1"));
  EXPECT_EQ(aws_.Calls("CompleteLifecycleAction").at(0).At("InstanceId"), "i-web-1");
  aws_.Edit("web", [](FakeGroup& g) {
    g.instances.erase(g.instances.begin());
    g.instances.back().lifecycle = "InService";
  });
  ASSERT_TRUE(Eventually([&] {
    return Hosts("serving") == std::set<std::string>{"10.0.0.2", "10.0.0.3", "10.0.0.9"};
  })) << Status();
  EXPECT_EQ(aws_.Get("web").desired, 3);
  EXPECT_EQ(aws_.Count("TerminateInstanceInAutoScalingGroup"), 0u);
  EXPECT_EQ(aws_.Count("SetDesiredCapacity"), 0u);
}

TEST_F(AwsTargetTest, WhatIsScaledInDoesNotWaitForItsHook) {
  Start("");
  rig_.prometheus().Set("load", "web", 2);
  ASSERT_TRUE(Eventually([&] { return aws_.Count("TerminateInstanceInAutoScalingGroup") == 1; }))
      << Status();
  size_t victim = 0;
  while (LifecycleOf(victim) != "Terminating") ++victim;
  EXPECT_FALSE(Hosts("serving").contains("10.0.0." + std::to_string(victim + 1)));
  aws_.Edit("web", [&](FakeGroup& g) { g.instances[victim].lifecycle = "Terminating:Wait"; });
  ASSERT_TRUE(Eventually([&] { return LifecycleOf(victim) == "Terminating:Proceed"; })) << Status();
  EXPECT_EQ(aws_.Get("web").desired, 2);
  EXPECT_EQ(aws_.Count("TerminateInstanceInAutoScalingGroup"), 1u);
}

TEST_F(AwsTargetTest, AWarmPoolAndStandbyServeNobody) {
  Start("");
  aws_.Edit("web", [](FakeGroup& g) {
    g.instances[2].lifecycle = "Standby";
    g.instances.push_back({.id = "i-web-4", .lifecycle = "Warmed:Running"});
    g.instances.push_back({.id = "i-web-5"});
  });
  ASSERT_TRUE(Eventually([&] {
    return Hosts("serving") == std::set<std::string>{"10.0.0.1", "10.0.0.2", "10.0.0.5"};
  })) << Status();
  EXPECT_TRUE(Hosts("draining").empty());
}

TEST_F(AwsTargetTest, WhereSomebodyElseScalesItOnlyPublishesAndDrains) {
  Start("capacity: external\n");
  rig_.prometheus().Set("load", "web", 6);
  Interrupt(0);
  ASSERT_TRUE(Eventually([&] {
    return Hosts("serving") == std::set<std::string>{"10.0.0.2", "10.0.0.3"};
  })) << Status();
  aws_.Edit("web", [](FakeGroup& g) { g.instances.back().lifecycle = "InService"; });
  ASSERT_TRUE(Eventually([&] { return Hosts("serving").contains("10.0.0.9"); })) << Status();
  EXPECT_EQ(aws_.Count("SetDesiredCapacity"), 0u);
}

}  // namespace
}  // namespace autoscale
