// AWS that throttles, fails or hangs.
#include "providers/aws/account.h"
#include "tests/unit/aws/rig.h"

namespace autoscale {
namespace {

using Ending = FakeAnswer::Ending;

class AwsThrottle : public AwsRig {
 protected:
  AwsThrottle() { aws_.Make("web", 2); }
  const CapacityWish wish_{.capacity = 3, .victims = {}, .seen = 2, .intent = "web/1/1"};
};

TEST_F(AwsThrottle, EveryWayToSaySoIsTriedAgain) {
  for (const char* code : {"Throttling", "ThrottlingException", "RequestLimitExceeded",
                           "TooManyRequestsException", "SlowDown", "PriorRequestNotComplete"}) {
    Renew();
    aws_.ForgetCalls();
    aws_.Fail("DescribeAutoScalingGroups", FakeAws::Error(400, code, "Rate exceeded"));
    EXPECT_EQ(FaultOf(Target()), "") << code;
    EXPECT_EQ(aws_.Count("DescribeAutoScalingGroups"), 2u) << code;
  }
}

TEST_F(AwsThrottle, ThatLastsIsToldAsThat) {
  aws_.Fail("SetDesiredCapacity", FakeAws::Error(400, "Throttling", "Rate exceeded"), 3);
  const Status failed = Set(Target(), wish_);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().kind, ErrorKind::kThrottled);
  EXPECT_TRUE(Has(failed.error().message,
                  "autoscaling:SetDesiredCapacity: answered 400 "
                  "(Throttling): Rate exceeded"));
  EXPECT_EQ(aws_.Count("SetDesiredCapacity"), 3u) << "two retries, and no more";
  EXPECT_TRUE(Set(Target(), wish_).ok());
}

TEST_F(AwsThrottle, AnEndingThatWasThrottledWasNotDone) {
  aws_.Fail("TerminateInstanceInAutoScalingGroup", FakeAws::Error(400, "Throttling"));
  EXPECT_TRUE(Set(Target(), {.capacity = 1, .victims = {"i-web-1"}, .seen = 2}).ok());
  EXPECT_EQ(aws_.Count("TerminateInstanceInAutoScalingGroup"), 2u);
  EXPECT_EQ(aws_.Count("DescribeAutoScalingGroups"), 1u) << "there is nothing to look at anew";
  EXPECT_EQ(aws_.Get("web").desired, 1);
}

TEST_F(AwsThrottle, AHungServerIsWaitedForWithinABound) {
  aws_.Fail("DescribeAutoScalingGroups", {.ending = Ending::kHang}, 10);
  const std::string told = FaultOf(Target("web", "port: 8080\ntimeout: 40ms\nretries: 9\n"));
  EXPECT_TRUE(Has(told, "timed out after")) << told;
  EXPECT_LE(aws_.Count("DescribeAutoScalingGroups"), 4u) << "three time-outs in all";
}

TEST_F(AwsThrottle, ADeadServerIsLeftAloneForAWhile) {
  aws_.Fail("DescribeAutoScalingGroups", {.ending = Ending::kDrop, .close = true}, 1000);
  std::string told;
  for (int i = 0; i < 10 && !Has(told, "not asked again for"); ++i) told = FaultOf(Target());
  EXPECT_TRUE(Has(told, "not asked again for")) << told;
  const size_t asked = aws_.Calls().size();
  FaultOf(Target());
  EXPECT_EQ(aws_.Calls().size(), asked);
}

TEST_F(AwsThrottle, OneAccountsTroubleIsNotAnothers) {
  FakeAws other;
  other.Make("web", 5);
  aws_.Fail("DescribeAutoScalingGroups", {.ending = Ending::kDrop, .close = true}, 1000);
  const ParsedAws there =
      ParseAws("type: aws\nregion: eu-west-1\ngroup: web\nendpoint: " + other.Url() + "\n");
  const auto seen = Observe({Target(), {"there", there.target}});
  EXPECT_TRUE(seen[0].fault);
  EXPECT_EQ(seen[1].capacity, 5);
}

// The account by itself, whose quota can be seen.
class AwsAccount : public AwsThrottle {
 protected:
  Result<std::string> Call(aws::Api& api, int retries) {
    std::optional<Result<std::string>> answer;
    api.Call({.action = "DescribeAutoScalingGroups",
              .effort = {.timeout = std::chrono::seconds(5), .retries = retries}},
             [&](Result<std::string> body) {
               answer = std::move(body);
               loop_.Stop();
             });
    if (!answer) loop_.Run();
    return *answer;
  }
  const AwsAccess access_{.region = "eu-central-1",
                          .profile = "",
                          .autoscaling = aws_.Url(),
                          .ec2 = aws_.Url(),
                          .sts = aws_.Url(),
                          .ca_file = ""};
};

TEST_F(AwsAccount, RetriesAreEndedWhenTooMuchFails) {
  aws::Api api(loop_, http_, access_, Options());
  aws_.Fail("DescribeAutoScalingGroups", {.status = 500}, 1000);
  std::string told;
  for (int i = 0; i < 60; ++i) {
    later_ += std::chrono::seconds(1);  // so that it has not to wait for its turn
    told = Call(api, 2).error().message;
  }
  EXPECT_EQ(api.quota().left(), 0);
  EXPECT_TRUE(Has(told, "answered 500; not tried again, as too many calls fail")) << told;
  // 60 first tries, and the 100 retries that 500 tokens pay.
  EXPECT_EQ(aws_.Count("DescribeAutoScalingGroups"), 160u);
}

TEST_F(AwsAccount, ASuccessPaysItsRetriesBack) {
  aws::Api api(loop_, http_, access_, Options());
  aws_.Fail("DescribeAutoScalingGroups", {.status = 503}, 2);
  EXPECT_TRUE(Call(api, 2).ok());
  EXPECT_EQ(api.quota().left(), 500);
  aws_.Fail("DescribeAutoScalingGroups", {.status = 503}, 2);
  EXPECT_FALSE(Call(api, 1).ok());
  EXPECT_EQ(api.quota().left(), 495);
}

TEST_F(AwsAccount, CallsThatCannotWaitDoNotLockItOut) {
  aws::Api api(loop_, http_, access_, Options());
  size_t refused = 0;
  for (int i = 0; i < 1000; ++i) {
    api.Call({.action = "DescribeAutoScalingGroups", .effort = {.timeout = Millis(100)}},
             [&](const Result<std::string>& body) {
               refused += !body.ok() && Has(body.error().message, "too many calls wait") ? 1 : 0;
             });
  }
  EXPECT_GT(refused, 900u);
  later_ += std::chrono::seconds(5);
  EXPECT_TRUE(Call(api, 0).ok());
}

TEST_F(AwsAccount, WhoseTimeIsUpAtItsTurnIsNotSentNorHeldAgainstTheServer) {
  aws::Api api(loop_, http_, access_, Options());
  constexpr size_t kCalls = 40;  // so that many have to wait
  size_t answered = 0, late = 0;
  for (size_t i = 0; i < kCalls; ++i) {
    api.Call({.action = "DescribeAutoScalingGroups"}, [&](const Result<std::string>& body) {
      late += !body.ok() && Has(body.error().message, "waiting for its turn") ? 1 : 0;
      if (++answered == kCalls) loop_.Stop();
    });
  }
  later_ += std::chrono::seconds(60);
  loop_.Run();
  EXPECT_GE(late, 10u);
  EXPECT_EQ(aws_.Count("DescribeAutoScalingGroups"), kCalls - late);
  EXPECT_TRUE(Call(api, 0).ok());
}

TEST_F(AwsAccount, ThrottlingSlowsAllItsCalls) {
  aws::Api api(loop_, http_, access_, Options());
  EXPECT_EQ(api.rate().per_second(), 20);
  aws_.Fail("DescribeAutoScalingGroups", FakeAws::Error(400, "RequestLimitExceeded"), 1);
  EXPECT_TRUE(Call(api, 2).ok());
  EXPECT_DOUBLE_EQ(api.rate().per_second(), 11) << "half, and what the success gave back";
}

}  // namespace
}  // namespace autoscale
