// The same input gives the same bytes, in this host or another, first or thousandth.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "tests/unit/policy/bench.h"

namespace autoscale {
namespace {

constexpr const char* kPolicy = R"(
local t = {zeta = 1, alpha = 2, [10] = 3, [2] = 4, ["1"] = 5, [1.5] = 6, eta = 7, theta = 8}
for i = 1, 30 do t["key" .. i * 7919 % 31] = i end
local out = {}
for k, v in pairs(t) do out[#out + 1] = k .. "=" .. v end
local k = nil
repeat k = next(t, k) out[#out + 1] = tostring(k) until k == nil
state.text = table.concat(out, " ")
state.seen = t
out = {tostring({}), tostring(hold), tostring(metric "cpu"), tostring(string), tostring(1 / 3),
       string.format("%s %s %d %5.1f|%-4s|%x", {}, print, 3.7, 2.25, "ab", 255)}
return scale_to(#state.text, table.concat(out, ";"))
)";

TEST(DeterminismTest, SameInputSameBytes) {
  TestService service;
  std::string reason, state;
  auto host = std::make_unique<PolicyHost>(PolicyLimits{});
  for (int i = 0; i < 1000; ++i) {
    if (i % 10 == 0) host = std::make_unique<PolicyHost>(PolicyLimits{});
    {
      const Evaluation got = host->Evaluate(MakePolicy(kPolicy), service.View());
      ASSERT_EQ(got.proposal.cause, HoldCause::kNone) << got.proposal.reason;
      ASSERT_TRUE(got.state);
      if (reason.empty()) reason = got.proposal.reason;
      if (state.empty()) state = *got.state;
      ASSERT_EQ(got.proposal.reason, reason);
      ASSERT_EQ(*got.state, state);
    }
  }
  EXPECT_EQ(reason, "table;function;metric;library;0.33333333333333;table nil 3   2.2|ab  |ff");
  EXPECT_NE(state.find("1.5=6 2=4 10=3 1=5 alpha=2 eta=7 key1=20 "), std::string::npos) << state;
}

TEST(DeterminismTest, LimitsAreMetAtTheSamePlace) {
  TestService service;
  std::string first;
  PolicyHost used({});
  for (int i = 0; i < 20; ++i) {
    const std::string policy = "local n = 0\nwhile true do\n n = n + 1\n local t = {n}\nend";
    PolicyHost fresh({});
    for (PolicyHost* host : {&fresh, &used}) {
      const Proposal got = service.Run(*host, policy);
      if (first.empty()) first = got.reason;
      ASSERT_EQ(got.reason, first);
    }
    service.Run(used, "local t = {} for i = 1, 100 do t[i] = {i} end return hold()");
  }
}

// What is written in other ways than printf's reads the same.
TEST(DeterminismTest, NumbersAreWrittenAsPrintfWritesThem) {
  TestService service;
  PolicyHost host({});
  uint64_t random = 1;
  for (const char* format : {"%g", "%f", "%.0g", "%.4g", "%.17g", "%.0f", "%.3f", "%.99f"}) {
    for (int i = 0; i < 200; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const double value = std::ldexp(static_cast<double>(static_cast<int64_t>(random)),
                                      static_cast<int>(random >> 40 & 127) - 110);
      service.params = {{"value", i == 0 ? 0.0 : value}, {"format", std::string(format)}};
      char expected[500];
      std::snprintf(expected, sizeof expected, format, i == 0 ? 0.0 : value);
      ASSERT_EQ(
          service.Run(host, "return hold(string.format(param 'format', param 'value'))").reason,
          expected);
    }
  }
  EXPECT_EQ(service.Run(host, "return hold(string.format('%g %f', 1/0, -1/0))").reason, "inf -inf");
}

}  // namespace
}  // namespace autoscale
