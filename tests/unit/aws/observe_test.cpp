// What is seen of groups.
#include "providers/aws/account.h"
#include "providers/aws/answer.h"
#include "tests/unit/aws/rig.h"

namespace autoscale {
namespace {

class AwsObserve : public AwsRig {};

TEST_F(AwsObserve, AGroupIsItsCapacityAndItsInstances) {
  aws_.Make("web", 2);
  const Observation seen = See(Target("web", "port: 8080\npoll: 7s\n"));
  EXPECT_EQ(seen.capacity, 2);
  EXPECT_EQ(seen.abilities,
            (TargetAbilities{
                .names_instances = false, .ends_exactly = true, .poll = std::chrono::seconds(7)}));
  ASSERT_EQ(seen.instances.size(), 2u);
  EXPECT_EQ(seen.instances[1].id, "i-web-2");
  EXPECT_EQ(seen.instances[1].endpoint, "10.0.0.2:8080");
  EXPECT_EQ(seen.instances[1].state, InstanceState::kReady);
  EXPECT_EQ(seen.instances[1].kept, "");
  const AwsCall call = aws_.Calls("DescribeAutoScalingGroups").at(0);
  EXPECT_TRUE(call.authorization.starts_with(
      "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-central-1/autoscaling/aws4_request, "
      "SignedHeaders=content-type;host;x-amz-date, Signature="))
      << call.authorization;
}

TEST_F(AwsObserve, HundredsOfGroupsAreAFewCalls) {
  std::vector<TargetRef> refs;
  for (int i = 0; i < 250; ++i) {
    const std::string name = "g" + std::to_string(i);
    aws_.Make(name, 1);
    refs.push_back(Target(name));
  }
  aws_.PageBy(40);  // AWS may answer fewer than it was asked for
  const auto seen = Observe(refs);
  for (const Observation& each : seen) {
    EXPECT_FALSE(each.fault);
    EXPECT_EQ(each.capacity, 1);
    EXPECT_EQ(each.instances.at(0).id, "i-" + each.service + "-1");
  }
  // 100, 100 and 50 names: 3, 3 and 2 pages; 250 ids: 200 and 50.
  EXPECT_EQ(aws_.Count("DescribeAutoScalingGroups"), 8u);
  EXPECT_EQ(aws_.Count("DescribeInstances"), 2u);
  aws_.PageBy(100);
  aws_.ForgetCalls();
  Observe(refs);
  EXPECT_EQ(aws_.Count("DescribeAutoScalingGroups"), 3u);
  EXPECT_EQ(aws_.Count("DescribeInstances"), 0u) << "private addresses stay as they are";
}

TEST_F(AwsObserve, OnlyNewInstancesAreAskedAbout) {
  aws_.Make("web", 2);
  See(Target());
  aws_.Edit("web", [](FakeGroup& g) { g.instances.push_back({.id = "i-web-3"}); });
  aws_.ForgetCalls();
  EXPECT_EQ(See(Target()).instances.size(), 3u);
  const auto calls = aws_.Calls("DescribeInstances");
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].At("Filter.1.Value.1"), "i-web-3");
  EXPECT_EQ(calls[0].At("Filter.1.Value.2"), "");
}

TEST_F(AwsObserve, PublicAddressesAreReadAgainNowAndThen) {
  aws_.Make("web", 1);
  const TargetRef ref = Target("web", "port: 80\naddress: public\n");
  EXPECT_EQ(See(ref).instances.at(0).endpoint, "203.0.113.1:80");
  See(ref);
  EXPECT_EQ(aws_.Count("DescribeInstances"), 1u);
  later_ = std::chrono::seconds(61);
  See(ref);
  EXPECT_EQ(aws_.Count("DescribeInstances"), 2u);
}

TEST_F(AwsObserve, WithoutAPortNothingIsAskedOfEc2) {
  aws_.Make("web", 2);
  const Observation seen = See(Target("web", ""));
  EXPECT_EQ(seen.instances.size(), 2u);
  EXPECT_EQ(seen.instances[0].endpoint, "");
  EXPECT_EQ(seen.instances[0].state, InstanceState::kReady);
  EXPECT_EQ(aws_.Count("DescribeInstances"), 0u);
}

TEST_F(AwsObserve, EveryLifecycleStateIsWhatItIs) {
  const std::map<std::string, std::optional<InstanceState>> states = {
      {"Pending", InstanceState::kStarting},
      {"Pending:Wait", InstanceState::kStarting},
      {"Pending:Proceed", InstanceState::kStarting},
      {"Quarantined", InstanceState::kStarting},
      {"InService", InstanceState::kReady},
      {"Terminating", InstanceState::kStopping},
      {"Terminating:Wait", InstanceState::kStopping},
      {"Terminating:Proceed", InstanceState::kStopping},
      {"Terminating:Retained", InstanceState::kStopping},
      {"Terminated", std::nullopt},
      {"Detaching", InstanceState::kStopping},
      {"Detached", std::nullopt},
      {"EnteringStandby", InstanceState::kStopping},
      {"Standby", std::nullopt},
      {"Warmed:Pending", std::nullopt},
      {"Warmed:Running", std::nullopt},
      {"Warmed:Stopped", std::nullopt},
      {"Warmed:Hibernated", std::nullopt},
      {"Warmed:Terminating:Wait", std::nullopt},
  };
  aws_.Make("web", 1);
  for (const auto& [lifecycle, state] : states) {
    aws_.Edit("web", [&](FakeGroup& g) { g.instances[0].lifecycle = lifecycle; });
    const Observation seen = See(Target());
    ASSERT_EQ(seen.instances.size(), state ? 1u : 0u) << lifecycle;
    if (!state) continue;
    EXPECT_EQ(seen.instances[0].state, *state) << lifecycle;
  }
}

TEST_F(AwsObserve, AnUnhealthyInstanceIsNotReady) {
  aws_.Make("web", 2);
  aws_.Edit("web", [](FakeGroup& g) { g.instances[0].health = "Unhealthy"; });
  const Observation seen = See(Target());
  EXPECT_EQ(seen.instances[0].state, InstanceState::kUnready);
  EXPECT_EQ(seen.instances[0].detail, "Unhealthy");
}

TEST_F(AwsObserve, ProtectedInstancesAreNoVictims) {
  aws_.Make("web", 3);
  aws_.Edit("web", [](FakeGroup& g) { g.instances[1].is_protected = true; });
  const Observation seen = See(Target());
  EXPECT_EQ(seen.instances[0].kept, "");
  EXPECT_EQ(seen.instances[1].kept, "it is protected from scale-in in its group");
}

TEST_F(AwsObserve, AsManyAsMinSizeAsksForAreKept) {
  aws_.Make("web", 4, 3);
  aws_.Edit("web", [](FakeGroup& g) {
    g.instances[0].lifecycle = "Pending";
    g.instances[3].is_protected = true;
  });
  const Observation seen = See(Target());
  EXPECT_EQ(seen.instances[0].kept, "") << "it has not served yet";
  EXPECT_EQ(seen.instances[1].kept, "the group's MinSize is 3");
  EXPECT_EQ(seen.instances[2].kept, "the group's MinSize is 3");
  EXPECT_NE(seen.instances[3].kept, "");
}

TEST_F(AwsObserve, NothingGoesWhileTerminateIsSuspended) {
  aws_.Make("web", 2);
  aws_.Edit("web", [](FakeGroup& g) { g.suspended = {"AZRebalance", "Terminate"}; });
  const Observation seen = See(Target());
  EXPECT_EQ(seen.blocked, "") << "it may grow";
  for (const auto& each : seen.instances) {
    EXPECT_EQ(each.kept, "the group's process Terminate is suspended");
  }
}

TEST_F(AwsObserve, WhatMustNotBeScaledSaysWhy) {
  aws_.Make("web", 2);
  aws_.Edit("web", [](FakeGroup& g) { g.instances[0].weight = "4"; });
  EXPECT_TRUE(Has(See(Target()).blocked, "counted in weights"));
  aws_.Edit("web", [](FakeGroup& g) {
    g.instances[0].weight = "1";
    g.status = "Delete in progress";
  });
  EXPECT_EQ(See(Target()).blocked, "the group is being deleted (Delete in progress)");
}

TEST_F(AwsObserve, AGroupThatIsNotThereIsOneTargetsFault) {
  aws_.Make("web", 1);
  const auto seen = Observe({Target("web"), Target("wbe")});
  EXPECT_FALSE(seen[0].fault);
  ASSERT_TRUE(seen[1].fault);
  EXPECT_EQ(seen[1].fault->kind, ErrorKind::kNotFound);
  EXPECT_EQ(seen[1].fault->message,
            "Auto Scaling group wbe (eu-central-1): there is none of this name");
}

TEST_F(AwsObserve, AnswersThatAreNotClearAreFaults) {
  const std::vector<std::pair<FakeAnswer, std::string>> cases = {
      {{.body = "<html><p>Welcome"}, "is not XML, or not all of it; it begins with '<html>"},
      {{.body = "<html></html>"}, "is no DescribeAutoScalingGroupsResponse but 'html'"},
      {{.body = ""}, "the answer is empty"},
      {{.body = "<DescribeAutoScalingGroupsResponse/>"}, "has no AutoScalingGroups"},
      {{.body = "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult>"
                "<AutoScalingGroups><member><AutoScalingGroupName>web</AutoScalingGroupName>"
                "<DesiredCapacity>many</DesiredCapacity></member></AutoScalingGroups>"
                "</DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"},
       "group 'web': the answer has 'many' as DesiredCapacity, not a whole number"},
      {FakeAws::Error(403, "AccessDenied", "User x is not authorized to perform: y"),
       "answered 403 (AccessDenied): User x is not authorized"},
      {{.status = 400, .body = "oops"}, "answered 400"},
  };
  aws_.Make("web", 1);
  for (const auto& [answer, told] : cases) {
    aws_.Fail("DescribeAutoScalingGroups", answer);
    const std::string fault = FaultOf(Target());
    EXPECT_TRUE(Has(fault, told)) << fault;
    EXPECT_TRUE(Has(fault, "web (eu-central-1): autoscaling:DescribeAutoScalingGroups")) << fault;
  }
  EXPECT_EQ(FaultOf(Target()), "");
}

TEST_F(AwsObserve, HalfAnswersAreAskedForAgain) {
  aws_.Make("web", 1);
  aws_.Fail("DescribeAutoScalingGroups",
            {.body = "<DescribeAutoScalingGroupsResponse><A>", .ending = FakeAnswer::Ending::kCut});
  aws_.Fail("DescribeAutoScalingGroups", {.ending = FakeAnswer::Ending::kDrop, .close = true});
  EXPECT_EQ(FaultOf(Target()), "");
  EXPECT_EQ(aws_.Count("DescribeAutoScalingGroups"), 3u);
}

TEST_F(AwsObserve, AnOutageOfEc2LeavesWhatIsKnown) {
  aws_.Make("web", 1);
  See(Target());
  aws_.Edit("web", [](FakeGroup& g) { g.instances.push_back({.id = "i-web-2"}); });
  aws_.Fail("DescribeInstances", {.status = 503}, 3);
  const Observation seen = See(Target());
  EXPECT_EQ(seen.instances[0].endpoint, "10.0.0.1:8080");
  EXPECT_EQ(seen.instances[1].state, InstanceState::kStarting);
  EXPECT_TRUE(Has(seen.instances[1].detail, "its address is not known: ec2:DescribeInstances"));
  EXPECT_EQ(See(Target()).instances[1].state, InstanceState::kReady);
  aws_.Edit("web", [](FakeGroup& g) { g.instances.push_back({.id = "i-web-3"}); });
  aws_.Fail("DescribeInstances",
            {.status = 403,
             .body = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are "
                     "not authorized</Message></Error></Errors></Response>"});
  EXPECT_TRUE(
      Has(FaultOf(Target()), "ec2:DescribeInstances: answered 403 (UnauthorizedOperation)"));
}

// --- Shortages ---

class AwsShortage : public AwsRig {
 protected:
  static std::string Activity(const std::string& status, const std::string& message) {
    return "<member><Description>Launching a new EC2 instance.  Status Reason: x</Description>"
           "<StatusCode>" +
           status + "</StatusCode><StatusMessage>" + message + "</StatusMessage></member>";
  }
  const std::string lack_ =
      "We currently do not have sufficient c5.large capacity in the Availability Zone you "
      "requested (eu-central-1a). Launching EC2 instance failed.";
};

TEST_F(AwsShortage, IsAskedAboutOnceItHasLastedAndToldWithItsText) {
  aws_.Make("web", 2);
  aws_.Edit("web", [&](FakeGroup& g) {
    g.desired = 4;
    g.activities = Activity("Failed", lack_) + Activity("Successful", "");
  });
  EXPECT_FALSE(See(Target()).shortage);
  EXPECT_EQ(aws_.Count("DescribeScalingActivities"), 0u) << "they may be on their way";
  later_ = std::chrono::seconds(31);
  See(Target());  // asks
  const Observation seen = [&] {
    Observation told;
    for (int i = 0; i < 100 && !told.shortage; ++i) told = See(Target());
    return told;
  }();
  ASSERT_TRUE(seen.shortage);
  EXPECT_EQ(seen.shortage->kind, ErrorKind::kExhausted);
  EXPECT_EQ(seen.shortage->message, "AWS has no capacity for it: " + lack_);
  EXPECT_EQ(aws_.Count("DescribeScalingActivities"), 1u) << "once a minute";
  aws_.Edit("web", [](FakeGroup& g) { g.desired = 2; });
  EXPECT_FALSE(See(Target()).shortage);
}

TEST(AwsActivities, SayWhatKeepsInstancesAway) {
  const auto of = [](const std::string& status, const std::string& message) {
    return aws::Activity{
        .status = status, .description = "Launching a new EC2 instance", .message = message};
  };
  EXPECT_FALSE(aws::ShortageIn({}));
  EXPECT_FALSE(aws::ShortageIn({of("InProgress", "")}));
  EXPECT_FALSE(aws::ShortageIn({of("Successful", ""), of("Failed", "x")}));
  EXPECT_EQ(aws::ShortageIn({of("InProgress", ""), of("Failed", "Insufficient capacity.")})->kind,
            ErrorKind::kExhausted);
  EXPECT_EQ(aws::ShortageIn({of("Failed",
                                "You have requested more vCPU capacity than your current "
                                "vCPU limit")})
                ->kind,
            ErrorKind::kExhausted);
  const auto other = aws::ShortageIn({of("Failed", "The image id '[ami-1]' does not exist")});
  EXPECT_EQ(other->kind, ErrorKind::kUnavailable);
  EXPECT_TRUE(Has(other->message, "its launch failed: The image id"));
  aws::Activity ending{
      .status = "Failed", .description = "Terminating EC2 instance", .message = "x"};
  EXPECT_FALSE(aws::ShortageIn({ending}));
}

TEST_F(AwsObserve, WhomWeEndedIsForgottenAlsoWhereNoAddressesAreRead) {
  aws_.Make("web", 1);
  const AwsAccess access{.region = "eu-central-1",
                         .profile = "",
                         .autoscaling = aws_.Url(),
                         .ec2 = aws_.Url(),
                         .sts = aws_.Url(),
                         .ca_file = ""};
  aws::Account account(loop_, http_, access, Options());
  const auto read = [&] {
    account.ReadGroup("web", {}, [&](const Result<aws::GroupPtr>& group) {
      EXPECT_TRUE(group.ok());
      loop_.Stop();
    });
    loop_.Run();
  };
  account.RememberEnded("i-web-1");
  read();
  EXPECT_TRUE(account.HasEnded("i-web-1"));
  later_ += std::chrono::hours(2);
  read();
  EXPECT_FALSE(account.HasEnded("i-web-1"));
}

}  // namespace
}  // namespace autoscale
