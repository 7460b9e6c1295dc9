// A fault at a limit, replayed: the limits are part of what a decision depends on.
#include <gtest/gtest.h>

#include "engine/replay/replay.h"

namespace autoscale {
namespace {

class LimitsReplay : public ::testing::Test {
 protected:
  // A decision with these limits, as it was stored.
  DecisionRecord Record(const OwnLimits& own) {
    Basis basis{.version = "1",
                .policy = std::make_shared<const PolicySource>(PolicySource{
                    .path = "p.lua", .text = "\nfor i = 1, 20000 do end return hold()", .hash = 1}),
                .params = std::make_shared<const Params>(),
                .rules = std::make_shared<const ScalingRules>(),
                .own_limits = own};
    auto read = DecodeBasis(Encode(basis));
    EXPECT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->own_limits, own);
    EXPECT_TRUE(DecodeSource(EncodeSource(basis), *read).ok());
    hash_ = HashOf(Encode(basis));
    DecisionRecord record{.id = 1,
                          .service = "web",
                          .at = TimePoint(Millis(1'000'000)),
                          .capacity = {.desired = 1, .ready = 1}};
    auto inputs = std::make_shared<DecisionInputs>(DecisionInputs{.basis = *std::move(read)});
    record.inputs = inputs;
    const Replayed made = Make(record);
    record.proposal = made.proposal;
    record.decision = made.decision;
    return record;
  }
  static Replayed Make(const DecisionRecord& record) {
    const Basis& basis = record.inputs->basis;
    PolicyHost host(basis.limits);
    return *Replay(host, *basis.policy, *basis.params, record);
  }
  uint64_t hash_ = 0;
};

TEST_F(LimitsReplay, AFaultAtAServicesOwnLimitComesOutIdentical) {
  const DecisionRecord record =
      Record({.instructions = 10'000, .wall = Millis(300), .state_bytes = 4096});
  EXPECT_EQ(record.proposal.reason,
            "p.lua:2: more than 10000 instructions in one evaluation (limits.instructions of "
            "service web)");
  ASSERT_TRUE(CheckReplayable(record).ok());
  EXPECT_TRUE(Compare(record, Make(record)).empty());
}

TEST_F(LimitsReplay, AnotherLimitIsAnotherBasis) {
  EXPECT_EQ(Record({}).proposal.cause, HoldCause::kPolicy);
  const uint64_t none = hash_;
  Record({.instructions = 10'000, .wall = {}, .state_bytes = {}});
  const uint64_t some = hash_;
  EXPECT_NE(some, none);
  Record({.instructions = 10'000, .wall = Millis(1), .state_bytes = {}});
  EXPECT_NE(hash_, some);
}

}  // namespace
}  // namespace autoscale
