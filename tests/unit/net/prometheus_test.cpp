#include "net/prometheus.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "net/http_text.h"
#include "tests/fakes/http_server.h"

namespace autoscale {
namespace {

const MetricQuery kPlain{.value = "sum by (service) (x)", .by = {"service"}};
const MetricQuery kWhole{.value = "sum by (service) (x)", .series = "x", .by = {"service"}};
const MetricQuery kPerInstance{
    .value = "x", .series = "x", .by = {"service"}, .instance_label = "instance"};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::string Vector(const std::string& rows) {
  return R"({"status":"success","data":{"resultType":"vector","result":[)" + rows + "]}}";
}

std::string Row(const std::string& labels, const std::string& value) {
  return R"({"metric":{)" + labels + R"(},"value":[1700000100.5,")" + value + "\"]}";
}

std::string FailureOf(const std::string& body, const MetricQuery& query) {
  const Result<Answer> answer = ParseAnswer(body, query);
  return answer.ok() ? "no failure" : answer.error().message;
}

TEST(ToPromQl, IsTheValueAloneWhenNoSeriesIsNamed) {
  EXPECT_EQ(ToPromQl({.value = "scalar(up)"}), "scalar(up)");
}

TEST(ToPromQl, AsksForValueFreshnessAndCoverageTogether) {
  EXPECT_EQ(ToPromQl({.value = "sum by (a, b) (rate(x[1m])) # per second",
                      .series = R"(x{job="j"})",
                      .by = {"a", "b"}}),
            "(\nsum by (a, b) (rate(x[1m])) # per second\n)"
            " or label_replace(max by (a, b) (timestamp((\nx{job=\"j\"}\n))),"
            " \"autoscaled_part\", \"newest\", \"\", \"\")"
            " or label_replace(count by (a, b) (\nx{job=\"j\"}\n),"
            " \"autoscaled_part\", \"count\", \"\", \"\")");
}

TEST(ToPromQl, WithoutKeyLabelsEverythingIsOneGroup) {
  const std::string text = ToPromQl({.value = "sum(x)", .series = "x"});
  EXPECT_NE(text.find("max by () (timestamp("), std::string::npos);
  EXPECT_NE(text.find("count by () ("), std::string::npos);
}

TEST(ToPromQl, PerInstanceAsksForFreshnessAlone) {
  const std::string text = ToPromQl(kPerInstance);
  EXPECT_NE(text.find("max by (service, instance) (timestamp("), std::string::npos);
  EXPECT_EQ(text.find("count"), std::string::npos);
}

TEST(ParseAnswer, ReadsValuesInTheOrderOfTheirKeys) {
  const Result<Answer> answer = ParseAnswer(
      Vector(Row(R"("service":"b")", "2.5") + "," + Row(R"("service":"a","extra":"e")", "-1e-3")),
      kPlain);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  ASSERT_EQ(answer->rows().size(), 2u);
  EXPECT_EQ(answer->rows()[0].key, "a");
  EXPECT_EQ(answer->rows()[0].value, -0.001);
  EXPECT_EQ(answer->rows()[1].key, "b");
  EXPECT_EQ(answer->rows()[1].value, 2.5);
  EXPECT_EQ(answer->rows()[1].age_s, std::nullopt);  // not asked for
  EXPECT_EQ(answer->rows()[1].series, -1);
}

TEST(ParseAnswer, JoinsValueAgeAndCount) {
  const Result<Answer> answer =
      ParseAnswer(Vector(Row(R"("service":"b")", "7") + "," + Row(R"("service":"a")", "5") + "," +
                         Row(R"("service":"a","autoscaled_part":"newest")", "1700000098.25") + "," +
                         Row(R"("autoscaled_part":"newest","service":"b")", "1700000100.5") + "," +
                         Row(R"("service":"b","autoscaled_part":"count")", "3") + "," +
                         Row(R"("service":"a","autoscaled_part":"count")", "2")),
                  kWhole);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  ASSERT_EQ(answer->rows().size(), 2u);
  const Answer::Row& a = answer->rows()[0];
  EXPECT_EQ(a.key, "a");
  EXPECT_EQ(a.value, 5);
  EXPECT_EQ(a.age_s, 2.25F);  // 100.5 - 98.25
  EXPECT_EQ(a.series, 2);
  const Answer::Row& b = answer->rows()[1];
  EXPECT_EQ(b.value, 7);
  EXPECT_EQ(b.age_s, 0.0F);
  EXPECT_EQ(b.series, 3);
}

TEST(ParseAnswer, AValueWithoutItsSeriesIsInfinitelyOldAndSpeaksForNobody) {
  const Result<Answer> answer = ParseAnswer(Vector(Row(R"("service":"a")", "5")), kWhole);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->rows()[0].value, 5);
  EXPECT_EQ(answer->rows()[0].age_s, kInfinity);
  EXPECT_EQ(answer->rows()[0].series, 0);
}

TEST(ParseAnswer, SeriesWithoutAValueMakeARowWithoutOne) {
  const Result<Answer> answer =
      ParseAnswer(Vector(Row(R"("service":"a","autoscaled_part":"newest")", "1700000100") + "," +
                         Row(R"("service":"a","autoscaled_part":"count")", "4")),
                  kWhole);
  ASSERT_TRUE(answer.ok());
  ASSERT_EQ(answer->rows().size(), 1u);
  EXPECT_EQ(answer->rows()[0].value, std::nullopt);
  EXPECT_EQ(answer->rows()[0].age_s, 0.5F);
  EXPECT_EQ(answer->rows()[0].series, 4);
}

TEST(ParseAnswer, KeepsInstancesOfAKeyTogether) {
  const Result<Answer> answer = ParseAnswer(
      Vector(Row(R"("service":"b","instance":"i-1")", "1") + "," +
             Row(R"("service":"a","instance":"i-2")", "2") + "," +
             Row(R"("service":"a","instance":"i-1")", "3") + "," +
             Row(R"("service":"a","instance":"i-1","autoscaled_part":"newest")", "1700000099.5")),
      kPerInstance);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  const auto [first, last] = answer->Find("a");
  ASSERT_EQ(last - first, 2);
  EXPECT_EQ(first[0].instance, "i-1");
  EXPECT_EQ(first[0].value, 3);
  EXPECT_EQ(first[0].age_s, 1.0F);
  EXPECT_EQ(first[0].series, -1);  // the rows are the count
  EXPECT_EQ(first[1].instance, "i-2");
  EXPECT_EQ(first[1].age_s, kInfinity);
  EXPECT_EQ(answer->Find("b").second - answer->Find("b").first, 1);
  EXPECT_EQ(answer->Find("c").second, answer->Find("c").first);
}

TEST(ParseAnswer, ReadsWhatIsNotFinite) {
  const Result<Answer> answer =
      ParseAnswer(Vector(Row(R"("service":"a")", "NaN") + "," + Row(R"("service":"b")", "+Inf") +
                         "," + Row(R"("service":"c")", "-Inf")),
                  kPlain);
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(std::isnan(*answer->rows()[0].value));
  EXPECT_EQ(*answer->rows()[1].value, std::numeric_limits<double>::infinity());
  EXPECT_EQ(*answer->rows()[2].value, -std::numeric_limits<double>::infinity());
}

TEST(ParseAnswer, JoinsSeveralLabelsAndTakesAMissingOneForEmpty) {
  const MetricQuery query{.value = "x", .by = {"ns", "svc"}};
  const Result<Answer> answer = ParseAnswer(
      Vector(Row(R"("svc":"a","ns":"prod")", "1") + "," + Row(R"("svc":"a")", "2")), query);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->rows()[0].key,
            "\x1f"
            "a");
  EXPECT_EQ(answer->rows()[1].key,
            "prod\x1f"
            "a");
}

TEST(ParseAnswer, UnescapesLabels) {
  const Result<Answer> answer =
      ParseAnswer(Vector(Row(R"("service":"a\u003cb\"\\\u00e9")", "1") + "," +
                         Row(R"("serv\u0069ce":"not the label","service" : "plain" )", "2")),
                  kPlain);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->rows()[0].key, "a<b\"\\\xc3\xa9");
  EXPECT_EQ(answer->rows()[1].key, "plain");
}

TEST(ParseAnswer, SurvivesBeingMovedAndManyArenaChunks) {
  const MetricQuery query{.value = "x", .by = {"a", "b"}};
  std::string rows;
  constexpr int kRows = 5000;
  for (int i = 0; i < kRows; ++i) {
    const std::string id = std::to_string(10000 + i);
    rows += (i > 0 ? "," : "") + Row(R"("a":"service-with-a-name-)" + id + R"(","b":"b\n")", id);
  }
  Result<Answer> parsed = ParseAnswer(Vector(rows), query);
  ASSERT_TRUE(parsed.ok());
  const Answer answer = std::move(parsed).value();
  ASSERT_EQ(answer.rows().size(), static_cast<size_t>(kRows));
  for (int i = 0; i < kRows; ++i) {
    const std::string id = std::to_string(10000 + i);
    const auto [first, last] = answer.Find("service-with-a-name-" + id +
                                           "\x1f"
                                           "b\n");
    ASSERT_EQ(last - first, 1) << id;
    EXPECT_EQ(first->value, 10000 + i);
  }
}

TEST(ParseAnswer, NoSeriesAreNoRows) {
  const Result<Answer> answer = ParseAnswer(Vector(""), kWhole);
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->rows().empty());
}

TEST(ParseAnswer, ReadsAScalarForAQueryWithoutKey) {
  const std::string body =
      R"({"status":"success","data":{"resultType":"scalar","result":[1.5,"42"]}})";
  const Result<Answer> answer = ParseAnswer(body, {.value = "42"});
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  ASSERT_EQ(answer->rows().size(), 1u);
  EXPECT_EQ(answer->rows()[0].key, "");
  EXPECT_EQ(answer->rows()[0].value, 42);
  EXPECT_EQ(FailureOf(body, kPlain),
            "the query answers a single number; it must answer a series for each key");
}

TEST(ParseAnswer, PassesOverWhatItDoesNotKnowAndAnyOrder) {
  const std::string body =
      R"({"infos":["x"],"warnings":[],"data":{"stats":{"a":[1,{}]},"result":[{"value":[1,"2"],)"
      R"("metric":{"service":"a"}}],"resultType":"vector"},"isPartial":false,"status":"success"})"
      "\n";
  const Result<Answer> answer = ParseAnswer(body, kPlain);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->rows().at(0).key, "a");
}

TEST(ParseAnswer, TwoSeriesOfOneKeyAreAnErrorThatNamesThem) {
  EXPECT_EQ(FailureOf(Vector(Row(R"("service":"a","x":"1")", "1") + "," +
                             Row(R"("service":"a","x":"2")", "1")),
                      kPlain),
            "the query answers several series for service=\"a\"; aggregate them, as in sum by "
            "(...) (...)");
  EXPECT_EQ(FailureOf(Vector(Row(R"("service":"a","instance":"i","x":"1")", "1") + "," +
                             Row(R"("service":"a","instance":"i","x":"2")", "1")),
                      kPerInstance),
            "the query answers several series for service=\"a\", instance=\"i\"; aggregate them, "
            "as in sum by (...) (...)");
  EXPECT_EQ(
      FailureOf(Vector(Row(R"("x":"1")", "1") + "," + Row(R"("x":"2")", "1")), {.value = "x"}),
      "the query answers several series where one is expected; aggregate them, as in "
      "sum(...)");
}

TEST(ParseAnswer, RefusalsCarryPrometheusOwnWords) {
  const Result<Answer> answer = ParseAnswer(
      R"({"status":"error","errorType":"bad_data","error":"parse error: \"x\" unexpected"})",
      kPlain);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().message, "refused the query: bad_data: parse error: \"x\" unexpected");
  EXPECT_EQ(answer.error().kind, ErrorKind::kInvalid);
  const Result<Answer> slow =
      ParseAnswer(R"({"status":"error","errorType":"timeout","error":"query timed out"})", kPlain);
  EXPECT_EQ(slow.error().kind, ErrorKind::kUnavailable);
}

// They go into records and logs, every tick.
TEST(ParseAnswer, FaultsQuoteLittleOfTheAnswer) {
  const std::string flood = "a\\nb" + std::string(1 << 20, 'x');
  for (const std::string& body :
       {R"({"status":"error","errorType":"execution","error":")" + flood + "\"}",
        R"({"status":"success","warnings":[")" + flood + R"("],"data":)" +
            R"({"resultType":"vector","result":[]}})",
        Vector(Row(R"("service":"a")", flood)),
        Vector(Row(R"("service":")" + flood + "\"", "1") + "," +
               Row(R"("service":")" + flood + "\"", "1"))}) {
    const std::string message = FailureOf(body, kPlain);
    EXPECT_EQ(message.size(), 400u);
    EXPECT_NE(message.find("a bx"), std::string::npos) << message;
  }
}

TEST(ParseAnswer, ARemarkAmongTheWarningsIsNone) {
  const std::string remark = R"("PromQL info: metric might not be a counter: \"requests\"")";
  std::string body = Vector(Row(R"("service":"a")", "1"));
  body.insert(body.size() - 1, R"(,"warnings":[)" + remark + "]");
  EXPECT_TRUE(ParseAnswer(body, kPlain).ok());
  body = Vector(Row(R"("service":"a")", "1"));
  body.insert(body.size() - 1, R"(,"warnings":[)" + remark + R"(,"store 2 did not answer"])");
  EXPECT_EQ(FailureOf(body, kPlain), "answered with a warning: store 2 did not answer");
}

TEST(ParseAnswer, AWarningIsAnError) {
  std::string body = Vector(Row(R"("service":"a")", "1"));
  body.insert(body.size() - 1, R"(,"warnings":["store 2 did not answer"])");
  EXPECT_EQ(FailureOf(body, kPlain), "answered with a warning: store 2 did not answer");
  body = Vector("");
  body.insert(body.size() - 1, R"(,"isPartial":true)");
  EXPECT_EQ(FailureOf(body, kPlain), "the answer is partial");
}

TEST(ParseAnswer, RefusesEveryMalformation) {
  const std::string good = Row(R"("service":"a")", "1");
  const std::string pair = R"({"metric":{"service":"a"},"value":)";
  const std::string newest = R"("service":"a","autoscaled_part":"newest")";
  const std::string count = R"("service":"a","autoscaled_part":"count")";
  const std::string status = R"({"status":"success")";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "it is empty"},
      {" ", ""},
      {"<html>Bad gateway</html>", ""},
      {"null", ""},
      {"[]", ""},
      {"\"success\"", ""},
      {"{}", "does not say whether it succeeded"},
      {R"({"status":"success"})", "has no data"},
      {R"({"status":"success","data":null})", "has no data"},
      {R"({"status":"odd","data":{"resultType":"vector","result":[]}})", "does not say whether"},
      {R"({"status":1,"data":{"resultType":"vector","result":[]}})", ""},
      {R"({"data":{"resultType":"vector","result":[]}})", "does not say whether"},
      {status + R"(,"data":{"result":[]}})", ""},
      {status + R"(,"data":{"resultType":"vector"}})", ""},
      {status + R"(,"data":{"resultType":"vector","result":{}}})", ""},
      {status + R"(,"data":{"resultType":"vector","result":[1]}})", ""},
      {status + R"(,"data":{"resultType":"vector","result":[]},"data":{}})", "data comes twice"},
      {status + R"(,"data":{"resultType":"matrix","result":[]}})", "answers a matrix"},
      {status + R"(,"data":{"resultType":"string","result":[1,"x"]}})", "answers a string"},
      {status + R"(,"warnings":"x","data":{"resultType":"vector","result":[]}})", ""},
      {Vector(good) + "x", ""},
      {Vector(good) + Vector(good), "something follows"},
      {Vector(good).substr(0, Vector(good).size() - 1), ""},
      {Vector(good).substr(0, Vector(good).size() - 10), ""},
      {Vector(good + ","), ""},
      {Vector(good + " " + good), ""},
      {Vector(R"({"value":[1,"1"]})"), "a series without labels"},
      {Vector(R"({"metric":{}})"), "a series without a value"},
      {Vector(R"({"metric":[],"value":[1,"1"]})"), ""},
      {Vector(R"({"metric":{"service":1},"value":[1,"1"]})"), ""},
      {Vector(R"({"metric":{"service":null},"value":[1,"1"]})"), ""},
      {Vector(R"({"metric":{},"metric":{},"value":[1,"1"]})"), "its labels twice"},
      {Vector(R"({"metric":{},"value":[1,"1"],"value":[1,"1"]})"), "two values"},
      {Vector(Row(R"("service":"a","service":"b")", "1")), "a label twice"},
      {Vector(Row("\"service\":\"a\nb\"", "1")), ""},
      {Vector(Row("\"service\":\"\xff\"", "1")), ""},
      {Vector(Row(R"("service":"\ud800")", "1")), ""},
      {Vector(pair + "[]}"), "not a pair"},
      {Vector(pair + "[1]}"), "not a pair"},
      {Vector(pair + R"([1,"1",2]})"), "not a pair"},
      {Vector(pair + R"(["1","1"]})"), ""},
      {Vector(pair + "[1,1]}"), ""},
      {Vector(pair + "[1,null]}"), ""},
      {Vector(pair + "\"1\"}"), ""},
      {Vector(pair + R"([1,""]})"), "'' is not a number"},
      {Vector(pair + R"([1,"1x"]})"), "'1x' is not a number"},
      {Vector(pair + R"([1," 1"]})"), "' 1' is not a number"},
      {Vector(pair + R"([1,"inf"]})"), "'inf' is not a number"},
      {Vector(pair + R"([1,"-nan"]})"), "'-nan' is not a number"},
      {Vector(pair + R"([1,"0x10"]})"), "'0x10' is not a number"},
      {Vector(pair + R"([1,"1e999"]})"), "'1e999' is not a number"},
      {Vector(R"({"metric":{},"histogram":[1,{}]})"), "native histograms"},
      {Vector(Row(newest, "NaN")), "the newest of the series makes no sense"},
      {Vector(Row(count, "0")), "the count of the series makes no sense"},
      {Vector(Row(count, "NaN")), "the count of the series makes no sense"},
      {Vector(Row(count, "1e18")), "the count of the series makes no sense"},
      {Vector(Row(R"("autoscaled_part":"odd")", "1")), "the part 'odd'"},
      {Vector(Row(newest, "1") + "," + Row(newest, "1")), "several series for service=\"a\""},
  };
  for (const auto& [body, words] : cases) {
    const Result<Answer> answer = ParseAnswer(body, kWhole);
    ASSERT_FALSE(answer.ok()) << body;
    EXPECT_NE(answer.error().message.find(words), std::string::npos)
        << body << "\n  says: " << answer.error().message;
  }
  EXPECT_NE(FailureOf(Vector(Row(newest, "1")), kPlain).find("not asked for"), std::string::npos);
  EXPECT_NE(FailureOf(Vector(Row(count, "1")), kPerInstance).find("not asked"), std::string::npos);
}

// Whatever is cut off, what is left is never taken for an answer.
TEST(ParseAnswer, RefusesEveryPrefixOfAnAnswer) {
  const std::string body =
      Vector(Row(R"("service":"a")", "1") + "," + Row(R"("service":"b\u0041")", "2"));
  ASSERT_TRUE(ParseAnswer(body, kWhole).ok());
  for (size_t size = 0; size < body.size(); ++size) {
    EXPECT_FALSE(ParseAnswer(body.substr(0, size), kWhole).ok()) << body.substr(0, size);
  }
}

class PrometheusClientTest : public testing::Test {
 protected:
  Result<Answer> Ask(const MetricQuery& query, PrometheusOptions options = {},
                     Millis timeout = std::chrono::seconds(10)) {
    if (options.urls.empty()) options.urls = {server_.Url("/prom/")};
    PrometheusClient client(http_, std::move(options));
    std::optional<Result<Answer>> result;
    client.Query(query, timeout, [&](Result<Answer> answer) {
      result.emplace(std::move(answer));
      loop_.Stop();
    });
    loop_.Run();
    return std::move(*result);
  }

  std::string RefusalOf(const FakeAnswer& fake) {
    server_.Answer("/prom/api/v1/query", fake);
    const Result<Answer> answer = Ask(kWhole);
    return answer.ok() ? "no failure" : answer.error().message;
  }

  FakeHttpServer server_;
  EventLoop loop_;
  HttpClient http_{loop_, 2};
};

TEST_F(PrometheusClientTest, PostsTheQueryAsAForm) {
  server_.Answer("/prom/api/v1/query", Vector(Row(R"("service":"a")", "1")));
  const Result<Answer> answer = Ask(kWhole, {.bearer_token = "t0ken"});
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->rows().at(0).key, "a");
  const FakeRequest request = server_.requests().at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.Header("content-type"), "application/x-www-form-urlencoded");
  EXPECT_EQ(request.Header("authorization"), "Bearer t0ken");
  EXPECT_EQ(request.body, "query=" + FormEscape(ToPromQl(kWhole)) + "&timeout=5000ms");
}

TEST_F(PrometheusClientTest, TheShorterTimeOutHolds) {
  server_.Answer("/prom/api/v1/query", FakeAnswer{.ending = FakeAnswer::Ending::kHang});
  const std::string where = "prometheus: POST " + server_.Url("/prom/api/v1/query") + ": ";
  EXPECT_EQ(Ask(kWhole, {}, Millis(30)).error().message, where + "timed out after 30ms");
  EXPECT_EQ(Ask(kWhole, {.timeout = Millis(40)}).error().message, where + "timed out after 40ms");
}

TEST_F(PrometheusClientTest, ExplainsWhatIsNoAnswer) {
  EXPECT_EQ(RefusalOf({.status = 400,
                       .body = R"({"status":"error","errorType":"bad_data","error":"oh"})"}),
            "prometheus: refused the query: bad_data: oh");
  EXPECT_EQ(RefusalOf({.status = 401}),
            "prometheus: answered with status 401: it does not accept the credentials");
  EXPECT_EQ(RefusalOf({.status = 404}),
            "prometheus: answered with status 404: there is no Prometheus API at this URL");
  EXPECT_EQ(RefusalOf({.status = 302}),
            "prometheus: answered with status 302: a redirect; configure the address it leads to");
  EXPECT_EQ(RefusalOf({.status = 502, .body = "\n<h1>Bad\tgateway</h1>\nmore"}),
            "prometheus: answered with status 502: <h1>Bad gateway</h1>");
  EXPECT_EQ(RefusalOf({.status = 500}), "prometheus: answered with status 500: an empty page");
  EXPECT_EQ(RefusalOf({.status = 500, .body = Vector("")}).substr(0, 36),
            "prometheus: answered with status 500");
}

TEST(HttpText, ShowsNoSecretOfAUrl) {
  EXPECT_EQ(ShownUrl("http://u:p@h:1/a/b@c?q=p#f"), "http://h:1/a/b@c");
  EXPECT_EQ(ShownUrl("https://u:p@[::1]:1"), "https://[::1]:1");
  EXPECT_EQ(ShownUrl("http://u:p@w@h?x"), "http://h");
  EXPECT_EQ(ShownUrl("u:p@h/x"), "h/x");
  EXPECT_EQ(ShownUrl(""), "");
}

TEST(HttpText, EscapesForms) {
  EXPECT_EQ(FormEscape("a+b c=\"x\"&~\n\xc3"), "a%2Bb%20c%3D%22x%22%26~%0A%C3");
}

TEST(HttpText, ShowsDurations) {
  EXPECT_EQ(ShownDuration(Millis(2000)), "2s");
  EXPECT_EQ(ShownDuration(Millis(1500)), "1.5s");
  EXPECT_EQ(ShownDuration(Millis(250)), "250ms");
}

}  // namespace
}  // namespace autoscale
