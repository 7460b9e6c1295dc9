#include "daemon/worker/wire.h"

#include <gtest/gtest.h>

#include "tests/unit/policy/bench.h"

namespace autoscale {
namespace {

std::string EncodedRequest(const TestService& service) {
  std::string bytes;
  FrameWriter out(bytes);
  PutRequest(out, 7, std::vector<uint32_t>{3, 1}, service.View());
  return bytes;
}

TestService FullService() {
  TestService service;
  service.samples[0] = Sample{.value = 0.25,
                              .state = SampleState::kError,
                              .substituted = true,
                              .age_s = 1.5F,
                              .coverage = 0.5F,
                              .instances = {{"i-1", 0.5, false}, {"i-2", -1, true}},
                              .error = std::make_shared<const std::string>("timed out")};
  service.state = std::string("s1:a\0", 5);
  return service;
}

TEST(WireTest, RequestsComeBackWhole) {
  const TestService service = FullService();
  const std::string bytes = EncodedRequest(service);
  FrameReader in(bytes);
  WireRequest request;
  for (int round = 0; round < 2; ++round) {  // the second time into the same request
    in = FrameReader(bytes);
    GetRequest(in, request);
    ASSERT_TRUE(in.Done());
  }
  const Snapshot& got = request.snapshot;
  EXPECT_EQ(request.policy, 7U);
  EXPECT_EQ(request.zones, (std::vector<uint32_t>{3, 1}));
  EXPECT_EQ(got.service, "shop");
  EXPECT_EQ(got.now, service.now);
  EXPECT_EQ(got.capacity.desired, 4);
  EXPECT_EQ(got.bounds.max, 20);
  ASSERT_EQ(got.metrics.size(), 2U);
  EXPECT_EQ(got.metrics[1].name, "rps");
  EXPECT_EQ(got.metrics[1].unit, Unit::kPerSecond);
  const Sample& sample = got.samples[0];
  EXPECT_EQ(sample.value, 0.25);
  EXPECT_EQ(sample.state, SampleState::kError);
  EXPECT_TRUE(sample.substituted);
  EXPECT_EQ(sample.age_s, 1.5F);
  EXPECT_EQ(sample.coverage, 0.5F);
  ASSERT_EQ(sample.instances.size(), 2U);
  EXPECT_EQ(sample.instances[1].instance, "i-2");
  EXPECT_FALSE(sample.instances[0].ready);
  EXPECT_EQ(*sample.error, "timed out");
  EXPECT_FALSE(got.samples[1].age_s.has_value());
  EXPECT_EQ(*got.params, service.params);
  EXPECT_EQ(got.state, service.state);
}

TEST(WireTest, EvaluationsComeBackWhole) {
  Evaluation made{.proposal = {.kind = ProposalKind::kTrack,
                               .cause = HoldCause::kNone,
                               .capacity = 7,
                               .reason = "why",
                               .at = "a.lua:3"},
                  .state = ""};
  std::string bytes;
  FrameWriter out(bytes);
  PutEvaluation(out, made);
  FrameReader in(bytes);
  const Evaluation got = GetEvaluation(in);
  EXPECT_TRUE(in.Done());
  EXPECT_EQ(got.proposal.kind, ProposalKind::kTrack);
  EXPECT_EQ(got.proposal.capacity, 7);
  EXPECT_EQ(got.proposal.reason, "why");
  EXPECT_EQ(got.proposal.at, "a.lua:3");
  EXPECT_EQ(got.state, "");
}

TEST(WireTest, VerdictsComeBackWholeAndInALine) {
  std::string bytes;
  FrameWriter out(bytes);
  PutVerdict(out, {.kind = TrialVerdict::Kind::kError, .text = "a.lua:3: no\nmore", .named = true});
  PutVerdict(out, {.kind = TrialVerdict::Kind::kUntried, .text = ""});
  FrameReader in(bytes);
  const TrialVerdict got = GetVerdict(in);
  EXPECT_EQ(got.kind, TrialVerdict::Kind::kError);
  EXPECT_EQ(got.text, "a.lua:3: no more");
  EXPECT_TRUE(got.named);
  EXPECT_TRUE(in.ok());
  GetVerdict(in);
  EXPECT_FALSE(in.ok()) << "nobody answers what was not tried";
}

TEST(WireTest, EveryTruncationIsNoticed) {
  const std::string bytes = EncodedRequest(FullService());
  for (size_t length = 0; length < bytes.size(); ++length) {
    FrameReader in(std::string_view(bytes).substr(0, length));
    WireRequest request;
    GetRequest(in, request);
    EXPECT_FALSE(in.Done()) << length;
  }
}

TEST(WireTest, EveryDamagedByteIsSurvived) {
  const std::string whole = EncodedRequest(FullService());
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char damage : {'\x00', '\x07', '\x7f', '\xff'}) {
      std::string bytes = whole;
      bytes[at] = damage;
      FrameReader in(bytes);
      WireRequest request;
      GetRequest(in, request);
      FrameReader answers(bytes);
      GetEvaluation(answers);  // no crash, no endless loop, no allocation of what is not there
    }
  }
}

TEST(WireTest, CapacitiesThatNoPolicyCanProposeAreRefused) {
  for (const int capacity : {0, kMaxCapacity, -1, kMaxCapacity + 1, INT32_MIN, INT32_MAX}) {
    std::string bytes;
    FrameWriter out(bytes);
    PutEvaluation(out, {.proposal = {.kind = ProposalKind::kScaleTo, .capacity = capacity}});
    FrameReader in(bytes);
    GetEvaluation(in);
    EXPECT_EQ(in.ok(), capacity >= 0 && capacity <= kMaxCapacity) << capacity;
  }
}

TEST(WireTest, ReasonsAreShortLines) {
  std::string bytes;
  FrameWriter out(bytes);
  PutEvaluation(out, {.proposal = {.reason = "a\nb" + std::string(1 << 20, 'x'), .at = "c\x1b"}});
  FrameReader in(bytes);
  const Evaluation got = GetEvaluation(in);
  EXPECT_TRUE(in.Done());
  EXPECT_EQ(got.proposal.reason.size(), 1000u);
  EXPECT_TRUE(got.proposal.reason.starts_with("a bx"));
  EXPECT_EQ(got.proposal.at, "c ");
}

}  // namespace
}  // namespace autoscale
