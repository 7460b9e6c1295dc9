// The credential chain: each source, and keys that end.
#include "providers/aws/key_sources.h"
#include "tests/unit/aws/rig.h"

namespace autoscale {
namespace {

class AwsKeys : public AwsRig {
 protected:
  AwsKeys() {
    environment_ = {{"HOME", folder_.string()}, {"AWS_EC2_METADATA_DISABLED", "true"}};
    aws_.Make("web", 1);
  }

  // The access key's id and the session token that the latest call was signed with.
  std::string Used() {
    const std::string fault = FaultOf(Target());
    if (!fault.empty()) return fault;
    const AwsCall call = aws_.Calls("DescribeAutoScalingGroups").back();
    const size_t from = call.authorization.find('=') + 1;
    return call.authorization.substr(from, call.authorization.find('/') - from) + " " +
           call.security_token;
  }
  static std::string Json(const std::string& id, int64_t life) {
    std::array<char, 32> text{};
    const std::time_t end = kNow + life;
    std::tm date{};
    gmtime_r(&end, &date);
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &date);
    return R"({"Code":"Success","AccessKeyId":")" + id +
           R"(","SecretAccessKey":"s","Token":"t","Expiration":")" + text.data() + "\"}";
  }
  void Instance(const std::string& id, int64_t life) {
    environment_["AWS_EC2_METADATA_DISABLED"] = "";
    environment_.erase("AWS_EC2_METADATA_DISABLED");
    environment_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = metadata_.Url();
    metadata_.Answer("/latest/api/token", "the-token");
    metadata_.Answer("/latest/meta-data/iam/security-credentials/", "web-role");
    metadata_.Answer("/latest/meta-data/iam/security-credentials/web-role", Json(id, life));
  }

  FakeHttpServer metadata_;
};

TEST_F(AwsKeys, TheEnvironmentComesFirst) {
  environment_["AWS_ACCESS_KEY_ID"] = "FROMENV";
  environment_["AWS_SECRET_ACCESS_KEY"] = "s";
  environment_["AWS_SESSION_TOKEN"] = "session";
  environment_["AWS_SHARED_CREDENTIALS_FILE"] =
      Write("c", "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n");
  EXPECT_EQ(Used(), "FROMENV session");
}

TEST_F(AwsKeys, ThenAWebIdentity) {
  environment_["AWS_WEB_IDENTITY_TOKEN_FILE"] = Write("jwt", "the.web.token\n");
  environment_["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/web";
  environment_["AWS_SHARED_CREDENTIALS_FILE"] =
      Write("c", "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n");
  aws_.Fail("AssumeRoleWithWebIdentity",
            {.body = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>"
                     "<Credentials><AccessKeyId>WEB</AccessKeyId><SecretAccessKey>s"
                     "</SecretAccessKey><SessionToken>t</SessionToken>"
                     "<Expiration>2015-08-30T13:36:00Z</Expiration></Credentials>"
                     "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"});
  EXPECT_EQ(Used(), "WEB t");
  const auto calls = aws_.Calls("AssumeRoleWithWebIdentity");
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].At("WebIdentityToken"), "the.web.token");
  EXPECT_EQ(calls[0].At("RoleArn"), "arn:aws:iam::1:role/web");
  EXPECT_EQ(calls[0].authorization, "") << "the token is what proves it";
}

TEST_F(AwsKeys, AWebIdentityThatIsRefusedIsToldAndNothingElseTried) {
  environment_["AWS_WEB_IDENTITY_TOKEN_FILE"] = Write("jwt", "the.web.token\n");
  environment_["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/web";
  aws_.Fail("AssumeRoleWithWebIdentity",
            FakeAws::Error(403, "AccessDenied", "Not authorized to perform"));
  const std::string told = Used();
  EXPECT_TRUE(Has(told, "no credentials: web identity: POST " + aws_.Url())) << told;
  EXPECT_TRUE(Has(told, "answered 403 (AccessDenied): Not authorized")) << told;
  EXPECT_FALSE(Has(told, "the.web.token"));
  environment_["AWS_WEB_IDENTITY_TOKEN_FILE"] = (folder_ / "none").string();
  EXPECT_TRUE(Has(Used(), "web identity: cannot read the secret in"));
}

TEST_F(AwsKeys, ThenTheSharedFiles) {
  environment_["AWS_SHARED_CREDENTIALS_FILE"] =
      Write("c",
            "# a comment\n[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n\n"
            "[ops]\naws_access_key_id=OPS\naws_secret_access_key=s\naws_session_token=t\n");
  environment_["AWS_CONFIG_FILE"] = Write(
      "config",
      "[default]\nregion = x\n[profile conf]\naws_access_key_id = CONF\naws_secret_access_key = s\n"
      "s3 =\n  aws_access_key_id = nested\n[profile role]\nrole_arn = arn\nsource_profile = ops\n");
  EXPECT_EQ(Used(), "DEFAULT ");
  for (const auto& [profile, used] : std::map<std::string, std::string>{
           {"ops", "OPS t"}, {"conf", "CONF "}, {"default", "DEFAULT "}}) {
    environment_["AWS_PROFILE"] = profile;
    Renew();
    EXPECT_EQ(Used(), used);
  }
  environment_["AWS_PROFILE"] = "role";
  Renew();
  EXPECT_TRUE(Has(Used(),
                  "the profile 'role' has no aws_access_key_id and aws_secret_access_key: "
                  "role_arn is not understood here"));
  environment_["AWS_PROFILE"] = "none";
  Renew();
  EXPECT_TRUE(Has(Used(), "there is no profile 'none' in " + folder_.string() + "/c or "));
}

TEST_F(AwsKeys, AFileThatChangesIsReadAgain) {
  const std::string keys = "[default]\naws_secret_access_key = s\naws_access_key_id = ";
  environment_["AWS_SHARED_CREDENTIALS_FILE"] = Write("c", keys + "OLD\n");
  EXPECT_EQ(Used(), "OLD ");
  Write("c", keys + "NEW\n");
  EXPECT_EQ(Used(), "OLD ");
  later_ = std::chrono::seconds(61);
  Used();
  EXPECT_EQ(Used(), "NEW ");
  // And at once when AWS does not take them.
  Write("c", keys + "NEWER\n");
  aws_.Fail("DescribeAutoScalingGroups", FakeAws::Error(403, "InvalidClientTokenId"));
  EXPECT_EQ(Used(), "NEWER ");
}

TEST_F(AwsKeys, ThenAContainer) {
  metadata_.Answer("/v2/keys", Json("ECS", 3600));
  environment_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = metadata_.Url("/v2/keys");
  environment_["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = Write("auth", "Bearer x\n");
  EXPECT_EQ(Used(), "ECS t");
  EXPECT_EQ(metadata_.requests().at(0).Header("authorization"), "Bearer x");
  Renew();
  environment_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://elsewhere.example/keys";
  EXPECT_TRUE(Has(Used(), "must be https, or name this machine"));
  EXPECT_EQ(metadata_.requests().size(), 1u);
}

TEST_F(AwsKeys, AContainersTokenGoesToNobodyElse) {
  for (const char* url : {"https://x.example/k", "http://127.0.0.1:1/k", "http://localhost/k",
                          "http://169.254.170.2/k", "http://169.254.170.23/k", "http://[::1]:9/k",
                          "http://[fd00:ec2::23]/k"}) {
    EXPECT_TRUE(aws::IsCredentialUrl(url)) << url;
  }
  for (const char* url : {"http://x.example/k", "http://127.0.0.1.example/k", "ftp://localhost/",
                          "http://localhost@x.example/", "http://169.254.170.20/"}) {
    EXPECT_FALSE(aws::IsCredentialUrl(url)) << url;
  }
}

TEST_F(AwsKeys, AtLastTheInstanceWithAToken) {
  Instance("ROLE", 3600);
  EXPECT_EQ(Used(), "ROLE t");
  const auto requests = metadata_.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].method, "PUT");
  EXPECT_EQ(requests[0].Header("x-aws-ec2-metadata-token-ttl-seconds"), "300");
  EXPECT_EQ(requests[2].Header("x-aws-ec2-metadata-token"), "the-token");
}

TEST_F(AwsKeys, AnInstanceWithoutARoleIsTold) {
  Instance("ROLE", 3600);
  metadata_.Answer("/latest/meta-data/iam/security-credentials/", "", 404);
  EXPECT_TRUE(Has(Used(), "no credentials: instance metadata: GET " + metadata_.Url()));
  environment_.erase("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  environment_["AWS_EC2_METADATA_DISABLED"] = "true";
  EXPECT_TRUE(Has(Used(),
                  "no credentials: none in the environment, the shared files or a "
                  "container"));
}

TEST_F(AwsKeys, AreRenewedBeforeTheirEndWhileTheOldOnesServe) {
  Instance("FIRST", 3600);
  EXPECT_EQ(Used(), "FIRST t");
  later_ = std::chrono::seconds(3600 - 301);
  Used();
  EXPECT_EQ(metadata_.requests().size(), 3u) << "not yet";
  Instance("SECOND", 7200);
  later_ = std::chrono::seconds(3600 - 299);
  EXPECT_EQ(Used(), "FIRST t") << "nobody waits for the new ones";
  std::string used = "FIRST t";
  for (int i = 0; i < 1000 && used == "FIRST t"; ++i) used = Used();
  EXPECT_EQ(used, "SECOND t");
}

TEST_F(AwsKeys, ARenewalThatFailsLeavesTheOldOnesWhileTheyHold) {
  Instance("FIRST", 3600);
  EXPECT_EQ(Used(), "FIRST t");
  metadata_.Answer("/latest/api/token", "", 500);
  later_ = std::chrono::seconds(3600 - 100);
  EXPECT_EQ(Used(), "FIRST t");
  for (int i = 0; i < 20 || metadata_.requests().size() < 4; ++i) {
    ASSERT_LT(i, 1000);
    EXPECT_EQ(Used(), "FIRST t");
  }
  EXPECT_EQ(metadata_.requests().size(), 4u) << "not asked again at once";
  later_ = std::chrono::seconds(3601);
  EXPECT_TRUE(Has(Used(), "no credentials: instance metadata: PUT")) << Used();
  Instance("SECOND", 7200);
  EXPECT_EQ(Used(), "SECOND t");
}

TEST_F(AwsKeys, ThatEndMidRunAreReplacedOnce) {
  Instance("FIRST", 3600);
  EXPECT_EQ(Used(), "FIRST t");
  Instance("SECOND", 3600);
  aws_.Fail("DescribeAutoScalingGroups",
            FakeAws::Error(403, "ExpiredToken", "The token has ended"));
  EXPECT_EQ(Used(), "SECOND t");
  // There are no others: what AWS says is told, and it is asked no third time.
  aws_.ForgetCalls();
  aws_.Fail("DescribeAutoScalingGroups", FakeAws::Error(403, "ExpiredToken", "The token has ended"),
            2);
  EXPECT_TRUE(Has(Used(), "answered 403 (ExpiredToken): The token has ended"));
  EXPECT_EQ(aws_.Count("DescribeAutoScalingGroups"), 1u);
}

TEST_F(AwsKeys, AreInNoMessage) {
  environment_["AWS_ACCESS_KEY_ID"] = "AKID";
  environment_["AWS_SECRET_ACCESS_KEY"] = "very-secret";
  for (const FakeAnswer& answer :
       {FakeAws::Error(403, "SignatureDoesNotMatch", "The request signature we calculated"),
        FakeAnswer{.status = 400, .body = "x"}, FakeAnswer{.body = "<x"}}) {
    aws_.Fail("DescribeAutoScalingGroups", answer);
    EXPECT_FALSE(Has(Used(), "very-secret"));
  }
}

}  // namespace
}  // namespace autoscale
