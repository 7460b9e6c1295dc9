// Several endpoints of Prometheus: which is asked, and when another one is.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "net/prometheus.h"
#include "tests/fakes/http_server.h"

namespace autoscale {
namespace {

using Ending = FakeAnswer::Ending;

const MetricQuery kQuery{.value = "load"};
const std::string kPath = "/api/v1/query";

std::string Single(const std::string& value) {
  return R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000,")" +
         value + R"("]}]}})";
}

class FailoverTest : public testing::Test {
 protected:
  static constexpr int kServers = 3;

  FailoverTest() {
    for (int i = 0; i < kServers; ++i) Recovers(i);
    Use({0, 1});
  }

  void Use(const std::vector<size_t>& servers, Millis timeout = std::chrono::seconds(10)) {
    PrometheusOptions options{.timeout = timeout};
    for (const size_t i : servers) options.urls.push_back(servers_[i].Url("/"));
    client_.emplace(http_, std::move(options));
    client_->OnFailover([this](const PrometheusClient::Failover& f) { switches_.push_back(f); });
  }
  // Server number i answers i.
  void Recovers(int i) { servers_[i].Answer(kPath, FakeAnswer{.body = Single(std::to_string(i))}); }
  void Breaks(int i, FakeAnswer answer) { servers_[i].Answer(kPath, std::move(answer)); }

  // "1" for the answer of server 1, else the error.
  std::string Ask() {
    std::optional<Result<Answer>> result;
    client_->Query(kQuery, std::chrono::minutes(1), [&](Result<Answer> answer) {
      result.emplace(std::move(answer));
      loop_.Stop();
    });
    loop_.Run();
    if (!result->ok()) return result->error().message;
    return std::to_string(static_cast<int>(*(*result)->rows().at(0).value));
  }
  [[nodiscard]] size_t Asked(int i) const { return servers_[i].requests().size(); }
  [[nodiscard]] std::string InUse() const {
    for (const auto& endpoint : client_->endpoints()) {
      if (endpoint.in_use) return endpoint.url;
    }
    return "none";
  }

  FakeHttpServer servers_[kServers];
  EventLoop loop_;
  HttpClient http_{loop_, 2};
  std::optional<PrometheusClient> client_;
  std::vector<PrometheusClient::Failover> switches_;
};

// As tokens of service accounts end, and a new one is in the file.
TEST_F(FailoverTest, SecretsThatAreRefusedAreReadAgain) {
  FakeHttpServer server;
  const auto require = [&](const std::string& token) {
    server.Handle([token](const FakeRequest& request) {
      const bool let_in = request.Header("authorization") == "Bearer " + token;
      return let_in ? FakeAnswer{.body = Single("7")} : FakeAnswer{.status = 401};
    });
  };
  std::string file = "old";
  int reads = 0;
  client_.emplace(http_, PrometheusOptions{.urls = {server.Url("/")},
                                           .timeout = std::chrono::seconds(10),
                                           .bearer_token = file,
                                           .renew = [&](std::string& token, std::string&) {
                                             ++reads;
                                             token = file;
                                           }});
  require("old");
  EXPECT_EQ(Ask(), "7");
  EXPECT_EQ(reads, 0);
  require("new");
  EXPECT_NE(Ask().find("does not accept the credentials"), std::string::npos);
  EXPECT_EQ(reads, 1);
  file = "new";
  EXPECT_EQ(Ask(), "7");
  EXPECT_EQ(Ask(), "7");
  EXPECT_EQ(reads, 2);
}

TEST_F(FailoverTest, KeepsToTheFirstWhileItAnswers) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Ask(), "0");
  EXPECT_EQ(Asked(1), 0u);
  EXPECT_TRUE(switches_.empty());
  const auto endpoints = client_->endpoints();
  EXPECT_EQ(endpoints.at(0).up, true);
  EXPECT_EQ(endpoints.at(1).up, std::nullopt);  // nobody asked it
}

TEST_F(FailoverTest, AnyFaultOfTheEndpointMovesOnToTheNextAndStaysThere) {
  const std::vector<std::pair<FakeAnswer, std::string>> faults = {
      {{.ending = Ending::kDrop}, "closed before an answer came"},
      {{.body = Single("0"), .ending = Ending::kCut}, "closed in the middle of the answer"},
      {{.status = 500, .body = "oh"}, "answered with status 500: oh"},
      {{.status = 503, .body = "busy"}, "answered with status 503: busy"},
      {{.status = 429, .body = "slower"}, "answered with status 429: slower"},
      {{.status = 401}, "does not accept the credentials"},
      {{.status = 404}, "no Prometheus API at this URL"},
      {{.status = 302}, "a redirect"},
      {{.body = Single("0").substr(0, 60)}, "not an answer of Prometheus"},
      {{.body = "[]"}, "not an answer of Prometheus"},
      {{.body = Single("0"), .headers = {{"Content-Encoding", "gzip"}}}, "the encoding 'gzip'"},
      {{.raw = "hello\r\n"}, "not HTTP"},
      {{.status = 422, .body = R"({"status":"error","errorType":"execution","error":"a store"})"},
       "execution: a store"},
      {{.body =
            R"({"status":"success","warnings":["half"],"data":{"resultType":"vector","result":[]}})"},
       "answered with a warning: half"},
  };
  for (const auto& [fault, words] : faults) {
    Use({0, 1});
    switches_.clear();
    Breaks(0, fault);
    EXPECT_EQ(Ask(), "1") << words;
    ASSERT_EQ(switches_.size(), 1u) << words;
    EXPECT_EQ(switches_[0].from, servers_[0].Url());
    EXPECT_EQ(switches_[0].to, servers_[1].Url());
    EXPECT_NE(switches_[0].why.find(words), std::string::npos) << switches_[0].why;
    EXPECT_NE(switches_[0].why.find(servers_[0].Url()), std::string::npos) << switches_[0].why;
    EXPECT_EQ(InUse(), servers_[1].Url());

    Recovers(0);
    const size_t asked = Asked(0);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(), "1") << words;
    EXPECT_EQ(Asked(0), asked) << "went back without need after: " << words;
    EXPECT_EQ(switches_.size(), 1u);
  }
}

TEST_F(FailoverTest, OneThatRefusesConnectionsIsPassedOver) {
  servers_[0].Stop();
  EXPECT_EQ(Ask(), "1");
  ASSERT_EQ(switches_.size(), 1u);
  EXPECT_NE(switches_[0].why.find("connection refused"), std::string::npos) << switches_[0].why;
}

TEST_F(FailoverTest, OneThatHangsLeavesTheNextItsShareOfTheTimeOut) {
  Use({0, 1, 2}, Millis(600));
  Breaks(0, {.ending = Ending::kHang});
  EXPECT_EQ(Ask(), "1");
  ASSERT_EQ(switches_.size(), 1u);
  EXPECT_NE(switches_[0].why.find("timed out after 200ms"), std::string::npos) << switches_[0].why;
  // The server was told how long it would be waited for.
  EXPECT_TRUE(servers_[0].requests().at(0).body.ends_with("&timeout=200ms"));
  EXPECT_TRUE(servers_[1].requests().at(0).body.ends_with("&timeout=200ms"));
}

TEST_F(FailoverTest, WhenAllFailTheErrorNamesTheFaultOfEach) {
  Use({0, 1}, Millis(400));
  Breaks(0, {.ending = Ending::kHang});
  Breaks(1, {.status = 500, .body = "oh"});
  const std::string expected = "prometheus: every endpoint fails: POST " + servers_[0].Url(kPath) +
                               ": timed out after 200ms; " + servers_[1].Url() +
                               ": answered with status 500: oh";
  // Always the same words: what is told only when it changes must not change by itself.
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(), expected);
  EXPECT_TRUE(switches_.empty());
  EXPECT_EQ(InUse(), servers_[0].Url());
  for (const auto& endpoint : client_->endpoints()) EXPECT_EQ(endpoint.up, false);
  Recovers(0);
  EXPECT_EQ(Ask(), "0");
  EXPECT_TRUE(switches_.empty());
}

TEST_F(FailoverTest, ABadQueryIsNotTriedElsewhere) {
  const std::vector<FakeAnswer> refusals = {
      {.status = 400, .body = R"({"status":"error","errorType":"bad_data","error":"oh"})"},
      {.body = R"({"status":"success","data":{"resultType":"matrix","result":[]}})"},
  };
  for (const FakeAnswer& refusal : refusals) {
    Breaks(0, refusal);
    EXPECT_TRUE(Ask().starts_with("prometheus: ")) << Ask();
    EXPECT_EQ(client_->endpoints().at(0).up, true);
  }
  EXPECT_EQ(Asked(1), 0u);
  EXPECT_TRUE(switches_.empty());

  // It is an answer, though: one that follows a dead endpoint is stayed with.
  servers_[0].Stop();
  Breaks(1, refusals[0]);
  EXPECT_EQ(Ask(), "prometheus: refused the query: bad_data: oh");
  EXPECT_EQ(switches_.size(), 1u);
  EXPECT_EQ(InUse(), servers_[1].Url());
}

TEST_F(FailoverTest, AnEmptyAnswerIsAnAnswer) {
  Breaks(0, {.body = R"({"status":"success","data":{"resultType":"vector","result":[]}})"});
  bool empty = false;
  client_->Query(kQuery, std::chrono::minutes(1), [&](Result<Answer> answer) {
    empty = answer.ok() && answer->rows().empty();
    loop_.Stop();
  });
  loop_.Run();
  EXPECT_TRUE(empty);
  EXPECT_EQ(Asked(1), 0u);
}

// Several queries are under way when the endpoint dies: one switch, and none that is late with its
// own failure changes it back.
TEST_F(FailoverTest, ManyQueriesAtOnceSwitchOnce) {
  Breaks(0, {.ending = Ending::kDrop});
  int answered = 0;
  constexpr int kQueries = 20;
  for (int i = 0; i < kQueries; ++i) {
    client_->Query(kQuery, std::chrono::minutes(1), [&](const Result<Answer>& answer) {
      EXPECT_TRUE(answer.ok()) << answer.error().message;
      if (++answered == kQueries) loop_.Stop();
    });
  }
  loop_.Run();
  EXPECT_EQ(switches_.size(), 1u);
  EXPECT_EQ(InUse(), servers_[1].Url());
}

}  // namespace
}  // namespace autoscale
