#include "net/prometheus_range.h"

#include <gtest/gtest.h>

#include <cmath>

namespace autoscale {
namespace {

const RangeQuery kByService{.value = "sum by (service) (x)",
                            .by = {"service"},
                            .step = std::chrono::minutes(1),
                            .first = 100,
                            .count = 3};

std::string Success(const std::string& result) {
  return R"({"status":"success","data":{"resultType":"matrix","result":[)" + result + "]}}";
}

std::string Problem(const std::string& body, const RangeQuery& query = kByService) {
  const auto answer = ParseRangeAnswer(body, query);
  return answer.ok() ? "" : answer.error().message;
}

TEST(RangeForm, NamesTheInstantsOfItsSlots) {
  EXPECT_EQ(ToForm(kByService),
            "query=sum%20by%20%28service%29%20%28x%29&start=6000.000&end=6120.000&step=60.000");
  EXPECT_EQ(ToForm({.value = "x", .step = Millis(1500), .first = 3}),
            "query=x&start=4.500&end=4.500&step=1.500");
}

TEST(RangeAnswer, PutsEachValueInItsSlot) {
  const auto answer = ParseRangeAnswer(
      Success(R"({"metric":{"service":"web"},"values":[[6000,"1.5"],[6120,"2"]]},)"
              R"({"metric":{"service":"api","job":"j"},"values":[[6060.000,"NaN"],[6120,"3"]]})"),
      kByService);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  ASSERT_EQ(answer->rows.size(), 2u);
  EXPECT_EQ(answer->rows[0].key, "api");  // in the order of the keys
  EXPECT_TRUE(std::isnan(answer->rows[0].values[1]));
  EXPECT_EQ(answer->rows[0].values[2], 3.0F);
  EXPECT_EQ(answer->rows[1].key, "web");
  EXPECT_EQ(answer->rows[1].values[0], 1.5F);
  EXPECT_TRUE(std::isnan(answer->rows[1].values[1]));  // a gap
  EXPECT_EQ(answer->rows[1].values[2], 2.0F);
}

TEST(RangeAnswer, KeysOfSeveralLabelsAreJoined) {
  RangeQuery query = kByService;
  query.by = {"service", "zone"};
  const auto answer =
      ParseRangeAnswer(Success(R"({"metric":{"zone":"a"},"values":[[6000,"1"]]})"), query);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->rows[0].key,
            "\x1f"
            "a");
}

TEST(RangeAnswer, NothingIsAnAnswer) {
  const auto answer = ParseRangeAnswer(Success(""), kByService);
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->rows.empty());
}

TEST(RangeAnswer, WhatIsNoneIsSaid) {
  const std::string row = R"({"metric":{"service":"a"},"values":[[6000,"1"]]})";
  EXPECT_EQ(Problem(""), "not an answer of Prometheus: it is empty");
  EXPECT_NE(Problem("<html>"), "");
  EXPECT_NE(Problem(Success(row).substr(0, 60)), "");
  EXPECT_EQ(Problem("{}"), "not an answer of Prometheus: it does not say whether it succeeded");
  EXPECT_EQ(Problem(R"({"status":"error","errorType":"bad_data","error":"parse error"})"),
            "refused the query: bad_data: parse error");
  EXPECT_EQ(Problem(R"({"status":"success","data":{"resultType":"vector","result":[]}})"),
            "not an answer of Prometheus: a range query is answered with 'vector'");
  EXPECT_EQ(Problem(R"({"status":"success","warnings":["half is missing"],"data":)"
                    R"({"resultType":"matrix","result":[]}})"),
            "answered with a warning: half is missing");
  EXPECT_EQ(Problem(R"({"status":"success","warnings":["PromQL info: a","PromQL warning: b"],)"
                    R"("data":{"resultType":"matrix","result":[]}})"),
            "answered with a warning: PromQL warning: b");
  EXPECT_EQ(Problem(R"({"status":"success","warnings":["PromQL info: a"],)"
                    R"("data":{"resultType":"matrix","result":[]}})"),
            "");
  EXPECT_EQ(Problem(Success(row + "," + row)),
            "the query answers several series where one is expected; aggregate them, as in sum by "
            "(...) (...)");
  EXPECT_EQ(Problem(Success(R"({"metric":{},"values":[[7000,"1"]]})")),
            "not an answer of Prometheus: it has a value at an instant that was not asked for");
  EXPECT_EQ(Problem(Success(R"({"metric":{},"values":[[6000,"1x"]]})")),
            "not an answer of Prometheus: '1x' is not a number");
  EXPECT_EQ(Problem(Success(R"({"metric":{},"values":[[6000]]})")),
            "not an answer of Prometheus: a value is not a pair of time and number");
  EXPECT_EQ(Problem(Success(R"({"values":[]})")),
            "not an answer of Prometheus: a series without labels");
  EXPECT_EQ(Problem(Success(R"({"metric":{},"histograms":[]})")),
            "not an answer of Prometheus: a series without values");
}

}  // namespace
}  // namespace autoscale
