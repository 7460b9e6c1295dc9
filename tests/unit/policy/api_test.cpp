// The policy API, function by function, with the arithmetic in the comments.
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/policy/bench.h"

namespace autoscale {
namespace {

class ApiTest : public ::testing::Test {
 protected:
  Proposal Run(const std::string& text) { return service_.Run(host_, text); }
  // The value of an expression, by way of a reason.
  std::string Value(const std::string& expression) {
    const Proposal proposal = Run("return hold(tostring(" + expression + "))");
    EXPECT_EQ(proposal.cause, HoldCause::kPolicy) << proposal.reason;
    return proposal.reason;
  }
  void ExpectFault(const std::string& text, const std::string& reason) {
    const Proposal proposal = Run(text);
    EXPECT_EQ(proposal.kind, ProposalKind::kHold) << text;
    EXPECT_EQ(proposal.cause, HoldCause::kFault) << text;
    EXPECT_EQ(proposal.capacity, service_.capacity.desired);
    EXPECT_EQ(proposal.reason, reason);
  }

  PolicyHost host_{PolicyLimits{}};
  TestService service_;
};

TEST_F(ApiTest, HoldKeepsTheDesiredCapacity) {
  service_.Has(5, 4);
  const Proposal proposal = Run("\nreturn hold(\"errors are high\")");
  EXPECT_EQ(proposal.kind, ProposalKind::kHold);
  EXPECT_EQ(proposal.cause, HoldCause::kPolicy);
  EXPECT_EQ(proposal.capacity, 5);
  EXPECT_EQ(proposal.reason, "errors are high");
  EXPECT_EQ(proposal.at, "test.lua:2");
}

TEST_F(ApiTest, ScaleUpAddsToDesired) {
  const Proposal proposal = Run("return scale_up(3, 'busy')");  // 4 + 3
  EXPECT_EQ(proposal.kind, ProposalKind::kScaleUp);
  EXPECT_EQ(proposal.cause, HoldCause::kNone);
  EXPECT_EQ(proposal.capacity, 7);
  EXPECT_EQ(proposal.reason, "busy");
  EXPECT_EQ(Run("return scale_up()").reason, "1 more than 4");
  EXPECT_EQ(Run("return scale_up(0.5)").capacity, 5);  // ceil(4 + 0.5)
}

TEST_F(ApiTest, ScaleUpWaitsForWhatIsStarting) {
  service_.Has(5, 3);
  const Proposal proposal = Run("return scale_up(2, 'busy')");
  EXPECT_EQ(proposal.kind, ProposalKind::kHold);
  EXPECT_EQ(proposal.cause, HoldCause::kPending);
  EXPECT_EQ(proposal.capacity, 5);
  EXPECT_EQ(proposal.reason, "busy; waiting for 2 of 5 instances that are still starting");
}

TEST_F(ApiTest, ScaleDownSubtractsFromDesired) {
  const Proposal proposal = Run("return scale_down(1)");  // 4 - 1
  EXPECT_EQ(proposal.kind, ProposalKind::kScaleDown);
  EXPECT_EQ(proposal.capacity, 3);
  EXPECT_EQ(proposal.reason, "1 fewer than 4");
  EXPECT_EQ(Run("return scale_down(9)").capacity, 0);    // never below 0; bounds come later
  EXPECT_EQ(Run("return scale_down(1.5)").capacity, 3);  // ceil(4 - 1.5)
  EXPECT_EQ(Run("return scale_down(1e300)").capacity, 0);
}

TEST_F(ApiTest, ScaleToIsAbsoluteAndRoundsUp) {
  const Proposal proposal = Run("return scale_to(6.2, 'night')");
  EXPECT_EQ(proposal.kind, ProposalKind::kScaleTo);
  EXPECT_EQ(proposal.capacity, 7);
  EXPECT_EQ(Run("return scale_to((0.1 + 0.2) * 10)").capacity, 3);  // 3.0000000000000004
  EXPECT_EQ(Run("return scale_to(0)").capacity, 0);
  EXPECT_EQ(Run("return scale_to(1000)").capacity, 1000);  // not clamped to the bounds
  EXPECT_EQ(Run("return scale_to(1e300)").capacity, kMaxCapacity);
  EXPECT_EQ(Run("return scale_up(2e6)").capacity, kMaxCapacity);
  service_.Has(5, 0);
  EXPECT_EQ(Run("return scale_to(9)").capacity, 9);  // pending does not matter
}

TEST_F(ApiTest, CapacitiesThatAreNoneAreFaults) {
  ExpectFault("return scale_to(0/0)", "test.lua:1: scale_to: the capacity is not a finite number");
  ExpectFault("return scale_to(1/0)", "test.lua:1: scale_to: the capacity is not a finite number");
  ExpectFault("return scale_to(-1)",
              "test.lua:1: scale_to: the capacity must not be below 0, but is -1");
  ExpectFault("return scale_to('6')",
              "test.lua:1: scale_to: the capacity must be a number, not a string");
  ExpectFault("return scale_up(-1)", "test.lua:1: scale_up: the step must be above 0, not -1");
  ExpectFault("return scale_up(0)", "test.lua:1: scale_up: the step must be above 0, not 0");
  ExpectFault("return scale_up(1, {})",
              "test.lua:1: scale_up: the reason must be a text, not a table");
}

TEST_F(ApiTest, TrackMultipliesReadyByTheRatio) {
  // 0.9 / 0.6 = 1.5; 1.5 × 4 = 6.
  const Proposal proposal = service_.Cpu(0.9).Run(host_, "return track(metric 'cpu', 0.6)");
  EXPECT_EQ(proposal.kind, ProposalKind::kTrack);
  EXPECT_EQ(proposal.capacity, 6);
  EXPECT_EQ(proposal.reason, "cpu 0.9 is above its target 0.6: 4 ready × 1.5 needs 6");
  // 0.3 / 0.6 = 0.5; 0.5 × 4 = 2.
  EXPECT_EQ(service_.Cpu(0.3).Run(host_, "return track(metric 'cpu', 0.6)").capacity, 2);
  // 1.05 / 0.6 × 4 = 7.000000000000001 in doubles, 7 in the HPA's milli-units: not 8.
  EXPECT_EQ(service_.Cpu(1.05).Run(host_, "return track(metric 'cpu', 0.6)").capacity, 7);
  // 0.8 / 0.6 × 3 = 4.0000000000000003…: 4, as the HPA has it, not 5.
  service_.Has(3, 3);
  EXPECT_EQ(service_.Cpu(0.8).Run(host_, "return track(metric 'cpu', 0.6)").capacity, 4);
  // 0.5 / 0.6 × 3 = 2.5: up to 3, which changes nothing but is what it needs.
  EXPECT_EQ(service_.Cpu(0.5).Run(host_, "return track(metric 'cpu', 0.6)").capacity, 3);
}

TEST_F(ApiTest, TrackHoldsInsideItsTolerance) {
  // |1 - 0.65 / 0.6| = 0.083 <= 0.1
  Proposal proposal = service_.Cpu(0.65).Run(host_, "return track(metric 'cpu', 0.6)");
  EXPECT_EQ(proposal.cause, HoldCause::kInside);
  EXPECT_EQ(proposal.reason, "cpu 0.65 is within 10 % of its target 0.6");
  // 0.083 > 0.05: ceil(1.083 × 4) = ceil(4.33) = 5
  proposal = Run("return track(metric 'cpu', 0.6, {tolerance = 0.05})");
  EXPECT_EQ(proposal.capacity, 5);
}

TEST_F(ApiTest, TrackNeverMovesAgainstItsRatio) {
  // 0.9 / 0.6 × 3 ready = 4.5: 5, below the 8 desired, of which 5 are starting.
  service_.Has(8, 3).Cpu(0.9);
  Proposal proposal = Run("return track(metric 'cpu', 0.6)");
  EXPECT_EQ(proposal.cause, HoldCause::kPending);
  EXPECT_EQ(proposal.capacity, 8);
  // 0.5 / 0.6 × 10 ready = 8.3: 9, above the 4 desired.
  service_.Has(4, 10).Cpu(0.5);
  proposal = Run("return track(metric 'cpu', 0.6)");
  EXPECT_EQ(proposal.cause, HoldCause::kPending);
  EXPECT_EQ(proposal.capacity, 4);
  service_.Has(4, 0);
  proposal = Run("return track(metric 'cpu', 0.6)");
  EXPECT_EQ(proposal.cause, HoldCause::kPending);
  EXPECT_EQ(proposal.reason, "waiting for 4 of 4 instances that are still starting");
  service_.Has(0, 0);
  EXPECT_EQ(Run("return track(metric 'cpu', 0.6)").cause, HoldCause::kInside);
}

TEST_F(ApiTest, TrackRefusesWhatCannotBe) {
  ExpectFault("\nreturn track(metric 'cpu', 75)",
              "test.lua:2: 75 does not fit metric 'cpu', whose unit is ratio (0.75?)");
  ExpectFault("return track(metric 'cpu', 0)",
              "test.lua:1: track: the target must be above 0, not 0");
  ExpectFault("return track('cpu', 0.6)",
              "test.lua:1: track needs a metric, such as metric \"cpu\", but got a string");
  ExpectFault("return track(metric 'cpu', 0.6, {tolerence = 1})",
              "test.lua:1: track has no option 'tolerence'; its options: tolerance ");
  ExpectFault("return track(metric 'cpu', 0.6, {tolerance = 1})",
              "test.lua:1: track: the tolerance must be at least 0 and below 1, not 1");
}

TEST_F(ApiTest, ThresholdIsStrict) {
  const std::string policy = "return threshold(metric 'cpu', {above=0.75, below=0.3, up=2})";
  Proposal proposal = service_.Cpu(0.91).Run(host_, policy);
  EXPECT_EQ(proposal.kind, ProposalKind::kScaleUp);
  EXPECT_EQ(proposal.capacity, 6);  // 4 + 2
  EXPECT_EQ(proposal.reason, "cpu 0.91 is above 0.75: 2 more");
  proposal = service_.Cpu(0.29).Run(host_, policy);
  EXPECT_EQ(proposal.kind, ProposalKind::kScaleDown);
  EXPECT_EQ(proposal.capacity, 3);  // 4 - 1
  EXPECT_EQ(proposal.reason, "cpu 0.29 is below 0.3: 1 fewer");
  for (const double edge : {0.75, 0.3}) {
    proposal = service_.Cpu(edge).Run(host_, policy);
    EXPECT_EQ(proposal.cause, HoldCause::kInside) << edge;
    EXPECT_EQ(proposal.capacity, 4);
  }
  service_.Has(5, 4).Cpu(0.91);
  EXPECT_EQ(Run(policy).cause, HoldCause::kPending);
}

TEST_F(ApiTest, ThresholdRefusesWhatCannotBe) {
  ExpectFault("return threshold(metric 'cpu', {above = 75, below = 30})",
              "test.lua:1: 75 does not fit metric 'cpu', whose unit is ratio (0.75?)");
  ExpectFault("return threshold(metric 'cpu', {above = 0.3, below = 0.3})",
              "test.lua:1: threshold: below (0.3) must be less than above (0.3)");
  ExpectFault("return threshold(metric 'cpu', {})",
              "test.lua:1: threshold needs above, below or both");
  ExpectFault("return threshold(metric 'rps', {above = -1})",
              "test.lua:1: -1 does not fit metric 'rps', whose unit is per_second");
  ExpectFault("return threshold(metric 'cpu', {over = 1})",
              "test.lua:1: threshold has no option 'over'; its options: above below up down ");
  // Of several always the first in order: a message must not depend on addresses.
  ExpectFault("return threshold(metric 'cpu', {zz = 1, over = 1, aa = 1, mm = 1})",
              "test.lua:1: threshold has no option 'aa'; its options: above below up down ");
  ExpectFault("return threshold(metric 'cpu', {above = 0.5, ['up down'] = 1})",
              "test.lua:1: threshold has no option 'up down'; its options: above below up down ");
  ExpectFault("return threshold(metric 'cpu', {above = 0.5, up = 0})",
              "test.lua:1: threshold: up and down must be above 0");
}

TEST_F(ApiTest, MetricShowsTheSample) {
  service_.samples[0].age_s = 2.5F;
  service_.samples[0].coverage = 0.75F;
  service_.samples[0].instances = {{"i-1", 0.4, true}, {"i-2", 0.6, false}};
  EXPECT_EQ(Value("metric('cpu').value"), "0.5");
  EXPECT_EQ(Value("metric('cpu').usable"), "true");
  EXPECT_EQ(Value("metric('cpu').state"), "fresh");
  EXPECT_EQ(Value("metric('cpu').age"), "2.5");
  EXPECT_EQ(Value("metric('cpu').coverage"), "0.75");
  EXPECT_EQ(Value("metric('cpu').unit .. metric('cpu').name"), "ratiocpu");
  EXPECT_EQ(Value("#metric('cpu').instances"), "2");
  EXPECT_EQ(Value("metric('cpu').instances[2].id"), "i-2");
  EXPECT_EQ(Value("metric('cpu').instances[2].value"), "0.6");
  EXPECT_EQ(Value("metric('cpu').instances[2].ready"), "false");
  EXPECT_EQ(Value("metric('rps').age"), "nil");
}

TEST_F(ApiTest, UnknownNamesAreErrorsAtTheirLine) {
  ExpectFault("\n\nlocal m = metric 'cpuu'",
              "test.lua:3: unknown metric 'cpuu': declare it under metrics: of the service "
              "(declared: cpu, rps)");
  ExpectFault(
      "local x = metric('cpu').valu",
      "test.lua:1: a metric has no field 'valu': value, usable, state, age, coverage, unit, "
      "name, instances");
  ExpectFault(
      "local t = param 'goal'",
      "test.lua:1: parameter 'goal' is not set: set it under params: of the service, or give "
      "a default: param(\"goal\", 1)");
}

TEST_F(ApiTest, ParamsAndTheRestOfTheSnapshot) {
  service_.Has(7, 5);
  EXPECT_EQ(Value("param 'target'"), "0.6");
  EXPECT_EQ(Value("param 'mode'"), "fast");
  EXPECT_EQ(Value("param 'strict'"), "true");
  EXPECT_EQ(Value("param('target', 9)"), "0.6");
  EXPECT_EQ(Value("param('goal', 9)"), "9");
  EXPECT_EQ(Value("param('goal', nil)"), "nil");
  EXPECT_EQ(Value("service"), "shop");
  EXPECT_EQ(Value("now"), "1000");
  EXPECT_EQ(Value("capacity.desired .. capacity.ready .. capacity.pending"), "752");
  EXPECT_EQ(Value("capacity.min .. ' ' .. capacity.max"), "2 20");
}

TEST_F(ApiTest, AValueThatMayNotBeActedOnHolds) {
  const std::string policy =
      "local m = metric 'cpu'\nif m.value > 1 then return scale_up(1) end\n"
      "return scale_down(1)";
  const std::pair<SampleState, const char*> cases[] = {
      {SampleState::kStale, "metric 'cpu' is stale"},
      {SampleState::kPartial, "metric 'cpu' is partial"},
      {SampleState::kEmpty, "metric 'cpu' is empty: its query found no series"},
      {SampleState::kNaN, "metric 'cpu' is nan: its query answered no finite number"},
      {SampleState::kError, "metric 'cpu' is error: its query failed"}};
  for (const auto& [state, reason] : cases) {
    const Proposal proposal = service_.Cpu(state).Run(host_, policy);
    EXPECT_EQ(proposal.kind, ProposalKind::kHold);
    EXPECT_EQ(proposal.cause, HoldCause::kMetric);
    EXPECT_EQ(proposal.capacity, 4);
    EXPECT_EQ(proposal.reason, reason);
    EXPECT_EQ(proposal.at, "test.lua:2");
  }
}

TEST_F(ApiTest, TroubleIsTold) {
  service_.samples[0] = Sample{.state = SampleState::kStale, .age_s = 95.2F};
  EXPECT_EQ(Run("return track(metric 'cpu', 0.6)").reason,
            "metric 'cpu' is stale: its newest data is 95 s old");
  service_.samples[0] =
      Sample{.state = SampleState::kStale, .age_s = std::numeric_limits<float>::infinity()};
  EXPECT_EQ(Run("return track(metric 'cpu', 0.6)").reason,
            "metric 'cpu' is stale: none of its series reports any more");
  service_.samples[0] = Sample{.state = SampleState::kPartial, .coverage = 0.5F};
  EXPECT_EQ(Run("return threshold(metric 'cpu', {above = 0.6})").reason,
            "metric 'cpu' is partial: it speaks for 50 % of the instances");
  service_.samples[0] = Sample{.state = SampleState::kError,
                               .error = std::make_shared<std::string>("timed out after 5s")};
  EXPECT_EQ(Run("return hold(metric('cpu').value)").reason,
            "metric 'cpu' is error: timed out after 5s");
}

TEST_F(ApiTest, PcallDoesNotSwallowAnUnusableMetric) {
  service_.Cpu(SampleState::kEmpty);
  const Proposal proposal = Run(
      "pcall(function() pcall(function() return metric('cpu').value end) end)\nreturn scale_to(2)");
  EXPECT_EQ(proposal.cause, HoldCause::kMetric);
}

TEST_F(ApiTest, APolicyMayHandleMissingDataItself) {
  service_.Cpu(SampleState::kEmpty);
  const Proposal proposal =
      Run("local m = metric 'cpu'\nif not m.usable then return scale_to(9, m.state) end");
  EXPECT_EQ(proposal.capacity, 9);
  EXPECT_EQ(proposal.reason, "empty");
}

TEST_F(ApiTest, TheLineIsThatOfTheCall) {
  EXPECT_EQ(Run("return\nscale_up(1)").at, "test.lua:2");
  EXPECT_EQ(Run("local p = scale_up(1)\n\nreturn p").at, "test.lua:1");
  EXPECT_EQ(Run("local function f()\n  return scale_up(1)\nend\nreturn f()").at, "test.lua:2");
  EXPECT_EQ(Run("return hold 'x'").at, "test.lua:1");
  EXPECT_EQ(Run("-- return hold('\n--[[ return hold( ]]\nreturn hold [[x]]").at, "test.lua:3");
  EXPECT_EQ(Run("return scale_to(#(function() return 'x' end)())").at, "test.lua:1");
  EXPECT_EQ(Run("local f = hold return f('x')").at, "test.lua:1");
  // A tail call by another name leaves the line of whoever called.
  EXPECT_EQ(Run("local h = hold\nlocal function f()\n  return h('x')\nend\nreturn f()").at,
            "test.lua:5");
  const Proposal proposal = Run("\n\nreturn error('no')");
  EXPECT_EQ(proposal.reason, "test.lua:3: no");
  EXPECT_EQ(proposal.at, "test.lua:3");
}

TEST_F(ApiTest, ProposalsCanBeCompared) {
  service_.Cpu(0.9);
  const Proposal proposal =
      Run("local a, b = track(metric 'cpu', 0.6), scale_to(5, 'five')\n"
          "if a.capacity > b.capacity then return a end\nreturn b");
  EXPECT_EQ(proposal.capacity, 6);
  EXPECT_EQ(Value("scale_to(5, 'five').reason .. scale_to(5).kind"), "fivescale_to");
  ExpectFault("local p = hold('x') p.capacity = 9 return p",
              "test.lua:1: metrics and proposals cannot be changed");
}

TEST_F(ApiTest, NonsenseIsAFault) {
  const std::string advice =
      "; end it with return hold(...), scale_up(...), scale_down(...), scale_to(...), track(...) "
      "or "
      "threshold(...)";
  ExpectFault("", "test.lua: the policy returned nothing" + advice);
  ExpectFault("return 5", "test.lua: the policy returned number" + advice);
  ExpectFault("return metric 'cpu'", "test.lua: the policy returned a metric" + advice);
  ExpectFault("\nlocal x = nil + 1", "test.lua:2: attempt to perform arithmetic on a nil value");
  ExpectFault("error({})", "test.lua: error was called with a table instead of a message");
  ExpectFault("\nfoo(", "test.lua:2: unexpected symbol near '<eof>'");
}

TEST_F(ApiTest, ReasonsAreOneLine) {
  EXPECT_EQ(Run("return hold('a\\nb\\27[1mc')").reason, "a b [1mc");
  EXPECT_EQ(Run("return hold(string.rep('x', 1000))").reason.size(), 400U);
}

TEST_F(ApiTest, StateSurvivesAndNothingElse) {
  const std::string count =
      "state.n = (state.n or 0) + 1 leak = (leak or 0) + 1 "
      "return hold(state.n .. ' ' .. leak)";
  EXPECT_EQ(Run(count).reason, "1 1");
  EXPECT_EQ(Run(count).reason, "2 1");
  EXPECT_EQ(service_.state, "s1:nn2;");
  // A policy that does not change it says so.
  EXPECT_FALSE(
      host_.Evaluate(MakePolicy("local x = state.n return hold()"), service_.View()).state);
  EXPECT_FALSE(host_.Evaluate(MakePolicy("return hold()"), service_.View()).state);
  // Nor does one that fails: half a change is none.
  EXPECT_FALSE(host_.Evaluate(MakePolicy("state.n = 9 error('x')"), service_.View()).state);
  Run("state = {} return hold()");
  EXPECT_EQ(service_.state, "");
}

TEST_F(ApiTest, StateOfAnyShapeComesBack) {
  Run("state = {1, 2.5, -0.1, 1/0, x = {y = {z = 'a\\0b'}}, [3.5] = true, [''] = false} "
      "return hold()");
  using namespace std::string_literals;
  EXPECT_EQ(service_.state, "n1;n1;n2;n2.5;n3;n-0.1;n3.5;tn4;ninf;s0:fs1:x{s1:y{s1:zs3:a\0b}}"s);
  EXPECT_EQ(Value("state[1] + state[2] + state[3]"), "3.4");
  EXPECT_EQ(Value("state[4]"), "inf");
  EXPECT_EQ(Value("#state.x.y.z"), "3");
  EXPECT_EQ(Value("state[3.5]"), "true");
  const std::string before = service_.state;
  Run("state.again = nil return hold()");
  EXPECT_EQ(service_.state, before);
}

TEST_F(ApiTest, StateRefusesWhatCannotBeKept) {
  ExpectFault("state.f = function() end return hold()",
              "test.lua: state may hold numbers, strings, booleans and tables of them, but not a "
              "function");
  ExpectFault("state.m = metric 'cpu' return hold()",
              "test.lua: state may hold numbers, strings, booleans and tables of them, but not a "
              "userdata");
  ExpectFault("state.s = state return hold()",
              "test.lua: state is nested more than 8 tables deep, or holds itself");
  ExpectFault("state.s = string.rep('x', 20000) return hold()",
              "test.lua: state is larger than 16384 bytes (policy_limits.state)");
  ExpectFault("for i = 1, 5000 do state[i] = i end return hold()",
              "test.lua: state is larger than 16384 bytes (policy_limits.state)");
  ExpectFault("state[{}] = 1 return hold()",
              "test.lua: a table as a table's key has no order: use numbers or strings");
  ExpectFault("state = 5 return hold()", "test.lua: state must be a table, not a number");
}

TEST_F(ApiTest, DamagedStateIsAFault) {
  for (const char* damaged : {"x", "n1;", "n1", "s9:abc", "s1:an1;}", "s1:a{", "{}", "tn1;",
                              "nnan;t", "s1:a{s1:a{s1:a{s1:a{s1:a{s1:a{s1:a{s1:a{s1:a{}}}}}}}}}",
                              "s18446744073709551615:a", "s1:a{n1;}"}) {
    service_.state = damaged;
    const Proposal proposal = Run("local x = state.a return scale_to(2)");
    EXPECT_EQ(proposal.cause, HoldCause::kFault) << damaged;
    EXPECT_EQ(proposal.reason,
              "test.lua:1: the stored state of this policy cannot be read: it is damaged");
  }
}

}  // namespace
}  // namespace autoscale
