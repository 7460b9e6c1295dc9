// The provider aws before moto. Skipped without moto: tests/real/fetch_moto gets it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

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
    options.places.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto at = environment_.find(name);
      if (at == environment_.end()) return std::nullopt;
      return at->second;
    };
    provider_ = MakeAwsProvider(loop_, http_, options);
    loop_.After(std::chrono::seconds(60), [this] {
      ADD_FAILURE() << "no answer";
      loop_.Stop();
    });
  }
  static Moto& moto() { return *SharedMoto(); }

  // By the proxy; `past`: at moto itself.
  [[nodiscard]] TargetRef Target(const std::string& group, bool past = false) const {
    const std::string url = past ? moto().Url() : proxy_->Url();
    auto target = std::make_shared<AwsTarget>();
    target->access = {.region = "us-east-1",
                      .profile = "",
                      .autoscaling = url,
                      .ec2 = url,
                      .sts = url,
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

  std::map<std::string, std::string> environment_{{"AWS_ACCESS_KEY_ID", "testing"},
                                                  {"AWS_SECRET_ACCESS_KEY", "testing"}};
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

// --- Who we are ---

// From now on moto looks at signatures, with botocore's own code.
class MotoAuthTest : public MotoTest {
 protected:
  void SetUp() override {
    MotoTest::SetUp();
    if (IsSkipped()) return;
    moto().MakeGroup("web", 2);
    moto().Call("iam", "CreateUser", {{"UserName", "autoscaled"}});
    const std::string keys = moto().Call("iam", "CreateAccessKey", {{"UserName", "autoscaled"}});
    environment_ = {{"AWS_ACCESS_KEY_ID", Between(keys, "<AccessKeyId>")},
                    {"AWS_SECRET_ACCESS_KEY", Between(keys, "<SecretAccessKey>")}};
    const std::string allowed =
        R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":[)"
        R"("autoscaling:DescribeAutoScalingGroups","ec2:DescribeInstances",)"
        R"("autoscaling:SetDesiredCapacity"]}]})";
    moto().Call("iam", "PutUserPolicy",
                {{"UserName", "autoscaled"}, {"PolicyName", "scale"}, {"PolicyDocument", allowed}});
    Check("0");
  }
  void TearDown() override {
    if (!IsSkipped()) Check("inf");
  }

  // Calls after so many are checked.
  static void Check(const std::string& after) {
    const auto answer =
        AskAndWait({.method = "POST", .url = moto().Url() + "/moto-api/reset-auth", .body = after});
    EXPECT_TRUE(answer.ok() && answer->status == 200);
  }
  static std::string Between(const std::string& text, const std::string& tag) {
    const size_t from = text.find(tag) + tag.size();
    return text.substr(from, text.find('<', from) - from);
  }
};

TEST_F(MotoAuthTest, SignaturesAreTakenAndRightsTold) {
  const auto seen = Observe({Target("web", true)});
  ASSERT_FALSE(seen.at(0).fault) << seen[0].fault->message;
  EXPECT_EQ(seen[0].instances.size(), 2u);
  const auto set = [&](const CapacityWish& wish) {
    std::optional<Status> answer;
    provider_->SetCapacity(Target("web", true), wish, [&](Status status) {
      answer.emplace(std::move(status));
      loop_.Stop();
    });
    loop_.Run();
    return *answer;
  };
  EXPECT_TRUE(set({.capacity = 3, .victims = {}, .seen = 2}).ok());
  const Status refused = set({.capacity = 2, .victims = {seen[0].instances[0].id}, .seen = 3});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kForbidden);
  EXPECT_NE(refused.error().message.find("autoscaling:TerminateInstanceInAutoScalingGroup"),
            std::string::npos)
      << refused.error().message;
}

TEST_F(MotoAuthTest, AWrongSecretIsRefused) {
  environment_["AWS_SECRET_ACCESS_KEY"] = "another";
  const auto seen = Observe({Target("web", true)});
  ASSERT_TRUE(seen.at(0).fault);
  EXPECT_EQ(seen[0].fault->kind, ErrorKind::kForbidden);
  EXPECT_NE(seen[0].fault->message.find("SignatureDoesNotMatch"), std::string::npos)
      << seen[0].fault->message;
}

TEST_F(MotoTest, AWebIdentityIsTakenForKeys) {
  moto().MakeGroup("web", 1);
  const auto file = std::filesystem::temp_directory_path() /
                    ("autoscale-web-identity-" + std::to_string(getpid()));
  std::ofstream(file) << "a.web.token";
  environment_ = {{"AWS_WEB_IDENTITY_TOKEN_FILE", file.string()},
                  {"AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/web"}};
  See("web");
  std::filesystem::remove(file);
  EXPECT_EQ(proxy_->Done("AssumeRoleWithWebIdentity"), 1);
}

TEST_F(MotoTest, AnInstancesRoleIsTakenForKeys) {
  moto().MakeGroup("web", 1);
  environment_ = {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", moto().Url()}};
  See("web");
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
