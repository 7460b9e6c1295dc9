// Limits of one service in place of the host's.
#include <gtest/gtest.h>

#include "tests/unit/policy/bench.h"

namespace autoscale {
namespace {

class LimitsTest : public ::testing::Test {
 protected:
  Evaluation Run(const std::string& text, const OwnLimits& limits) {
    Snapshot snapshot = service_.View();
    snapshot.limits = limits;
    return host_.Evaluate(MakePolicy(text), snapshot);
  }
  static OwnLimits Wall(int millis) {
    return {.instructions = 1'000'000'000, .wall = Millis(millis), .state_bytes = {}};
  }

  PolicyHost host_{{.instructions = 50'000, .wall = Millis(5'000), .state_bytes = 2'000}};
  TestService service_;
};

TEST_F(LimitsTest, AServicesOwnInstructionsAreInForceAndNamed) {
  const std::string some = "for i = 1, 10000 do end return scale_to(7)";
  EXPECT_EQ(Run(some, {}).proposal.capacity, 7);
  const Evaluation fewer = Run(some, {.instructions = 5'000, .wall = {}, .state_bytes = {}});
  EXPECT_EQ(fewer.proposal.reason,
            "test.lua:1: more than 5000 instructions in one evaluation (limits.instructions of "
            "service shop)");
  EXPECT_EQ(fewer.proposal.at, "test.lua:1");
  EXPECT_TRUE(fewer.at_limit);
  EXPECT_FALSE(fewer.outside) << "the same input ends at the same place";
  EXPECT_EQ(Run(some, {}).proposal.capacity, 7) << "the next service has the host's";

  const std::string many = "\nfor i = 1, 1000000 do end return scale_to(7)";
  EXPECT_EQ(Run(many, {}).proposal.reason,
            "test.lua:2: more than 50000 instructions in one evaluation "
            "(policy_limits.instructions)");
  EXPECT_EQ(
      Run(many, {.instructions = 10'000'000, .wall = {}, .state_bytes = {}}).proposal.capacity, 7);
}

TEST_F(LimitsTest, AServicesOwnTimeIsInForceAndNamed) {
  const Evaluation out = Run("while true do end", Wall(5));
  EXPECT_EQ(out.proposal.reason,
            "test.lua:1: more than 5 ms in one evaluation (limits.wall of service shop)");
  EXPECT_TRUE(out.at_limit);
  EXPECT_TRUE(out.outside) << "time is no input: it cannot be replayed";
  EXPECT_EQ(Run("while true do end", {}).proposal.reason,
            "test.lua:1: more than 50000 instructions in one evaluation "
            "(policy_limits.instructions)");
}

TEST_F(LimitsTest, AServicesOwnStateIsInForceAndNamed) {
  const std::string grow = "state.x = ('x'):rep(2500) return scale_to(7)";
  EXPECT_EQ(Run(grow, {}).proposal.reason,
            "test.lua: state is larger than 2000 bytes (policy_limits.state)");
  const Evaluation more = Run(grow, {.instructions = {}, .wall = {}, .state_bytes = 3'000});
  EXPECT_EQ(more.proposal.capacity, 7);
  EXPECT_EQ(more.state->size(), 2'510U);
  EXPECT_EQ(Run(grow, {.instructions = {}, .wall = {}, .state_bytes = 1'024}).proposal.reason,
            "test.lua: state is larger than 1024 bytes (limits.state of service shop)");
}

TEST_F(LimitsTest, ACheckTriesWithinThem) {
  Snapshot snapshot = service_.View();
  const PolicySource policy = MakePolicy("for i = 1, 10000 do end return scale_to(7)");
  auto doubt = host_.Check(policy, snapshot);
  ASSERT_TRUE(doubt.ok());
  EXPECT_EQ(*doubt, "");
  snapshot.limits.instructions = 5'000;
  doubt = host_.Check(policy, snapshot);
  ASSERT_TRUE(doubt.ok());
  EXPECT_NE(doubt->find("more than 5000 instructions in one evaluation (limits.instructions of "
                        "service shop)"),
            std::string::npos)
      << *doubt;
}

}  // namespace
}  // namespace autoscale
