// Signatures, against what AWS has published.
#include "providers/aws/signature.h"

#include <gtest/gtest.h>

namespace autoscale::aws {
namespace {

// "AWS Signature Version 4 test suite": keys, region, service and time are the same for all.
const AccessKeys kKeys{
    .id = "AKIDEXAMPLE", .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", .token = ""};
constexpr int64_t kTime = 1440938160;  // 20150830T123600Z

struct Vector {
  std::string name;
  RequestToSign request;
  std::string signature;
};

RequestToSign Get(const std::string& path, const std::string& query = "",
                  const SignedHeaders& more = {}) {
  RequestToSign request{.method = "GET", .path = path, .query = query};
  request.headers = {{"Host", "example.amazonaws.com"}};
  request.headers.insert(request.headers.end(), more.begin(), more.end());
  return request;
}

std::string SignatureOf(const SignedHeaders& headers) {
  const std::string& text = headers.back().second;
  return text.substr(text.rfind('=') + 1);
}

TEST(AwsSignature, IsWhatAwsHasPublished) {
  RequestToSign form = Get("/");
  form.method = "POST";
  form.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  form.body = "Param1=value1";
  const std::string vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
  const std::vector<Vector> vectors = {
      {"get-vanilla", Get("/"), vanilla},
      {"get-slash", Get("//"), vanilla},
      {"get-slash-dot-slash", Get("/./"), vanilla},
      {"get-relative", Get("/example/.."), vanilla},
      {"get-relative-relative", Get("/example1/example2/../.."), vanilla},
      {"get-header-key-duplicate",
       Get("/", "", {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}}),
       "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
      {"get-header-value-trim",
       Get("/", "", {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}}),
       "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"get-vanilla-query-order-key-case", Get("/", "Param2=value2&Param1=value1"),
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-vanilla-utf8-query", Get("/", "%E1%88%B4=bar"),
       "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
      {"post-x-www-form-urlencoded", form,
       "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
  };
  for (const auto& [name, request, signature] : vectors) {
    const SignedHeaders added =
        Sign(request, kKeys, {.region = "us-east-1", .service = "service", .time = kTime});
    EXPECT_EQ(SignatureOf(added), signature) << name;
    EXPECT_EQ(added.front(),
              std::make_pair(std::string("X-Amz-Date"), std::string("20150830T123600Z")));
  }
}

// The example of the IAM user guide.
TEST(AwsSignature, NamesItsScopeAndHeaders) {
  RequestToSign request{
      .method = "GET", .path = "/", .query = "Action=ListUsers&Version=2010-05-08"};
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
                     {"Host", "iam.amazonaws.com"}};
  EXPECT_EQ(
      Sign(request, kKeys, {.region = "us-east-1", .service = "iam", .time = kTime}).back().second,
      "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
      "SignedHeaders=content-type;host;x-amz-date, "
      "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

TEST(AwsSignature, ASessionTokenIsSentAndSigned) {
  AccessKeys keys = kKeys;
  keys.token = "the/token";
  const SignedHeaders added =
      Sign(Get("/"), keys, {.region = "us-east-1", .service = "service", .time = kTime});
  ASSERT_EQ(added.size(), 3u);
  EXPECT_EQ(added[1].second, "the/token");
  EXPECT_NE(added[2].second.find("SignedHeaders=host;x-amz-date;x-amz-security-token,"),
            std::string::npos);
}

TEST(AwsSignature, TheHostIsAsItIsSent) {
  EXPECT_EQ(HostOf("https://ec2.eu-central-1.amazonaws.com/"), "ec2.eu-central-1.amazonaws.com");
  EXPECT_EQ(HostOf("https://h:443/x"), "h");
  EXPECT_EQ(HostOf("http://h:443"), "h:443");
  EXPECT_EQ(HostOf("http://127.0.0.1:80/?x"), "127.0.0.1");
  EXPECT_EQ(HostOf("http://[::1]:5000/"), "[::1]:5000");
}

}  // namespace
}  // namespace autoscale::aws
