#include "daemon/metrics/plan.h"

#include <gtest/gtest.h>

namespace autoscale {
namespace {

std::shared_ptr<const ServiceSpec> Service(const std::string& name,
                                           std::vector<std::shared_ptr<const MetricSpec>> metrics) {
  auto spec = std::make_shared<ServiceSpec>();
  spec->name = name;
  for (auto& metric : metrics) spec->metrics.push_back({std::move(metric), name});
  return spec;
}

std::shared_ptr<MetricSpec> Metric(const std::string& query, std::vector<std::string> keys = {}) {
  auto spec = std::make_shared<MetricSpec>();
  spec->query = query;
  spec->key_labels = std::move(keys);
  return spec;
}

TEST(PlanQueries, AMetricSharedByManyServicesIsOneQuery) {
  const auto cpu = Metric("sum by (service) (cpu)", {"service"});
  const auto plan = PlanQueries({Service("b", {cpu}), Service("a", {cpu}), Service("c", {cpu})});
  ASSERT_EQ(plan.size(), 1u);
  ASSERT_EQ(plan[0].uses.size(), 3u);
  // In the order of the keys, as the rows of an answer are.
  EXPECT_EQ(plan[0].uses[0].service, 1u);
  EXPECT_EQ(plan[0].uses[1].service, 0u);
  EXPECT_EQ(plan[0].uses[2].service, 2u);
}

TEST(PlanQueries, EqualTextsAreOneQueryWhereverTheyAreDeclared) {
  const auto plan = PlanQueries(
      {Service("a", {Metric("x")}), Service("b", {Metric("x")}), Service("c", {Metric("y")})});
  EXPECT_EQ(plan.size(), 2u);
}

TEST(PlanQueries, TheSameTextWithAnotherKeyIsAnotherQuery) {
  const auto plan =
      PlanQueries({Service("a", {Metric("x", {"service"})}), Service("b", {Metric("x", {"job"})})});
  EXPECT_EQ(plan.size(), 2u);
}

TEST(PlanQueries, ATemplateIsAQueryAService) {
  auto metric = Metric("rate(req{app=\"{{service}}\"}[1m]) / on() n{app=\"{{service}}\"}");
  metric->series = "req{app=\"{{service}}\"}";
  const auto plan = PlanQueries({Service("a", {metric}), Service("bb", {metric})});
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[1].query.value, "rate(req{app=\"bb\"}[1m]) / on() n{app=\"bb\"}");
  EXPECT_EQ(plan[1].query.series, "req{app=\"bb\"}");
}

}  // namespace
}  // namespace autoscale
