// The provider aws before moto. Skipped without moto: tests/real/fetch_moto gets it.
#include <gtest/gtest.h>

#include <algorithm>

#include "providers/aws/aws_provider.h"
#include "tests/real/moto.h"

namespace autoscale {
namespace {

using Ending = FakeAnswer::Ending;
constexpr const char* kTerminate = "TerminateInstanceInAutoScalingGroup";

// One moto for all of them: it takes a while to start.
std::unique_ptr<Moto>& SharedMoto() {
  static std::unique_ptr<Moto> moto;
  return moto;
}

class MotoTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (const auto program = FindMoto()) SharedMoto() = std::make_unique<Moto>(*program);
  }
  static void TearDownTestSuite() { SharedMoto().reset(); }

  void SetUp() override {
    if (!SharedMoto()) GTEST_SKIP() << "no moto: tests/real/fetch_moto gets it";
    moto().Reset();
    proxy_ = std::make_unique<MotoProxy>(moto());
    aws::ApiOptions options;
    options.first_pause = Millis(10);
    options.places.environment = [](const std::string& name) -> std::optional<std::string> {
      if (name == "AWS_ACCESS_KEY_ID" || name == "AWS_SECRET_ACCESS_KEY") return "testing";
      return std::nullopt;
    };
    provider_ = MakeAwsProvider(loop_, http_, options);
    loop_.After(std::chrono::seconds(60), [this] {
      ADD_FAILURE() << "no answer";
      loop_.Stop();
    });
  }
  static Moto& moto() { return *SharedMoto(); }

  [[nodiscard]] TargetRef Target(const std::string& group) const {
    auto target = std::make_shared<AwsTarget>();
    target->access = {.region = "us-east-1",
                      .profile = "",
                      .autoscaling = proxy_->Url(),
                      .ec2 = proxy_->Url(),
                      .sts = proxy_->Url(),
                      .ca_file = ""};
    target->group = group;
    target->port = 8080;
    target->timeout = std::chrono::seconds(5);
    return {group, target};
  }

  std::vector<Observation> Observe(std::vector<TargetRef> refs) {
    std::vector<Observation> seen;
    provider_->Observe(std::move(refs), [&](Result<std::vector<Observation>> answer) {
      if (answer.ok()) seen = *std::move(answer);
      loop_.Stop();
    });
    loop_.Run();
    return seen;
  }
  Observation See(const std::string& group) {
    auto seen = Observe({Target(group)});
    EXPECT_EQ(seen.size(), 1u);
    seen.resize(1);
    EXPECT_FALSE(seen[0].fault) << seen[0].fault->message;
    return seen[0];
  }
  Status Set(const std::string& group, CapacityWish wish) {
    std::optional<Status> answer;
    provider_->SetCapacity(Target(group), std::move(wish), [&](Status status) {
      answer.emplace(std::move(status));
      loop_.Stop();
    });
    loop_.Run();
    return answer ? *answer : Status(Error{ErrorKind::kInternal, "no answer"});
  }
  static std::set<std::string> IdsOf(const Observation& seen) {
    std::set<std::string> ids;
    for (const auto& instance : seen.instances) ids.insert(instance.id);
    return ids;
  }

  EventLoop loop_;
  HttpClient http_{loop_, 8};
  std::unique_ptr<MotoProxy> proxy_;
  std::unique_ptr<Provider> provider_;
};

TEST_F(MotoTest, ScalesOut) {
  moto().MakeGroup("web", 2);
  Observation seen = See("web");
  EXPECT_EQ(seen.capacity, 2);
  EXPECT_EQ(IdsOf(seen), moto().Ids("web"));
  EXPECT_TRUE(Set("web", {.capacity = 5, .victims = {}, .seen = 2}).ok());
  seen = See("web");
  EXPECT_EQ(seen.capacity, 5);
  ASSERT_EQ(seen.instances.size(), 5u);
  const std::set<std::string> addresses = moto().Addresses("web");
  for (const ObservedInstance& instance : seen.instances) {
    EXPECT_EQ(instance.state, InstanceState::kReady);
    const size_t colon = instance.endpoint.find(':');
    EXPECT_EQ(instance.endpoint.substr(colon), ":8080");
    EXPECT_TRUE(addresses.contains(instance.endpoint.substr(0, colon))) << instance.endpoint;
  }
}

TEST_F(MotoTest, ScalesInByExactVictimsAndRespectsProtection) {
  moto().MakeGroup("web", 5);
  const std::set<std::string> before = moto().Ids("web");
  std::vector<std::string> ids(before.begin(), before.end());
  moto().Call("autoscaling", "SetInstanceProtection",
              {{"AutoScalingGroupName", "web"},
               {"InstanceIds.member.1", ids[0]},
               {"ProtectedFromScaleIn", "true"}});
  const Observation seen = See("web");
  for (const ObservedInstance& instance : seen.instances) {
    EXPECT_EQ(!instance.kept.empty(), instance.id == ids[0]) << instance.id << instance.kept;
  }
  const Status refused = Set("web", {.capacity = 4, .victims = {ids[0]}, .seen = 5});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kBlocked);
  EXPECT_EQ(moto().Ids("web"), before);
  EXPECT_TRUE(Set("web", {.capacity = 3, .victims = {ids[2], ids[4]}, .seen = 5}).ok());
  EXPECT_EQ(moto().Ids("web"), (std::set<std::string>{ids[0], ids[1], ids[3]}));
  EXPECT_EQ(moto().Group("web").desired, 3);
  // A victim whose place is to be taken.
  EXPECT_TRUE(Set("web", {.capacity = 3, .victims = {ids[1]}, .seen = 3}).ok());
  EXPECT_EQ(moto().Group("web").desired, 3);
  EXPECT_EQ(moto().Ids("web").size(), 3u);
  EXPECT_FALSE(moto().Ids("web").contains(ids[1]));
}

TEST_F(MotoTest, ManyGroupsAreAFewCalls) {
  std::vector<TargetRef> refs;
  for (int i = 0; i < 120; ++i) {
    const std::string name = "g" + std::to_string(i);
    moto().MakeGroup(name, 1);
    refs.push_back(Target(name));
  }
  const auto seen = Observe(refs);
  ASSERT_EQ(seen.size(), refs.size());
  for (const Observation& each : seen) {
    ASSERT_FALSE(each.fault) << each.fault->message;
    EXPECT_EQ(each.instances.size(), 1u);
    EXPECT_FALSE(each.instances[0].endpoint.empty());
  }
  EXPECT_LE(proxy_->Asked("DescribeAutoScalingGroups"), 4);  // moto's pages are its own
  EXPECT_LE(proxy_->Asked("DescribeInstances"), 2);
}

TEST_F(MotoTest, AnInstanceInStandbyServesNobodyUntilItIsBack) {
  moto().MakeGroup("web", 3);
  const std::string id = *moto().Ids("web").begin();
  moto().Call("autoscaling", "EnterStandby",
              {{"AutoScalingGroupName", "web"},
               {"InstanceIds.member.1", id},
               {"ShouldDecrementDesiredCapacity", "true"}});
  Observation seen = See("web");
  EXPECT_EQ(seen.capacity, 2);
  EXPECT_FALSE(IdsOf(seen).contains(id));
  moto().Call("autoscaling", "ExitStandby",
              {{"AutoScalingGroupName", "web"}, {"InstanceIds.member.1", id}});
  seen = See("web");
  EXPECT_EQ(seen.capacity, 3);
  EXPECT_TRUE(IdsOf(seen).contains(id));
}

TEST_F(MotoTest, AVictimThatVanishedIsNotPaidByAnother) {
  moto().MakeGroup("web", 4);
  See("web");
  const std::string id = *moto().Ids("web").begin();
  moto().Call("ec2", "TerminateInstances", {{"InstanceId.1", id}});
  const std::set<std::string> left = moto().Ids("web");  // with the one in its place
  EXPECT_EQ(left.size(), 4u);
  const Status status = Set("web", {.capacity = 3, .victims = {id}, .seen = 4});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kConflict) << status.error().message;
  EXPECT_EQ(moto().Ids("web"), left);
  const Observation seen = See("web");
  EXPECT_EQ(IdsOf(seen), left);
  EXPECT_EQ(seen.capacity, 4);
}

TEST_F(MotoTest, AGroupThatIsGoneIsAFault) {
  moto().MakeGroup("web", 1);
  moto().Call("autoscaling", "DeleteAutoScalingGroup",
              {{"AutoScalingGroupName", "web"}, {"ForceDelete", "true"}});
  const auto seen = Observe({Target("web")});
  ASSERT_TRUE(seen.at(0).fault);
  EXPECT_EQ(seen[0].fault->kind, ErrorKind::kNotFound);
}

// --- Faults on the way ---

std::vector<std::pair<std::string, FakeAnswer>> Faults() {
  const std::string throttled =
      "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
      "</ErrorResponse>";
  return {{"throttled", {.status = 400, .body = throttled}},
          {"500", {.status = 500, .body = "oops"}},
          {"503", {.status = 503}},
          {"dropped", {.ending = Ending::kDrop, .close = true}},
          {"half", {.body = "<DescribeAutoScalingGroupsResponse>", .ending = Ending::kCut}}};
}

TEST_F(MotoTest, FaultsOnTheWayChangeNothingOfWhatIsSeen) {
  moto().MakeGroup("web", 3);
  for (const auto& [name, fault] : Faults()) {
    proxy_->Fail("DescribeAutoScalingGroups", fault, 1, true);
    proxy_->Fail("DescribeInstances", fault, 1, true);
    const Observation seen = See("web");
    EXPECT_EQ(seen.capacity, 3) << name;
    EXPECT_EQ(IdsOf(seen), moto().Ids("web")) << name;
  }
}

TEST_F(MotoTest, AnswersThatAreLostAreNotAskedTwice) {
  for (const auto& [name, fault] : Faults()) {
    if (name == "throttled") continue;  // says that nothing was done
    moto().Reset();
    moto().MakeGroup("web", 3);
    proxy_->Fail("SetDesiredCapacity", fault, 1, /*done=*/true);
    EXPECT_TRUE(Set("web", {.capacity = 6, .victims = {}, .seen = 3}).ok()) << name;
    EXPECT_EQ(moto().Ids("web").size(), 6u) << name;

    const std::set<std::string> before = moto().Ids("web");
    std::vector<std::string> ids(before.begin(), before.end());
    const int asked = proxy_->Done(kTerminate);
    proxy_->Fail(kTerminate, fault, 1, /*done=*/true);
    const Status status = Set("web", {.capacity = 4, .victims = {ids[1], ids[2]}, .seen = 6});
    EXPECT_TRUE(status.ok()) << name << status.error().message;
    EXPECT_EQ(moto().Ids("web"), (std::set<std::string>{ids[0], ids[3], ids[4], ids[5]})) << name;
    EXPECT_EQ(moto().Group("web").desired, 4) << name;
    EXPECT_EQ(proxy_->Done(kTerminate) - asked, 2) << name;
  }
}

TEST_F(MotoTest, WhatDidNotArriveIsAskedAgain) {
  for (const auto& [name, fault] : Faults()) {
    moto().Reset();
    moto().MakeGroup("web", 3);
    proxy_->Fail("SetDesiredCapacity", fault);
    EXPECT_TRUE(Set("web", {.capacity = 4, .victims = {}, .seen = 3}).ok()) << name;
    const std::string id = *moto().Ids("web").begin();
    proxy_->Fail(kTerminate, fault);
    EXPECT_TRUE(Set("web", {.capacity = 3, .victims = {id}, .seen = 4}).ok()) << name;
    EXPECT_EQ(moto().Group("web").desired, 3) << name;
    EXPECT_FALSE(moto().Ids("web").contains(id)) << name;
  }
}

TEST_F(MotoTest, OneThatHangsIsAskedAgainAndDoneOnce) {
  moto().MakeGroup("web", 3);
  const std::string id = *moto().Ids("web").begin();
  proxy_->Fail(kTerminate, {.ending = Ending::kHang}, 1, /*done=*/true);
  TargetRef ref = Target("web");
  auto target = std::make_shared<AwsTarget>(*std::static_pointer_cast<const AwsTarget>(ref.target));
  target->timeout = Millis(700);
  ref.target = target;
  std::optional<Status> answer;
  provider_->SetCapacity(ref, {.capacity = 2, .victims = {id}, .seen = 3}, [&](Status status) {
    answer.emplace(std::move(status));
    loop_.Stop();
  });
  loop_.Run();
  ASSERT_TRUE(answer && answer->ok()) << answer->error().message;
  EXPECT_EQ(proxy_->Done(kTerminate), 1);
  EXPECT_EQ(moto().Group("web").desired, 2);
}

}  // namespace
}  // namespace autoscale
