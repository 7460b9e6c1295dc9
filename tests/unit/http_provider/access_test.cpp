// How the provider is let in: secrets from files, tokens that end, certificates.
#include <atomic>
#include <set>

#include "tests/fakes/tls_front.h"
#include "tests/unit/http_provider/rig.h"

namespace autoscale {
namespace {

const std::string kTarget =
    "current: {url: MANAGER/group, pointer: /n}\n"
    "set: {url: \"MANAGER/set?n={{capacity}}\"}\n";
const std::string kOAuth =
    kTarget +
    "auth: {oauth2: {token_url: MANAGER/token, client_id: me:1, client_secret: {file: secret}, "
    "scope: a b}}\n";

class HttpAccessTest : public HttpProviderTest {
 protected:
  // A manager that lets in who brings a token that was given out, and a token endpoint.
  void ServeTokens(const std::string& life) {
    manager_.Handle([this, life](const FakeRequest& request) {
      if (request.target == "/token") {
        if (refuse_) return FakeAnswer{.status = 401, .body = R"({"error": "invalid_client"})"};
        const std::lock_guard lock(mutex_);
        const std::string token = "token-" + std::to_string(++given_);
        good_.insert(token);
        return FakeAnswer{.body = R"({"access_token": ")" + token + R"(", "token_type": "Bearer")" +
                                  life + "}"};
      }
      const std::string brought = request.Header("authorization");
      const std::lock_guard lock(mutex_);
      if (!brought.starts_with("Bearer ") || !good_.contains(brought.substr(7))) {
        return FakeAnswer{.status = 401, .body = "who is " + brought};
      }
      return FakeAnswer{.body = R"({"n": 3})"};
    });
  }

  void EndAllTokens() {
    const std::lock_guard lock(mutex_);
    good_.clear();
  }
  // Runs the loop until so many requests for tokens have come.
  void AwaitTokens(size_t count) {
    for (int i = 0; i < 2000 && RequestsFor("/token").size() < count; ++i) {
      loop_.After(Millis(5), [this] { loop_.Stop(); });
      loop_.Run();
    }
    EXPECT_EQ(RequestsFor("/token").size(), count);
  }

  std::mutex mutex_;
  std::set<std::string> good_;
  int given_ = 0;
  std::atomic<bool> refuse_{false};
};

TEST_F(HttpAccessTest, SecretsComeFromFilesAndAreReadAgain) {
  manager_.Answer("/group", R"({"n": 3})");
  Write("secret", "first\n");
  const auto last = [&] { return manager_.requests().back(); };
  const TargetRef bearer = Target(kTarget + "auth: {bearer: {file: secret}}\n");
  EXPECT_EQ(FaultOf(bearer), "");
  EXPECT_EQ(last().Header("authorization"), "Bearer first");
  Write("secret", "second one\n");
  EXPECT_EQ(FaultOf(bearer), "");
  EXPECT_EQ(last().Header("authorization"), "Bearer second one");
  EXPECT_EQ(FaultOf(Target(kTarget + "auth: {basic: {username: me, password: {file: secret}}}\n")),
            "");
  EXPECT_EQ(last().Header("authorization"), "Basic bWU6c2Vjb25kIG9uZQ==");
  EXPECT_EQ(FaultOf(Target(kTarget + "auth: {header: {name: X-Key, value: {file: secret}}}\n")),
            "");
  EXPECT_EQ(last().Header("x-key"), "second one");
  EXPECT_EQ(last().Header("authorization"), "");
}

TEST_F(HttpAccessTest, ASecretThatCannotBeReadIsAFault) {
  const TargetRef ref = Target(kTarget + "auth: {bearer: {file: secret}}\n");
  EXPECT_TRUE(Has(FaultOf(ref), "cannot read the secret in " + (folder_ / "secret").string()));
  Write("secret", "two\nlines\n");
  EXPECT_TRUE(Has(FaultOf(ref), "holds what a header cannot: is it one line?"));
  std::filesystem::remove(folder_ / "secret");
  std::filesystem::create_directory(folder_ / "secret");
  EXPECT_TRUE(Has(FaultOf(ref), "is not in a regular file"));
  EXPECT_EQ(manager_.requests().size(), 0u);
}

TEST_F(HttpAccessTest, ARefusedSecretIsReadAgainAndNeverShown) {
  Write("secret", "hush-hush");
  manager_.Handle([](const FakeRequest& request) {
    return FakeAnswer{.status = 401, .body = "unknown: " + request.Header("authorization")};
  });
  const Observation seen = Observe(Target(kTarget + "auth: {bearer: {file: secret}}\n"));
  ASSERT_TRUE(seen.fault);
  EXPECT_EQ(seen.fault->kind, ErrorKind::kForbidden);
  EXPECT_TRUE(Has(seen.fault->message, "answered 401: unknown: Bearer ***")) << seen.fault->message;
  EXPECT_EQ(manager_.requests().size(), 1u) << "there is no other to try";
}

TEST_F(HttpAccessTest, ATokenIsFetchedOnceAndUsedByAll) {
  Write("secret", "s/1");
  ServeTokens(R"(, "expires_in": 3600)");
  const auto seen = Observe({Target(kOAuth, "a"), Target(kOAuth + "timeout: 6s\n", "b")});
  EXPECT_EQ(seen[0].capacity, 3);
  EXPECT_EQ(seen[1].capacity, 3);
  EXPECT_TRUE(Set(Target(kOAuth), {.capacity = 4}).ok());
  ASSERT_EQ(RequestsFor("/token").size(), 1u);
  const FakeRequest request = RequestsFor("/token").at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.body, "grant_type=client_credentials&scope=a%20b");
  EXPECT_EQ(request.Header("content-type"), "application/x-www-form-urlencoded");
  EXPECT_EQ(request.Header("authorization"), "Basic bWUlM0ExOnMlMkYx");  // me%3A1:s%2F1
}

TEST_F(HttpAccessTest, ATokenIsRenewedBeforeItsEnd) {
  Write("secret", "s");
  ServeTokens(R"(, "expires_in": 600)");
  const TargetRef ref = Target(kOAuth);
  EXPECT_EQ(FaultOf(ref), "");
  later_ = std::chrono::seconds(530);
  EXPECT_EQ(FaultOf(ref), "");
  EXPECT_EQ(RequestsFor("/token").size(), 1u);
  // Within the last minute the old one serves until the new one is there.
  later_ = std::chrono::seconds(560);
  EXPECT_EQ(FaultOf(ref), "");
  EXPECT_EQ(RequestsFor("/group").back().Header("authorization"), "Bearer token-1");
  AwaitTokens(2);
  EXPECT_EQ(FaultOf(ref), "");
  // Nor does it matter that the endpoint fails while the old one holds.
  refuse_ = true;
  later_ = std::chrono::seconds(560 + 560);
  EXPECT_EQ(FaultOf(ref), "");
  AwaitTokens(3);
  EXPECT_EQ(FaultOf(ref), "");
  later_ = std::chrono::seconds(560 + 610);
  EXPECT_TRUE(Has(FaultOf(ref), "invalid_client"));
}

TEST_F(HttpAccessTest, ATokenThatEndsMidRunIsReplacedOnce) {
  Write("secret", "s");
  ServeTokens("");
  const TargetRef ref = Target(kOAuth);
  EXPECT_EQ(FaultOf(ref), "");
  for (int i = 0; i < 5; ++i) {
    EndAllTokens();
    EXPECT_EQ(FaultOf(ref), "");
    EXPECT_TRUE(Set(ref, {.capacity = 4}).ok());
  }
  EXPECT_EQ(RequestsFor("/token").size(), 6u);
}

TEST_F(HttpAccessTest, AManagerThatTakesNoTokenIsAskedTwice) {
  Write("secret", "s");
  ServeTokens("");
  manager_.Answer("/set", FakeAnswer{.status = 401, .body = "no"});
  const Status refused = Set(Target(kOAuth), {.capacity = 4});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(RequestsFor("/set").size(), 2u);
  EXPECT_EQ(RequestsFor("/token").size(), 2u);
}

TEST_F(HttpAccessTest, ATokenEndpointThatFailsIsTold) {
  Write("secret", "hush-hush");
  ServeTokens("");
  refuse_ = true;
  const TargetRef ref = Target(kOAuth);
  const std::string refused = FaultOf(ref);
  EXPECT_TRUE(Has(refused, "no token: POST " + manager_.Url("/token") +
                               ": answered 401 (invalid_client): gives no token; check client_id"))
      << refused;
  EXPECT_FALSE(Has(refused, "hush"));
  const std::vector<std::pair<FakeAnswer, std::string>> cases = {
      {{.status = 503}, "/token: answered 503"},
      {{.body = "<html>"}, "/token: the answer holds no usable access_token"},
      {{.body = R"({"access_token": "a\nb"})"}, "/token: the answer holds no usable access_token"},
      {{.body = R"({"access_token": "x"})", .ending = FakeAnswer::Ending::kCut}, "in the middle"},
  };
  for (const auto& [answer, told] : cases) {
    manager_.Answer("/token", answer);
    EXPECT_TRUE(Has(FaultOf(ref), told)) << FaultOf(ref);
  }
  EXPECT_EQ(RequestsFor("/group").size(), 0u);
  manager_.Answer("/token", FakeAnswer{.body = R"({"access_token": "x"})"});
  manager_.Answer("/group", R"({"n": 3})");
  EXPECT_EQ(FaultOf(ref), "");
}

TEST_F(HttpAccessTest, AHungTokenEndpointIsWaitedForWithinTheTimeout) {
  Write("secret", "s");
  manager_.Answer("/token", FakeAnswer{.ending = FakeAnswer::Ending::kHang});
  EXPECT_TRUE(
      Has(FaultOf(Target(kOAuth + "timeout: 50ms\nretries: 0\n")), "/token: timed out after"));
}

TEST_F(HttpAccessTest, SpeaksTlsWithAnAuthorityAndACertificateOfItsOwn) {
  WriteCertificates(folder_.string());
  manager_.Answer("/group", R"({"n": 3})");
  const TlsFront front(folder_.string(), manager_.port(), TlsFront::Clients::kCertified);
  const std::string target = "current: {url: \"" + front.Url("/group") +
                             "\", pointer: /n}\nset: {url: \"" + front.Url("/set") +
                             "?n={{capacity}}\"}\n";
  EXPECT_EQ(FaultOf(Target(target + "tls: {ca_file: ca.pem, certificate_file: client.pem, "
                                    "key_file: client.key}\n")),
            "");
  EXPECT_NE(FaultOf(Target(target + "tls: {ca_file: ca.pem}\n")), "");
  EXPECT_TRUE(Has(FaultOf(Target(target)), "the server's certificate is not trusted"));
}

}  // namespace
}  // namespace autoscale
