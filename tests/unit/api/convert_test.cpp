#include "daemon/api/convert.h"

#include <gtest/gtest.h>

#include <memory>

namespace autoscale {
namespace {

TimePoint At(int64_t millis) { return TimePoint(Millis(millis)); }

TEST(Utf8, LeavesTextAndReplacesEachByteThatIsNone) {
  EXPECT_EQ(Utf8("2 → 5, naïve, 🚀"), "2 → 5, naïve, 🚀");
  EXPECT_EQ(Utf8("a\xff"
                 "b"),
            "a\uFFFDb");
  EXPECT_EQ(Utf8("\xe2\x86"), "\uFFFD\uFFFD");                      // cut in the middle of →
  EXPECT_EQ(Utf8("\xc0\xaf"), "\uFFFD\uFFFD");                      // overlong
  EXPECT_EQ(Utf8("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");            // a surrogate
  EXPECT_EQ(Utf8("\xf4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond U+10FFFF
}

TEST(ToGrpc, MapsEachKindToItsCode) {
  const auto code = [](ErrorKind kind) { return ToGrpc({kind, "x"}).error_code(); };
  EXPECT_EQ(code(ErrorKind::kInvalid), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(code(ErrorKind::kNotFound), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(code(ErrorKind::kUnavailable), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(code(ErrorKind::kConflict), grpc::StatusCode::ABORTED);
  EXPECT_EQ(code(ErrorKind::kExhausted), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(code(ErrorKind::kInternal), grpc::StatusCode::INTERNAL);
}

TEST(ToGrpc, CutsALongListOfFaultsAtALineAndCountsTheRest) {
  std::string message;
  for (int i = 0; i < 200; ++i)
    message += "web.yaml:" + std::to_string(100 + i) + ": unknown key\n";
  const std::string text = ToGrpc({ErrorKind::kInvalid, message}).error_message();
  // A line has 26 bytes with its newline: 157 whole lines fit into 4096 (4082), 43 do not. The cut
  // is before a newline, so that the rest has 44 of them.
  EXPECT_LT(text.size(), 4300u);
  EXPECT_NE(text.find("web.yaml:256: unknown key\n... and 44 more lines"), std::string::npos)
      << text.substr(4000);
}

TEST(ToProto, CarriesAWholeRecord) {
  DecisionRecord record;
  record.id = 42;
  record.service = "web";
  record.at = At(1'700'000'000'120);
  record.dry_run = true;
  record.capacity = {.desired = 2, .ready = 1};
  record.bounds = {.min = 1, .max = 8};
  Sample sample;
  sample.state = SampleState::kError;
  sample.age_s = 1.5f;
  sample.instances = {{.instance = "i-1", .value = 0.5, .ready = false}};
  sample.error = std::make_shared<const std::string>("timed out after 2s");
  record.samples = {{.name = "cpu", .unit = Unit::kPerSecond, .sample = sample}};
  record.policy = "web.lua";
  record.proposal = {.kind = ProposalKind::kHold,
                     .cause = HoldCause::kFault,
                     .capacity = 2,
                     .reason = "bad byte \xff",
                     .at = "web.lua:7"};
  record.decision = {.before = 2, .desired = 5, .reason = "because"};
  record.decision.stages = {{.name = "rate", .before = 7, .after = 5, .reason = "at most 3"}};
  record.actions = {{.at = At(1'700'000'001'000), .text = "started i-7"}};

  const v1::Record out = ToProto(record);
  EXPECT_EQ(out.id(), 42);
  EXPECT_EQ(out.at().seconds(), 1'700'000'000);
  EXPECT_EQ(out.at().nanos(), 120'000'000);
  EXPECT_TRUE(out.dry_run());
  EXPECT_FALSE(out.paused());
  EXPECT_EQ(out.capacity().ready(), 1);
  EXPECT_EQ(out.bounds().max(), 8);
  ASSERT_EQ(out.metrics_size(), 1);
  EXPECT_EQ(out.metrics(0).unit(), v1::UNIT_PER_SECOND);
  EXPECT_EQ(out.metrics(0).state(), v1::SAMPLE_STATE_ERROR);
  EXPECT_DOUBLE_EQ(out.metrics(0).age(), 1.5);
  EXPECT_FALSE(out.metrics(0).has_coverage());
  EXPECT_EQ(out.metrics(0).error(), "timed out after 2s");
  EXPECT_FALSE(out.metrics(0).instances(0).ready());
  EXPECT_EQ(out.proposal().kind(), v1::PROPOSAL_KIND_HOLD);
  EXPECT_EQ(out.proposal().cause(), v1::HOLD_CAUSE_FAULT);
  EXPECT_EQ(out.proposal().reason(), "bad byte \uFFFD");
  EXPECT_EQ(out.decision().desired(), 5);
  EXPECT_EQ(out.stages(0).name(), "rate");
  EXPECT_EQ(out.actions(0).at().seconds(), 1'700'000'001);
}

TEST(ToProto, LeavesOutWhatAServiceDoesNotKnow) {
  ServiceView view;
  view.name = "web";
  view.interval = Millis(250);
  view.instances = {{.id = "i-1", .phase = "serving", .in_flight = -1},
                    {.id = "i-2", .phase = "draining", .in_flight = 0}};
  const v1::Service out = ToProto(view);
  EXPECT_DOUBLE_EQ(out.interval(), 0.25);
  EXPECT_FALSE(out.has_last_tick());
  EXPECT_FALSE(out.instances(0).has_in_flight());
  EXPECT_TRUE(out.instances(1).has_in_flight());
}

}  // namespace
}  // namespace autoscale
