#include "gateways/nginx/messages.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace autoscale::nginx {
namespace {

UpstreamList OneEndpoint(const std::string& address) {
  return {.upstream = "checkout", .version = {1, 1}, .endpoints = {{.address = address}}};
}

TEST(PushBody, CarriesVersionWeightsAndStates) {
  const UpstreamList list{
      .upstream = "checkout",
      .version = {.epoch = 9007199254740991, .sequence = 7},  // 2^53 - 1, the most that Lua knows
      .endpoints = {{.address = "10.0.0.5:8080", .weight = 30},
                    {.address = "[::1]:81", .weight = 1, .state = Endpoint::State::kDraining}}};
  const auto expected = nlohmann::json::parse(R"({"epoch": 9007199254740991, "seq": 7, "peers": [
    {"host": "10.0.0.5", "port": 8080, "weight": 30, "state": "serving"},
    {"host": "::1", "port": 81, "weight": 1, "state": "draining"}]})");
  EXPECT_EQ(nlohmann::json::parse(PushBody(list).value()), expected);
}

TEST(PushBody, SaysOfAnEmptyListWhetherItIsMeant) {
  UpstreamList list{.upstream = "checkout", .version = {1, 2}};
  EXPECT_EQ(PushBody(list).value(), R"({"epoch":1,"peers":[],"seq":2})");
  list.may_be_empty = true;
  EXPECT_EQ(PushBody(list).value(), R"({"epoch":1,"may_be_empty":true,"peers":[],"seq":2})");
}

TEST(PushBody, RefusesWhatIsNoAddress) {
  for (const std::string address : {"", "10.0.0.5", ":80", "10.0.0.5:", "10.0.0.5:0",
                                    "10.0.0.5:65536", "10.0.0.5:8o", "[]:80"}) {
    const Result<std::string> body = PushBody(OneEndpoint(address));
    ASSERT_FALSE(body.ok()) << address;
    EXPECT_EQ(body.error().kind, ErrorKind::kInvalid);
    EXPECT_EQ(body.error().message, "endpoint '" + address + "' is not of the form HOST:PORT");
  }
}

TEST(ParseUpstreams, AnswersInTheOrderAsked) {
  const auto statuses = ParseUpstreams(R"({"upstreams": [
      {"name": "a", "epoch": 1, "seq": 2, "peers": []},
      {"name": "b", "epoch": 3, "seq": 4, "peers": [
        {"host": "10.0.0.5", "port": 80, "weight": 1, "state": "serving", "in_flight": 12},
        {"host": "::1", "port": 81, "weight": 0, "state": "gone", "in_flight": 1}]}]})",
                                       {"b", "unknown", "a"});
  ASSERT_TRUE(statuses.ok()) << statuses.error().message;
  ASSERT_EQ(statuses->size(), 3u);
  const UpstreamStatus& b = (*statuses)[0];
  EXPECT_EQ(b.upstream, "b");
  EXPECT_EQ(b.version, (ListVersion{3, 4}));
  ASSERT_EQ(b.endpoints.size(), 2u);
  EXPECT_EQ(b.endpoints[0].address, "10.0.0.5:80");
  EXPECT_EQ(b.endpoints[0].in_flight, 12);
  EXPECT_EQ(b.endpoints[1].address, "[::1]:81");
  EXPECT_EQ(b.endpoints[1].in_flight, 1);
  EXPECT_EQ((*statuses)[1].upstream, "unknown");
  EXPECT_EQ((*statuses)[1].version, (ListVersion{0, 0}));
  EXPECT_TRUE((*statuses)[1].endpoints.empty());
  EXPECT_EQ((*statuses)[2].version, (ListVersion{1, 2}));
}

TEST(ParseUpstreams, RefusesEveryOtherAnswer) {
  for (const std::string body : {
           R"()",
           R"(<html>Welcome to nginx!</html>)",
           R"([])",
           R"(7)",
           R"({})",
           R"({"upstreams": {}})",
           R"({"upstreams": [7]})",
           R"({"upstreams": [{"name": 7, "epoch": 1, "seq": 2, "peers": []}]})",
           R"({"upstreams": [{"name": "a", "epoch": -1, "seq": 2, "peers": []}]})",
           R"({"upstreams": [{"name": "a", "epoch": 1, "seq": 2.5, "peers": []}]})",
           R"({"upstreams": [{"name": "a", "epoch": 1, "peers": []}]})",
           R"({"upstreams": [{"name": "a", "epoch": 1, "seq": 2}]})",
           R"({"upstreams": [{"name": "a", "epoch": 1, "seq": 2, "peers": [7]}]})",
           R"({"upstreams": [{"name": "a", "epoch": 1, "seq": 2, "peers": [{"host": "h"}]}]})",
           R"({"upstreams": [{"name": "a", "epoch": 1, "seq": 2, "peers": [
                {"host": "h", "port": 70000, "in_flight": 0}]}]})",
           R"({"upstreams": [{"name": "a", "epoch": 1, "seq": 2, "peers": [
                {"host": "h", "port": 80, "in_flight": -1}]}]})",
           R"({"upstreams": [{"name": "a", "epoch": 1, "seq": 2, "peers": [])",
       }) {
    const auto statuses = ParseUpstreams(body, {"a"});
    ASSERT_FALSE(statuses.ok()) << body;
    EXPECT_EQ(statuses.error().kind, ErrorKind::kUnavailable) << body;
    EXPECT_TRUE(statuses.error().message.starts_with("the answer is not a list of upstreams"))
        << statuses.error().message;
  }
}

TEST(JudgePush, TellsWhatTheDaemonCanDo) {
  EXPECT_TRUE(JudgePush(200, "").ok());
  EXPECT_EQ(JudgePush(409, "").error().kind, ErrorKind::kConflict);
  EXPECT_EQ(JudgePush(400, "").error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(JudgePush(413, "<html>").error().kind, ErrorKind::kInvalid);
  EXPECT_NE(JudgePush(413, "<html>").error().message.find("client_max_body_size"),
            std::string::npos);
  EXPECT_EQ(JudgePush(422, "").error().kind, ErrorKind::kInvalid);
  for (const int status : {204, 301, 403, 404, 405, 500, 502, 503}) {
    EXPECT_EQ(JudgePush(status, "").error().kind, ErrorKind::kUnavailable) << status;
  }
}

TEST(JudgePush, PassesOnTheReasonThatNginxGives) {
  EXPECT_EQ(JudgePush(400, R"({"error": "peer 1 repeats 10.0.0.5:80"})").error().message,
            "refused with 400: peer 1 repeats 10.0.0.5:80");
  EXPECT_EQ(JudgePush(500, "<html>\n\x1b[31m" + std::string(500, 'x')).error().message,
            "answered 500: '<html>  [31m" + std::string(108, 'x') + "'");
  EXPECT_EQ(JudgePush(500, "").error().message, "answered 500: no explanation");
  EXPECT_NE(JudgePush(404, "").error().message.find("autoscaled.control()"), std::string::npos);
}

TEST(JudgePush, ShowsAShortLineOfAnyReason) {
  const Status status = JudgePush(409, R"({"error": "a\nb)" + std::string(1 << 20, 'x') + "\"}");
  EXPECT_EQ(status.error().message.size(), 400u);
  EXPECT_TRUE(status.error().message.starts_with("a bx"));
  EXPECT_EQ(JudgePush(409, R"({"error": ""})").error().message, "no explanation");
}

TEST(UpstreamName, IsWhatFitsIntoAPathAndAFileName) {
  const std::vector<std::string> good = {"checkout", "a",       "9",
                                         "_x",       "a.b-c_D", std::string(128, 'a')};
  for (const std::string& name : good) EXPECT_TRUE(IsUpstreamName(name)) << name;
  const std::vector<std::string> bad = {
      "", ".hidden", "-x", "a/b", "a b", "a?b", "\xc3\xa4", "a\n", std::string(129, 'a')};
  for (const std::string& name : bad) EXPECT_FALSE(IsUpstreamName(name)) << name;
}

}  // namespace
}  // namespace autoscale::nginx
