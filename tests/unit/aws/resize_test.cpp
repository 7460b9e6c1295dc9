// What is asked of groups.
#include "tests/unit/aws/rig.h"

namespace autoscale {
namespace {

using Ending = FakeAnswer::Ending;
constexpr const char* kTerminate = "TerminateInstanceInAutoScalingGroup";

CapacityWish Wish(int capacity, int seen, std::vector<std::string> victims = {}) {
  return {.capacity = capacity, .victims = std::move(victims), .seen = seen, .intent = "web/1/1"};
}

class AwsResize : public AwsRig {
 protected:
  std::string LifecycleOf(const std::string& id) const {
    for (const FakeInstance& instance : aws_.Get("web").instances) {
      if (instance.id == id) return instance.lifecycle;
    }
    return "gone";
  }
  // That it fails, and how.
  void Refuses(const CapacityWish& wish, ErrorKind kind, const std::string& told,
               const std::string& more = "port: 8080\n") {
    const Status status = Set(Target("web", more), wish);
    ASSERT_FALSE(status.ok()) << told;
    EXPECT_EQ(status.error().kind, kind) << status.error().message;
    EXPECT_TRUE(Has(status.error().message, told)) << status.error().message;
    EXPECT_TRUE(status.error().message.starts_with("Auto Scaling group web (eu-central-1): "));
  }
};

TEST_F(AwsResize, GrowsWithoutWaitingForCooldowns) {
  aws_.Make("web", 2);
  EXPECT_TRUE(Set(Target(), Wish(5, 2)).ok());
  EXPECT_EQ(aws_.Get("web").desired, 5);
  const auto calls = aws_.Calls("SetDesiredCapacity");
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].At("HonorCooldown"), "false");
  EXPECT_TRUE(Set(Target(), Wish(5, 2)).ok()) << "asked again, it is as wished";
  EXPECT_EQ(aws_.Count("SetDesiredCapacity"), 1u);
}

TEST_F(AwsResize, ShrinksByExactlyTheVictims) {
  aws_.Make("web", 4);
  EXPECT_TRUE(Set(Target(), Wish(2, 4, {"i-web-2", "i-web-3"})).ok());
  EXPECT_EQ(aws_.Get("web").desired, 2);
  EXPECT_EQ(LifecycleOf("i-web-2"), "Terminating");
  EXPECT_EQ(LifecycleOf("i-web-3"), "Terminating");
  EXPECT_EQ(LifecycleOf("i-web-1"), "InService");
  EXPECT_EQ(aws_.Count("SetDesiredCapacity"), 0u) << "AWS is never let choose";
  EXPECT_TRUE(Set(Target(), Wish(2, 4, {"i-web-2", "i-web-3"})).ok());
  EXPECT_EQ(aws_.Count(kTerminate), 2u);
}

TEST_F(AwsResize, AVictimWhoseReplacementIsWantedLeavesTheCapacity) {
  aws_.Make("web", 3);
  EXPECT_TRUE(Set(Target(), Wish(3, 3, {"i-web-1"})).ok());
  EXPECT_EQ(aws_.Get("web").desired, 3);
  EXPECT_EQ(aws_.Calls(kTerminate).at(0).At("ShouldDecrementDesiredCapacity"), "false");
  EXPECT_TRUE(Set(Target(), Wish(5, 3, {"i-web-2"})).ok());
  EXPECT_EQ(aws_.Get("web").desired, 5);
}

TEST_F(AwsResize, WhatHasNotComeIsTakenBackByTheCapacityAlone) {
  aws_.Make("web", 2);
  aws_.Edit("web", [](FakeGroup& g) { g.desired = 6; });
  EXPECT_TRUE(Set(Target(), Wish(3, 6)).ok());
  EXPECT_EQ(aws_.Get("web").desired, 3);
  // But not once they are there: AWS would choose who goes.
  aws_.Make("web", 6);
  Refuses(Wish(3, 6), ErrorKind::kConflict, "instances that were not known");
  EXPECT_EQ(aws_.Get("web").desired, 6);
}

TEST_F(AwsResize, AnotherCapacityThanWasSeenIsAConflict) {
  aws_.Make("web", 4);
  Refuses(Wish(5, 3), ErrorKind::kConflict, "its capacity is 4 now, not 3");
  Refuses(Wish(2, 3, {"i-web-1"}), ErrorKind::kConflict, "its capacity is 4 now, not 3");
  EXPECT_EQ(aws_.Count(kTerminate) + aws_.Count("SetDesiredCapacity"), 0u);
}

TEST_F(AwsResize, NeverBeyondMinSizeAndMaxSize) {
  aws_.Make("web", 3, 2, 4);
  Refuses(
      Wish(5, 3), ErrorKind::kOutOfRange,
      "it allows 2 to 4 instances (MinSize, MaxSize), not 5: compare the service's min and max");
  Refuses(Wish(1, 3, {"i-web-1", "i-web-2"}), ErrorKind::kOutOfRange, "not 1");
  EXPECT_EQ(aws_.Count(kTerminate) + aws_.Count("SetDesiredCapacity"), 0u);
  aws_.Fail(kTerminate, FakeAws::Error(400, "ValidationError",
                                       "Currently, desiredSize equals minSize (2). Terminating "
                                       "instance without replacement will violate group's min "
                                       "size constraint."));
  Refuses(Wish(2, 3, {"i-web-1"}), ErrorKind::kOutOfRange, "min size constraint");
}

TEST_F(AwsResize, AProtectedInstanceIsNeverEnded) {
  aws_.Make("web", 3);
  aws_.Edit("web", [](FakeGroup& g) { g.instances[0].is_protected = true; });
  Refuses(Wish(1, 3, {"i-web-1", "i-web-2"}), ErrorKind::kBlocked,
          "i-web-1 is protected from scale-in");
  EXPECT_EQ(aws_.Count(kTerminate), 0u);
}

TEST_F(AwsResize, SuspendedProcessesBlock) {
  aws_.Make("web", 3);
  aws_.Edit("web", [](FakeGroup& g) { g.suspended = {"Terminate"}; });
  Refuses(Wish(2, 3, {"i-web-1"}), ErrorKind::kBlocked, "its process Terminate is suspended");
  EXPECT_TRUE(Set(Target(), Wish(4, 3)).ok());
  aws_.Edit("web", [](FakeGroup& g) { g.suspended = {"Launch"}; });
  Refuses(Wish(5, 4), ErrorKind::kBlocked, "its process Launch is suspended");
}

TEST_F(AwsResize, AGrowingWishEndsNobodyWhomAShrinkingOneWouldNot) {
  aws_.Make("web", 4);
  aws_.Edit("web", [](FakeGroup& g) { g.instances[0].is_protected = true; });
  Refuses(Wish(6, 4, {"i-web-1"}), ErrorKind::kBlocked, "i-web-1 is protected from scale-in");
  aws_.Edit("web", [](FakeGroup& g) { g.suspended = {"Terminate"}; });
  Refuses(Wish(6, 4, {"i-web-2"}), ErrorKind::kBlocked, "its process Terminate is suspended");
  EXPECT_EQ(aws_.Count(kTerminate) + aws_.Count("SetDesiredCapacity"), 0u);
  EXPECT_TRUE(Set(Target(), Wish(6, 4)).ok()) << "only ending is suspended";
}

TEST_F(AwsResize, WhatAwsSaysAgainstItSaysWhatToDo) {
  aws_.Make("web", 3);
  const std::vector<std::tuple<FakeAnswer, ErrorKind, std::string>> cases = {
      {FakeAws::Error(400, "ScalingActivityInProgress", "Scaling activity abc is in progress"),
       ErrorKind::kBlocked, "answered 400 (ScalingActivityInProgress): Scaling activity abc"},
      {FakeAws::Error(403, "AccessDenied"), ErrorKind::kForbidden, "(AccessDenied)"},
      {FakeAws::Error(400, "ValidationError",
                      "New SetDesiredCapacity value 5 is above max value 4"),
       ErrorKind::kOutOfRange, "above max value 4"},
      {FakeAws::Error(400, "ValidationError", "odd"), ErrorKind::kInvalid, "odd"},
      {{.body = "<html>please log in</html>"}, ErrorKind::kUnavailable, "is no SetDesiredCapacity"},
  };
  for (const auto& [answer, kind, told] : cases) {
    aws_.Fail("SetDesiredCapacity", answer);
    Refuses(Wish(5, 3), kind, told);
  }
  EXPECT_EQ(aws_.Count("SetDesiredCapacity"), cases.size()) << "none of them is tried again";
}

TEST_F(AwsResize, ResourceContentionAndServerErrorsAreTriedAgain) {
  aws_.Make("web", 3);
  aws_.Fail("SetDesiredCapacity", FakeAws::Error(500, "ResourceContention"));
  aws_.Fail("SetDesiredCapacity", {.status = 502});
  EXPECT_TRUE(Set(Target(), Wish(5, 3)).ok());
  EXPECT_EQ(aws_.Count("SetDesiredCapacity"), 3u);
  aws_.Fail("SetDesiredCapacity", FakeAws::Error(500, "InternalFailure"), 3);
  Refuses(Wish(6, 5), ErrorKind::kUnavailable, "answered 500 (InternalFailure)");
}

TEST_F(AwsResize, ALostAnswerToAnEndingIsNotAskedTwice) {
  aws_.Make("web", 4);
  for (const FakeAnswer& lost :
       {FakeAnswer{.ending = Ending::kDrop, .close = true}, FakeAnswer{.status = 500},
        FakeAnswer{.body = "<TerminateInstanceIn", .ending = Ending::kCut}}) {
    aws_.Make("web", 4);
    aws_.ForgetCalls();
    aws_.Fail(kTerminate, lost, 1, /*done=*/true);
    EXPECT_TRUE(Set(Target(), Wish(2, 4, {"i-web-1", "i-web-2"})).ok());
    EXPECT_EQ(aws_.Get("web").desired, 2);
    EXPECT_EQ(aws_.Count(kTerminate), 2u);
  }
  // And one that was not done is done.
  aws_.Make("web", 4);
  aws_.Fail(kTerminate, {.status = 503});
  EXPECT_TRUE(Set(Target(), Wish(3, 4, {"i-web-1"})).ok());
  EXPECT_EQ(aws_.Get("web").desired, 3);
}

TEST_F(AwsResize, AfterAHalfDoneChangeTheRestIsDone) {
  aws_.Make("web", 4);
  aws_.Edit("web", [](FakeGroup& g) {
    g.instances[0].lifecycle = "Terminating";
    g.desired = 3;
  });
  EXPECT_TRUE(Set(Target(), Wish(2, 4, {"i-web-1", "i-web-2"})).ok());
  EXPECT_EQ(aws_.Get("web").desired, 2);
  EXPECT_EQ(aws_.Count(kTerminate), 1u);
}

TEST_F(AwsResize, AVictimThatVanishedIsNotPaidByAnother) {
  aws_.Make("web", 4);
  aws_.Edit("web", [](FakeGroup& g) { g.instances[0].id = "i-web-9"; });  // it was replaced
  Refuses(Wish(3, 4, {"i-web-1"}), ErrorKind::kConflict, "instances that were not known");
  EXPECT_EQ(aws_.Get("web").desired, 4);
  aws_.Edit("web", [](FakeGroup& g) { g.instances.erase(g.instances.begin()); });  // it was not
  EXPECT_TRUE(Set(Target(), Wish(3, 4, {"i-web-1"})).ok());
  EXPECT_EQ(aws_.Get("web").desired, 3);
}

TEST_F(AwsResize, ManyReadsOfOneMomentAreOneCall) {
  std::vector<TargetRef> refs;
  for (int i = 0; i < 30; ++i) {
    aws_.Make("g" + std::to_string(i), 1);
    refs.push_back(Target("g" + std::to_string(i)));
  }
  size_t done = 0;
  for (const TargetRef& ref : refs) {
    provider_->SetCapacity(ref, Wish(2, 1), [&](const Status& status) {
      EXPECT_TRUE(status.ok());
      if (++done == refs.size()) loop_.Stop();
    });
  }
  loop_.Run();
  EXPECT_EQ(aws_.Count("DescribeAutoScalingGroups"), 1u);
}

// --- Lifecycle hooks ---

class AwsHooks : public AwsResize {
 protected:
  const std::string hook_ = "port: 8080\nlifecycle_hook: drain\n";
  void Wait(size_t nth) {
    aws_.Edit("web", [&](FakeGroup& g) { g.instances[nth].lifecycle = "Terminating:Wait"; });
  }
};

TEST_F(AwsHooks, AnInstanceThatWaitsToEndIsLetGoAfterItsDrain) {
  aws_.Make("web", 3);
  Wait(0);
  aws_.Edit("web", [](FakeGroup& g) { g.desired = 2; });
  const Observation seen = See(Target("web", hook_));
  EXPECT_EQ(InstanceOf(seen, "i-web-1").state, InstanceState::kStopping);
  EXPECT_EQ(InstanceOf(seen, "i-web-1").detail, "Terminating:Wait");
  EXPECT_EQ(aws_.Count("CompleteLifecycleAction"), 0u) << "it has not been drained yet";
  // Drained, it is named.
  EXPECT_TRUE(Set(Target("web", hook_), Wish(2, 2, {"i-web-1"})).ok());
  const auto calls = aws_.Calls("CompleteLifecycleAction");
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].At("LifecycleActionResult"), "CONTINUE");
  EXPECT_EQ(calls[0].At("LifecycleHookName"), "drain");
  EXPECT_EQ(calls[0].At("InstanceId"), "i-web-1");
  EXPECT_EQ(aws_.Count(kTerminate), 0u);
  EXPECT_EQ(LifecycleOf("i-web-1"), "Terminating:Proceed");
}

TEST_F(AwsHooks, OneThatWeEndDoesNotWait) {
  aws_.Make("web", 3);
  EXPECT_TRUE(Set(Target("web", hook_), Wish(2, 3, {"i-web-1"})).ok());
  Wait(0);
  See(Target("web", hook_));
  for (int i = 0; i < 100 && LifecycleOf("i-web-1") != "Terminating:Proceed"; ++i) {
    See(Target("web", hook_));
  }
  EXPECT_EQ(LifecycleOf("i-web-1"), "Terminating:Proceed");
  EXPECT_EQ(aws_.Count("CompleteLifecycleAction"), 1u);
}

TEST_F(AwsHooks, OthersHooksAreLeftAlone) {
  aws_.Make("web", 3);
  Wait(0);
  EXPECT_TRUE(Set(Target(), Wish(3, 3, {"i-web-1"})).ok());
  EXPECT_EQ(aws_.Count("CompleteLifecycleAction"), 0u);
}

TEST_F(AwsHooks, AnActionThatIsOverIsFineAndOneThatFailsIsTold) {
  aws_.Make("web", 3);
  Wait(0);
  aws_.Fail("CompleteLifecycleAction",
            FakeAws::Error(400, "ValidationError", "No active Lifecycle Action found"));
  EXPECT_TRUE(Set(Target("web", hook_), Wish(3, 3, {"i-web-1"})).ok());
  aws_.Fail("CompleteLifecycleAction", FakeAws::Error(403, "AccessDenied"));
  Refuses(Wish(3, 3, {"i-web-1"}), ErrorKind::kForbidden,
          "autoscaling:CompleteLifecycleAction: answered 403", hook_);
}

TEST_F(AwsHooks, AConflictDoesNotKeepTheDrainedWaiting) {
  aws_.Make("web", 3);
  Wait(0);
  Refuses(Wish(1, 2, {"i-web-1", "i-web-2"}), ErrorKind::kConflict, "now, not 2", hook_);
  EXPECT_EQ(LifecycleOf("i-web-1"), "Terminating:Proceed");
}

}  // namespace
}  // namespace autoscale
