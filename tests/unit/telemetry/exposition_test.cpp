#include "daemon/telemetry/exposition.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <sstream>

namespace autoscale {
namespace {

// The lines that begin with the words.
std::vector<std::string> LinesOf(const std::string& text, const std::string& words) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(words, 0) == 0) lines.push_back(line);
  }
  return lines;
}

using Lines = std::vector<std::string>;

TEST(ExpositionTest, CountersAreExportedByTheirNames) {
  Counters counters;
  // Distinct values, so that no two can be mistaken for each other.
  counters.ticks = 1;
  counters.ticks_skipped = 2;
  counters.tick_microseconds = 1'500'000;
  counters.evaluations = 4;
  counters.policy_faults = 5;
  counters.worker_restarts = 6;
  counters.quarantined = 7;
  counters.policies_unserved = 21;
  counters.decisions_out = 7;
  counters.decisions_in = 8;
  counters.holds_for_metrics = 9;
  counters.queries = 10;
  counters.query_errors = 11;
  counters.instances_started = 12;
  counters.instances_stopped = 13;
  counters.instances_lost = 14;
  counters.gateway_publishes = 15;
  counters.gateway_errors = 16;
  counters.store_commits = 17;
  counters.store_errors = 18;
  counters.reloads = 19;
  counters.reload_errors = 20;
  const std::string text = RenderMetrics(counters, {}, {});
  for (const char* line : {"autoscaled_ticks_total 1",
                           "autoscaled_ticks_skipped_total 2",
                           "autoscaled_tick_seconds_total 1.5",
                           "autoscaled_evaluations_total 4",
                           "autoscaled_policy_faults_total 5",
                           "autoscaled_worker_restarts_total 6",
                           "autoscaled_policy_quarantined_total 7",
                           "autoscaled_policy_unserved_total 21",
                           "autoscaled_decisions_out_total 7",
                           "autoscaled_decisions_in_total 8",
                           "autoscaled_holds_for_metrics_total 9",
                           "autoscaled_queries_total 10",
                           "autoscaled_query_errors_total 11",
                           "autoscaled_instances_started_total 12",
                           "autoscaled_instances_stopped_total 13",
                           "autoscaled_instances_lost_total 14",
                           "autoscaled_gateway_publishes_total 15",
                           "autoscaled_gateway_errors_total 16",
                           "autoscaled_store_commits_total 17",
                           "autoscaled_store_errors_total 18",
                           "autoscaled_reloads_total 19",
                           "autoscaled_reload_errors_total 20"}) {
    EXPECT_EQ(LinesOf(text, line), Lines{line});
  }
  EXPECT_EQ(LinesOf(text, "# TYPE autoscaled_ticks_total"),
            Lines{"# TYPE autoscaled_ticks_total counter"});
  EXPECT_EQ(LinesOf(text, "autoscaled_build_info"),
            Lines{"autoscaled_build_info{version=\"" AUTOSCALED_VERSION "\"} 1"});
}

TEST(ExpositionTest, AServiceHasItsGauges) {
  const ServiceGauges web{
      .name = "web",
      .desired = 5,
      .ready = 4,
      .draining = 1,
      .min = 2,
      .max = 9,
      .paused = true,
      .holding = true,
      .quarantined = true,
      .cost_per_hour = 2.5,
      .metrics = {{"cpu", 0.5, SampleState::kFresh, 2.5F, 1.0F},
                  {"errors", 0.25, SampleState::kPartial, 3.0F, 0.5F},
                  {"gone", 0, SampleState::kStale, std::numeric_limits<float>::infinity(), {}}}};
  const std::string text = RenderMetrics(Counters(), {web}, {});
  EXPECT_EQ(LinesOf(text, "autoscaled_service_"),
            (Lines{"autoscaled_service_desired_instances{service=\"web\"} 5",
                   "autoscaled_service_ready_instances{service=\"web\"} 4",
                   "autoscaled_service_draining_instances{service=\"web\"} 1",
                   "autoscaled_service_min_instances{service=\"web\"} 2",
                   "autoscaled_service_max_instances{service=\"web\"} 9",
                   "autoscaled_service_dry_run{service=\"web\"} 0",
                   "autoscaled_service_paused{service=\"web\"} 1",
                   "autoscaled_service_problem{service=\"web\"} 0",
                   "autoscaled_service_breaker_open{service=\"web\"} 0",
                   "autoscaled_service_quarantined{service=\"web\"} 1",
                   "autoscaled_service_cost_per_hour{service=\"web\"} 2.5",
                   "autoscaled_service_holding{service=\"web\"} 1"}));
  EXPECT_EQ(LinesOf(RenderMetrics(Counters(), {web, web}, {}), "autoscaled_fleet_cost_per_hour"),
            Lines{"autoscaled_fleet_cost_per_hour 5"});
  // errors and gone are not fresh: they have no value.
  EXPECT_EQ(LinesOf(text, "autoscaled_metric_"),
            (Lines{"autoscaled_metric_value{service=\"web\",metric=\"cpu\"} 0.5",
                   "autoscaled_metric_fresh{service=\"web\",metric=\"cpu\"} 1",
                   "autoscaled_metric_fresh{service=\"web\",metric=\"errors\"} 0",
                   "autoscaled_metric_fresh{service=\"web\",metric=\"gone\"} 0",
                   "autoscaled_metric_state{service=\"web\",metric=\"cpu\",state=\"fresh\"} 1",
                   "autoscaled_metric_state{service=\"web\",metric=\"errors\",state=\"partial\"} 1",
                   "autoscaled_metric_state{service=\"web\",metric=\"gone\",state=\"stale\"} 1",
                   "autoscaled_metric_age_seconds{service=\"web\",metric=\"cpu\"} 2.5",
                   "autoscaled_metric_age_seconds{service=\"web\",metric=\"errors\"} 3",
                   "autoscaled_metric_coverage_ratio{service=\"web\",metric=\"cpu\"} 1",
                   "autoscaled_metric_coverage_ratio{service=\"web\",metric=\"errors\"} 0.5"}));
}

TEST(ExpositionTest, AnInstanceHasItsUsage) {
  const std::string text =
      RenderMetrics(Counters(), {}, {{"web", "i-1", "127.0.0.1:20001", 2.5, 1048576}});
  EXPECT_EQ(LinesOf(text, "autoscaled_instance_"),
            (Lines{"autoscaled_instance_cpu_seconds_total{service=\"web\",instance_id=\"i-1\","
                   "endpoint=\"127.0.0.1:20001\"} 2.5",
                   "autoscaled_instance_memory_bytes{service=\"web\",instance_id=\"i-1\","
                   "endpoint=\"127.0.0.1:20001\"} 1048576"}));
}

TEST(ExpositionTest, TheEndpointsOfPrometheusAreTold) {
  const std::string text = RenderMetrics(Counters(), {}, {},
                                         {{.url = "http://a:9090", .in_use = false, .up = false},
                                          {.url = "http://b:9090", .in_use = true, .up = true},
                                          {.url = "http://c:9090"}});
  EXPECT_NE(text.find("autoscaled_prometheus_in_use{endpoint=\"http://a:9090\"} 0\n"
                      "autoscaled_prometheus_in_use{endpoint=\"http://b:9090\"} 1\n"
                      "autoscaled_prometheus_in_use{endpoint=\"http://c:9090\"} 0\n"),
            std::string::npos);
  EXPECT_NE(text.find("autoscaled_prometheus_up{endpoint=\"http://a:9090\"} 0\n"
                      "autoscaled_prometheus_up{endpoint=\"http://b:9090\"} 1\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("autoscaled_prometheus_up{endpoint=\"http://c"), std::string::npos);
}

TEST(ExpositionTest, LabelsAreEscaped) {
  const std::string text = RenderMetrics(Counters(), {{.name = "a\"b\\c\nd"}}, {});
  EXPECT_EQ(LinesOf(text, "autoscaled_service_ready_instances"),
            Lines{R"(autoscaled_service_ready_instances{service="a\"b\\c\nd"} 0)"});
}

TEST(ExpositionTest, ItsOwnProcessIsMeasured) {
  const std::string text = RenderMetrics(Counters(), {}, {});
  const auto value = [&](const std::string& name) {
    const auto lines = LinesOf(text, name + " ");
    return lines.size() == 1 ? std::stod(lines[0].substr(name.size())) : -1;
  };
  EXPECT_GT(value("process_cpu_seconds_total"), 0);
  EXPECT_GT(value("process_resident_memory_bytes"), 1e6);
  EXPECT_GE(value("process_open_fds"), 3);
  EXPECT_GE(value("process_threads"), 1);
  EXPECT_GT(value("process_start_time_seconds"), 1.6e9);  // after 2020
  EXPECT_LE(value("process_start_time_seconds"), static_cast<double>(time(nullptr)) + 1);
}

// name{labels} value
void ExpectSample(const std::string& line) {
  const size_t name_end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
  ASSERT_TRUE(name_end != 0 && name_end != std::string::npos) << line;
  const size_t space = line.rfind(' ');
  if (line[name_end] == '{') {
    EXPECT_EQ(line[space - 1], '}') << line;
  } else {
    EXPECT_EQ(name_end, space) << line;
  }
  size_t read = 0;
  const std::string value = line.substr(space + 1);
  EXPECT_NO_THROW((void)std::stold(value, &read)) << line;
  EXPECT_EQ(read, value.size()) << line;
}

// What Prometheus' parser would refuse: a line of another form, a family that comes twice.
TEST(ExpositionTest, EveryLineIsWellFormed) {
  ServiceGauges web{.name = "web",
                    .metrics = {{.name = "x", .value = -1e-300, .state = SampleState::kFresh}}};
  const std::string text = RenderMetrics(Counters(), {web, web}, {{"web", "i", "e", 1, 2}});
  std::set<std::string> families;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("# TYPE ", 0) == 0) {
      EXPECT_TRUE(families.insert(line).second) << line;
    } else if (line.rfind("# HELP ", 0) != 0) {
      ExpectSample(line);
    }
  }
  EXPECT_EQ(text.back(), '\n');
}

}  // namespace
}  // namespace autoscale
