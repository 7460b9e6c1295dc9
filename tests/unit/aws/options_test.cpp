#include <gtest/gtest.h>

#include "tests/fakes/documented.h"
#include "tests/unit/aws/rig.h"

namespace autoscale {
namespace {

const std::string kGood = "region: eu-central-1\ngroup: web\n";

class AwsOptions : public AwsRig {
 protected:
  AwsOptions() {
    for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) unsetenv(name);
  }
};

TEST_F(AwsOptions, ReadsEverything) {
  setenv("AWS_SHARED_CREDENTIALS_FILE",
         Write("keys", "[ops]\naws_access_key_id=a\naws_secret_access_key=b\n").c_str(), 1);
  const auto [target, messages] = ParseAws(R"(type: aws
region: us-gov-west-1
group: "web servers"
port: 8080
address: public
profile: ops
lifecycle_hook: drain-1
poll: 2s
timeout: 3s
retries: 4
ec2_endpoint: https://vpce-1.ec2.us-gov-west-1.vpce.amazonaws.com/
)");
  unsetenv("AWS_SHARED_CREDENTIALS_FILE");
  EXPECT_TRUE(messages.empty()) << messages.front();
  EXPECT_EQ(target->access.autoscaling, "https://autoscaling.us-gov-west-1.amazonaws.com");
  EXPECT_EQ(target->access.ec2, "https://vpce-1.ec2.us-gov-west-1.vpce.amazonaws.com");
  EXPECT_EQ(target->access.sts, "https://sts.us-gov-west-1.amazonaws.com");
  EXPECT_EQ(target->access.profile, "ops");
  EXPECT_EQ(target->Shown(), "Auto Scaling group web servers (us-gov-west-1)");
  EXPECT_TRUE(target->is_public);
  EXPECT_EQ(target->hook, "drain-1");
  EXPECT_EQ(target->port, 8080);
  EXPECT_EQ(target->poll, Millis(2000));
  EXPECT_EQ(target->timeout, Millis(3000));
  EXPECT_EQ(target->retries, 4);
  EXPECT_TRUE(target->has_capacity());
}

TEST_F(AwsOptions, TheDocumentedExamplesLoad) {
  const auto blocks = DocumentedYaml("docs/providers/aws.md");
  ASSERT_FALSE(blocks.empty());
  for (const std::string& block : blocks) {
    const YAML::Node node = YAML::Load(block)["provider"];
    ASSERT_TRUE(node) << block;
    YAML::Emitter text;
    text << node;
    const auto parsed = ParseAws(text.c_str());
    for (const std::string& message : parsed.messages) ADD_FAILURE() << message;
    EXPECT_TRUE(parsed.target);
  }
}

TEST_F(AwsOptions, TheRegionMayComeFromTheEnvironment) {
  setenv("AWS_DEFAULT_REGION", "us-east-2", 1);
  EXPECT_EQ(ParseAws("group: web\n").target->access.region, "us-east-2");
  setenv("AWS_REGION", "cn-north-1", 1);
  EXPECT_EQ(ParseAws("group: web\n").target->access.ec2, "https://ec2.cn-north-1.amazonaws.com.cn");
  unsetenv("AWS_REGION");
  unsetenv("AWS_DEFAULT_REGION");
}

TEST_F(AwsOptions, TwoServicesOfOneGroupAreTheSameTarget) {
  const auto identity = [](const std::string& yaml) { return ParseAws(yaml).target->identity(); };
  EXPECT_EQ(identity(kGood), identity(kGood + "port: 80\npoll: 1s\n"));
  EXPECT_NE(identity(kGood), identity("region: eu-west-1\ngroup: web\n"));
  EXPECT_NE(identity(kGood), identity("region: eu-central-1\ngroup: web2\n"));
}

TEST_F(AwsOptions, FaultsSayWhatToDo) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"group: web\n", "region is missing: say where the group is, such as region: eu-central-1"},
      {"region: Frankfurt\ngroup: web\n", "must be the code of a region, such as eu-central-1"},
      {"region: evil.example/x-1\ngroup: web\n", "must be the code of a region"},
      {"region: eu-central-1\n", "'provider.group' is missing"},
      {"region: eu-central-1\ngroup: arn:aws:autoscaling:x\n", "name, not its ARN"},
      {"region: eu-central-1\ngroup: \"a\\nb\"\n", "at most 255 printable characters"},
      {kGood + "port: 0\n", "port"},
      {kGood + "address: public\n", "address needs 'port'"},
      {kGood + "port: 80\naddress: both\n", "address"},
      {kGood + "endpoint: moto:5000\n", "endpoint must be"},
      {kGood + "endpoint: http://h/?x=1\n", "endpoint must be http://HOST:PORT"},
      {kGood + "lifecycle_hook: a b\n", "must be the name of a lifecycle hook"},
      {kGood + "profile: nobody-has-this\n", "there is no profile 'nobody-has-this' in "},
      {kGood + "poll: 1ms\n", "poll"},
      {kGood + "retries: 11\n", "retries"},
      {kGood + "groups: web\n", "unknown key"},
  };
  for (const auto& [yaml, told] : cases) {
    const auto messages = ParseAws(yaml).messages;
    ASSERT_FALSE(messages.empty()) << yaml;
    bool found = false;
    for (const std::string& message : messages) {
      found |= Has(message, told) && message.starts_with("/etc/web.yaml:");
    }
    EXPECT_TRUE(found) << yaml << messages.front();
  }
}

}  // namespace
}  // namespace autoscale
