#include "cli/explain.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/cli/records.h"

namespace autoscale::cli {
namespace {

class ExplainTest : public ::testing::Test {
 protected:
  void SetUp() override { SetZone("UTC"); }
  void TearDown() override { SetZone("UTC"); }
  static void SetZone(const char* zone) {
    setenv("TZ", zone, 1);
    tzset();
  }
};

v1::Record ScaleOut() {
  const std::string reason = "arrivals 612/s need 5 instances of 150/s";
  v1::Record record = HeldRecord(v1::HOLD_CAUSE_UNSPECIFIED, reason);
  record.set_id(42);
  record.mutable_proposal()->set_kind(v1::PROPOSAL_KIND_SCALE_TO);
  record.mutable_proposal()->set_capacity(7);
  record.mutable_decision()->set_desired(5);
  record.mutable_decision()->set_reason(reason + "; rate: at most 3 instances per 60s");
  v1::Metric* arrivals =
      AddMetric(record, "arrivals", v1::UNIT_PER_SECOND, v1::SAMPLE_STATE_FRESH, 612);
  arrivals->set_age(1.2);
  arrivals->set_coverage(1);
  AddMetric(record, "error_ratio", v1::UNIT_RATIO, v1::SAMPLE_STATE_FRESH, 0)
      ->set_substituted(true);
  record.clear_stages();
  AddStage(record, "stabilization", 7, 7, "");
  AddStage(record, "rate", 7, 5, "at most 3 instances per 60s");
  AddStage(record, "cooldown", 5, 5, "");
  AddStage(record, "bounds", 5, 5, "");
  v1::Action* started = record.add_actions();
  SetTime(started->mutable_at(), 15);
  started->set_text("started i-7 at 127.0.0.1:20003");
  v1::Action* confirmed = record.add_actions();
  SetTime(confirmed->mutable_at(), 1250);
  confirmed->set_text("gateway edge confirmed list 3.14 in 2 ms");
  return record;
}

TEST_F(ExplainTest, NamesTheStageThatKeepsItNotOneBefore) {
  v1::Record record = HeldRecord(v1::HOLD_CAUSE_UNSPECIFIED, "idle");
  record.mutable_proposal()->set_kind(v1::PROPOSAL_KIND_SCALE_TO);
  record.mutable_proposal()->set_capacity(2);
  record.clear_stages();
  AddStage(record, "step", 2, 5, "at most 50% of 10 within a minute");
  AddStage(record, "errors", 5, 10, "errors is 0.2, above 0.05: no scale-in");
  AddStage(record, "bounds", 10, 10, "");
  Style style = TestStyle();
  style.width = 300;
  const std::string text = RenderExplain(record, style);
  EXPECT_NE(text.find("the policy wanted 2, and stage errors made that 10"), std::string::npos)
      << text;
}

TEST_F(ExplainTest, AScaleOut) {
  EXPECT_EQ(
      RenderExplain(ScaleOut(), TestStyle()),
      R"(web: 2 → 5 instances at 03:12:07 UTC (4 s ago): arrivals 612/s need 5 instances of 150/s; rate: at
  most 3 instances per 60s
  when      2026-01-02 03:12:07 UTC, decision 42
  capacity  desired 2, ready 2 when the tick began; min 1, max 8

Metrics
  NAME         VALUE    STATE   AGE    COVERAGE
  arrivals     612/s    fresh   1.2 s  100 %
  error_ratio  0 ratio  fresh*  -      -
  * no data: the value is what when_empty, when_nan or a fallback says.

Policy web.lua:7
  scale to 7: arrivals 612/s need 5 instances of 150/s

Stages, from what the policy wanted to what was decided
  stabilization  7      no change
  rate           7 → 5  at most 3 instances per 60s
  cooldown       5      no change
  bounds         5      no change
  decided        2 → 5

What was done
  03:12:07.015  +0.0 s  started i-7 at 127.0.0.1:20003
  03:12:08.250  +1.2 s  gateway edge confirmed list 3.14 in 2 ms
)");
}

TEST_F(ExplainTest, AHoldForAMetricThatCannotBeTrusted) {
  v1::Record record = HeldRecord(v1::HOLD_CAUSE_METRIC, "metric cpu is stale: 95 s old");
  AddMetric(record, "cpu", v1::UNIT_RATIO, v1::SAMPLE_STATE_STALE, 0.1)->set_age(95);
  AddMetric(record, "latency", v1::UNIT_SECONDS, v1::SAMPLE_STATE_ERROR, 0)
      ->set_error("prometheus: query: timed out after 2s");
  EXPECT_EQ(RenderExplain(record, TestStyle()),
            R"(web: held at 2 instances at 03:12:07 UTC (4 s ago): metric cpu is stale: 95 s old
  when                 2026-01-02 03:12:07 UTC, not stored, as nothing changed
  capacity             desired 2, ready 2 when the tick began; min 1, max 8
  why nothing changed  a metric that the policy needs is not usable, and missing data never changes
                       a capacity within its bounds. See Metrics.

Metrics
  NAME     VALUE  STATE  AGE     COVERAGE
  cpu      -      stale  95.0 s  -
  latency  -      error  -       -
  latency: prometheus: query: timed out after 2s

Policy web.lua:7
  hold at 2: metric cpu is stale: 95 s old

Stages, from what the policy wanted to what was decided
  stabilization  2      no change
  rate           2      no change
  cooldown       2      no change
  bounds         2      no change
  decided        2 → 2

What was done
  nothing: the capacity did not change.
)");
}

// The daemon sends what came of the last change along; with the tick asked about it has nothing to
// do.
TEST_F(ExplainTest, TellsWhatAnEarlierDecisionDidFromWhatThisOneDid) {
  v1::Record record = HeldRecord(v1::HOLD_CAUSE_INSIDE, "all is well");
  v1::Action* action = record.add_actions();
  SetTime(action->mutable_at(), -86'400'000);
  action->set_text("i-7 is asked for");
  const std::string text = RenderExplain(record, TestStyle());
  EXPECT_NE(text.find("\nWhat was done last, for an earlier decision\n"
                      "  2026-01-01 03:12:07 UTC  24 h ago  i-7 is asked for\n"),
            std::string::npos)
      << text;
}

TEST_F(ExplainTest, SaysWhyNothingChangedForEachCause) {
  const auto why = [](const v1::Record& record) {
    Style style = TestStyle();
    style.width = 300;  // a sentence on one line
    const std::string text = RenderExplain(record, style);
    const size_t start = text.find("why nothing changed  ");
    if (start == std::string::npos) return std::string("-");
    return text.substr(start + 21, text.find('\n', start) - start - 21);
  };
  EXPECT_EQ(why(ScaleOut()), "-");
  EXPECT_EQ(why(HeldRecord(v1::HOLD_CAUSE_POLICY, "x")), "the policy said hold.");
  EXPECT_EQ(why(HeldRecord(v1::HOLD_CAUSE_INSIDE, "x")),
            "the metrics are where the policy wants them.");
  v1::Record pending = HeldRecord(v1::HOLD_CAUSE_PENDING, "x");
  pending.mutable_capacity()->set_ready(1);
  EXPECT_EQ(why(pending), "an earlier scale-out has not arrived yet (1 of 2 instances ready).");
  EXPECT_EQ(
      why(HeldRecord(v1::HOLD_CAUSE_FAULT, "x")),
      "the policy failed; the service keeps its capacity until the policy works. See Policy.");

  v1::Record cooled = HeldRecord(v1::HOLD_CAUSE_UNSPECIFIED, "x");
  cooled.mutable_proposal()->set_capacity(1);
  cooled.clear_stages();
  AddStage(cooled, "cooldown", 1, 2, "20s of 60s since the last change");
  EXPECT_EQ(
      why(cooled),
      "the policy wanted 1, and stage cooldown made that 2: 20s of 60s since the last change.");
  cooled.set_paused(true);
  EXPECT_EQ(why(cooled), "the service is paused.");
}

TEST_F(ExplainTest, MarksDryRunAndPause) {
  v1::Record record = ScaleOut();
  record.set_dry_run(true);
  record.set_paused(true);
  const std::string text = RenderExplain(record, TestStyle());
  EXPECT_NE(text.find("\nDRY RUN: this is what autoscaled would do; it started and stopped "
                      "nothing.\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\nPAUSED: the capacity stays as it is until `autoscalectl resume web`.\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\nWhat would have been done\n"), std::string::npos) << text;
}

TEST_F(ExplainTest, AddsTheLocalTimeWhereItDiffers) {
  SetZone("CET-1");
  EXPECT_NE(RenderExplain(ScaleOut(), TestStyle()).find("2026-01-02 03:12:07 UTC (04:12:07 CET)"),
            std::string::npos);
  SetZone("NZD-21");  // the next day there
  EXPECT_NE(RenderExplain(ScaleOut(), TestStyle())
                .find("2026-01-02 03:12:07 UTC (2026-01-03 00:12:07 NZD)"),
            std::string::npos);
}

TEST_F(ExplainTest, NeverSendsAPolicysControlCharactersToTheTerminal) {
  v1::Record record = HeldRecord(v1::HOLD_CAUSE_POLICY, "\x1b[31mred\nline");
  AddMetric(record, "cpu", v1::UNIT_RATIO, v1::SAMPLE_STATE_ERROR, 0)->set_error("\x1b]0;x\x07");
  SetTime(record.add_actions()->mutable_at(), 0);
  record.mutable_actions(0)->set_text("a\rb");
  const std::string text = RenderExplain(record, TestStyle());
  EXPECT_EQ(text.find_first_of("\x1b\x07\r"), std::string::npos) << text;
}

TEST_F(ExplainTest, ColoursOnlyWhenAsked) {
  Style style = TestStyle();
  EXPECT_EQ(RenderExplain(ScaleOut(), style).find('\x1b'), std::string::npos);
  style.colour = true;
  EXPECT_NE(RenderExplain(ScaleOut(), style).find("\x1b[32mfresh\x1b[0m"), std::string::npos);
}

}  // namespace
}  // namespace autoscale::cli
