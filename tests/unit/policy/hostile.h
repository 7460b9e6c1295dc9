// HostileTest: one host for all scripts of a test, so that the damage of one shows in the next.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/policy/bench.h"

namespace autoscale {

class HostileTest : public ::testing::Test {
 protected:
  // Small enough that every limit is met within milliseconds.
  static constexpr PolicyLimits kLimits{
      .instructions = 100'000, .memory_bytes = 4u << 20, .wall = Millis(2'000)};

  std::string FaultOf(const std::string& text) {
    const Proposal proposal = TestService().Run(host_, text);
    EXPECT_EQ(proposal.cause, HoldCause::kFault) << text << ": " << proposal.reason;
    EXPECT_EQ(proposal.capacity, 4);
    ExpectSound();
    return proposal.reason;
  }
  std::string ReasonOf(const std::string& text) {
    const Proposal proposal = TestService().Run(host_, text);
    EXPECT_NE(proposal.cause, HoldCause::kFault) << text << ": " << proposal.reason;
    return proposal.reason;
  }
  // Whatever it comes to: a decision or a fault, told in a line, and nothing is left of it.
  void Survives(const std::string& text) {
    const Evaluation got = host_.Evaluate(MakePolicy(text), TestService().View());
    EXPECT_GE(got.proposal.capacity, 0) << text;
    EXPECT_LE(got.proposal.capacity, kMaxCapacity) << text;
    EXPECT_LE(got.proposal.reason.size(), 520U) << text;
    for (const char c : got.proposal.reason) {
      EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << text;
    }
    EXPECT_LE(got.state.value_or("").size(), kLimits.state_bytes + 64) << text;
    ExpectSound();
  }
  // The host still does what it did.
  void ExpectSound() {
    EXPECT_EQ(ReasonOf("local t = {3, 1, 2} table.sort(t) "
                       "return hold(('x'):rep(2) .. table.concat(t, ',') .. math.max(1, 2) .. "
                       "bit.band(6, 3) .. tostring(leak))"),
              "xx1,2,322nil");
  }

  PolicyHost host_{kLimits};
};

}  // namespace autoscale
