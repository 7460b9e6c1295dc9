// The library's modules, function by function, with the arithmetic in the comments.
#include <gtest/gtest.h>

#include "tests/policies/rig.h"

namespace autoscale {
namespace {

PolicyRig Cpu(const std::string& text) {
  PolicyRig rig = PolicyRig::Of(text);
  rig.Metric("cpu", Unit::kRatio).Metric("rps", Unit::kPerSecond).Has(4);
  rig.Value("cpu", 0.5).Value("rps", 100);
  return rig;
}

// The value of an expression, by way of a reason.
std::string Value(const std::string& module, const std::string& expression) {
  return Cpu("local " + module + " = require 'autoscale." + module + "' return hold(tostring(" +
             expression + "))")
      .Why();
}

void ExpectFault(const std::string& module, const std::string& call, const std::string& text) {
  PolicyRig rig = Cpu("local " + module + " = require 'autoscale." + module + "'\nreturn " + call);
  const std::string why = rig.Why();
  EXPECT_EQ(rig.last().proposal.cause, HoldCause::kFault) << why;
  EXPECT_NE(why.find(".lua:2: "), std::string::npos) << why;  // the policy's line
  EXPECT_EQ(why.find("autoscale/"), std::string::npos) << why;
  EXPECT_NE(why.find(text), std::string::npos) << why;
}

TEST(Library, WrongArgumentsNameFunctionAndArgument) {
  ExpectFault("target", "target.track(metric 'cpu', 75)",
              "target.track: the target 75 does not fit metric 'cpu', whose unit is ratio (0.75?)");
  ExpectFault(
      "target", "target.track('cpu', 0.6)",
      "target.track: the first argument must be a metric, such as metric \"cpu\", not \"cpu\"");
  ExpectFault("target", "target.track(metric 'cpu', 0)",
              "target.track: the target must be a number above 0, not 0");
  ExpectFault("target", "target.track(metric 'cpu', 0.6, {tolerence = 0.2})",
              "target.track has no option 'tolerence'; its options: tolerance,");
  ExpectFault("target", "target.track(metric 'cpu', 0.6, {tolerance = 1})",
              "target.track: tolerance must be a number of at least 0 and below 1, not 1");
  ExpectFault("sustain", "sustain.samples('a', 1, 3)",
              "sustain.samples: the condition must be a boolean, not 1");
  ExpectFault("combine", "combine.max {}", "combine.max: a list of rules is needed");
  ExpectFault("combine", "combine.max {hold(), 3}",
              "combine.max: rule 2 is neither a proposal nor from combine.try");
  ExpectFault(
      "steps",
      "steps.scale(metric 'cpu', 0.5, {{from = 0, to = 0.1, by = 1}, {from = 0.2, by = 2}})",
      "steps.scale: step 2 begins at 0.2, the step before it ends at 0.1");
  ExpectFault("fallback", "fallback.after({metric 'cpu'}, {behavior = 'stay'}, hold)",
              "fallback.after: behavior must be one of static, current, current_if_higher, "
              "current_if_lower, not \"stay\"");
  ExpectFault("history", "history.mean({})", "history.mean: a history, or a list of numbers,");
}

TEST(Check, NumbersWithinLimits) {
  ExpectFault("check", "check.number('target', 2, {above = 0, max = 1})",
              "target must be a number above 0 and of at most 1, not 2");
  ExpectFault("check", "check.number('target', 0/0)", "target must be a number, not nan");
  ExpectFault("check", "check.number('target', nil, {min = 1, max = 5})",
              "target must be a number from 1 to 5, not nothing");
  ExpectFault("check", "check.integer('n', 1.5, {min = 1})",
              "n must be a whole number of at least 1, not 1.5");
  EXPECT_EQ(Value("check", "check.number('n', 1, {min = 1, max = 1})"), "1");
  EXPECT_EQ(Value("check", "#check.names('n', ' a, b  c ')"), "3");
  ExpectFault("check", "check.names('n', ' ')", "n must be at least one name");
  ExpectFault("check", "check.level('above', metric 'cpu', 75)",
              "above 75 does not fit metric 'cpu', whose unit is ratio (0.75?)");
  EXPECT_EQ(Value("check", "check.level('above', metric 'rps', 75)"), "75");
}

TEST(Target, CountsExactlyUnlessAskedForThousandths) {
  // 0.0051 / 0.005 = 1.02: inside. In thousandths 6 / 5 = 1.2.
  const std::string track =
      "local target = require 'autoscale.target' return target.track("
      "{name = 'latency', value = 0.0051}, 0.005, ";
  EXPECT_EQ(Cpu(track + "{})").Wants(), 4);
  EXPECT_EQ(Cpu(track + "{thousandths = true})").Wants(), 5);
}

TEST(Target, NeverMovesAgainstItsRatio) {
  const std::string track =
      "local target = require 'autoscale.target' return target.track(metric 'cpu', 0.6)";
  // 0.9 / 0.6 × 3 ready = 4.5, fewer than the 6 desired: waits for what is starting.
  EXPECT_EQ(Cpu(track).Has(6, 3).Value("cpu", 0.9).Wants(), 6);
  // 0.4 / 0.6 × 9 ready = 6, more than the 4 desired.
  EXPECT_EQ(Cpu(track).Has(4, 9).Value("cpu", 0.4).Wants(), 4);
  EXPECT_EQ(Cpu(track).Has(4, 0).Value("cpu", 0.9).Wants(), 4);
  EXPECT_EQ(Cpu(track).Has(0).Value("cpu", 0.9).Wants(), 0);
}

TEST(Target, UsesAPartialMetricByInstanceAndCountsTheOthersAgainstTheMove) {
  const std::string track =
      "local target = require 'autoscale.target' return target.track(metric 'cpu', 0.6)";
  // Six of ten report 0.3: 0.5; the other four as 0.6: 0.42 / 0.6 × 10 = 7.
  PolicyRig rig = Cpu(track);
  rig.Has(10).Each("cpu", std::vector<double>(6, 0.3));
  EXPECT_EQ(rig.Wants(), 7);
  EXPECT_EQ(rig.last().samples[0].state, SampleState::kPartial);
  EXPECT_EQ(rig.last().proposal.reason,
            "cpu is 0.7 times its target 0.6 with 4 without data, 0 not ready: 10 need 7");
}

TEST(Sustain, Samples) {
  PolicyRig rig =
      Cpu("local sustain = require 'autoscale.sustain' "
          "return hold(tostring(sustain.samples('hot', metric('cpu').value > 0.8, 3)))");
  const double values[] = {0.9, 0.9, 0.9, 0.9, 0.5, 0.9, 0.9};
  const char* wanted[] = {"false", "false", "true", "true", "false", "false", "false"};
  for (int i = 0; i < 7; ++i) EXPECT_EQ(rig.Value("cpu", values[i]).Why(), wanted[i]) << i;
}

TEST(Sustain, ItsStateOnlyChangesWhileItMatters) {
  PolicyRig rig =
      Cpu("local sustain = require 'autoscale.sustain' "
          "sustain.samples('hot', true, 2) sustain.seconds('old', true, 10) "
          "sustain.most('some', true, 1, 3) return hold('x')");
  for (int i = 0; i < 3; ++i) rig.After(15).Run();
  int changes = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string before = rig.last().state;
    EXPECT_FALSE(before.empty());
    changes += rig.After(15).Run().state == before ? 0 : 1;
  }
  EXPECT_EQ(changes, 10);  // when it was last seen, to half a minute
}

TEST(Sustain, Seconds) {
  PolicyRig rig =
      Cpu("local sustain = require 'autoscale.sustain' return hold(tostring("
          "sustain.seconds('idle', metric('cpu').value < 0.3, 60)))");
  EXPECT_EQ(rig.Value("cpu", 0.1).Why(), "false");
  EXPECT_EQ(rig.After(59).Why(), "false");
  EXPECT_EQ(rig.After(1).Why(), "true");
  EXPECT_EQ(rig.After(1).Value("cpu", 0.5).Why(), "false");
  EXPECT_EQ(rig.After(100).Value("cpu", 0.1).Why(), "false");
}

PolicyRig Idle(int seconds) {
  return Cpu(
      "local sustain = require 'autoscale.sustain' return hold(tostring("
      "sustain.seconds('idle', metric('cpu').value < 0.3, " +
      std::to_string(seconds) + ")))");
}

TEST(Sustain, ATimeThatWasNotLookedAtDoesNotCount) {
  PolicyRig rig = Idle(600);
  rig.Value("cpu", 0.1).Run();
  EXPECT_EQ(rig.Lasts(585).Why(), "false");
  EXPECT_EQ(rig.After(15).Why(), "true");
  // Some evaluations may be missed: 30 s is nothing, 75 s is.
  EXPECT_EQ(rig.After(30).Why(), "true");
  EXPECT_EQ(rig.After(75).Why(), "false");
  EXPECT_EQ(rig.Lasts(585).Why(), "false");
  EXPECT_EQ(rig.After(15).Why(), "true");
}

TEST(Sustain, IsTrueHoweverSeldomItIsAsked) {
  for (const int interval : {5, 60, 300, 3600}) {
    PolicyRig rig = Idle(600);
    rig.Value("cpu", 0.1);
    for (int passed = 0; passed < 600 + 2 * interval; passed += interval) {
      rig.After(interval).Run();
    }
    for (int i = 0; i < 20; ++i) EXPECT_EQ(rig.After(interval).Why(), "true") << interval;
    // Known from before: what begins anew loses nothing.
    rig.After(interval).Value("cpu", 0.5).Run();
    rig.After(interval).Value("cpu", 0.1).Run();
    for (int passed = 0; passed < 600 - interval; passed += interval) rig.After(interval).Run();
    EXPECT_EQ(rig.After(interval).Why(), "true") << interval;
  }
}

TEST(Sustain, Unchanged) {
  PolicyRig rig =
      Cpu("local sustain = require 'autoscale.sustain' "
          "return hold(tostring(sustain.unchanged(60)))");
  EXPECT_EQ(rig.Why(), "false");
  EXPECT_EQ(rig.After(60).Why(), "true");
  EXPECT_EQ(rig.After(60).Has(4, 2).Why(), "true");
  EXPECT_EQ(rig.Has(5).Why(), "false");
  EXPECT_EQ(rig.After(59).Why(), "false");
  EXPECT_EQ(rig.After(1).Why(), "true");
}

TEST(Sustain, Most) {
  PolicyRig rig =
      Cpu("local sustain = require 'autoscale.sustain' return hold(tostring("
          "sustain.most('hot', metric('cpu').value > 0.8, 3, 5)))");
  const double values[] = {0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.1};
  // The last five hold 1 1 2 2 3 2 3 2 1 of them.
  const char* wanted[] = {"false", "false", "false", "false", "true",
                          "false", "true",  "false", "false"};
  for (int i = 0; i < 9; ++i) EXPECT_EQ(rig.Value("cpu", values[i]).Why(), wanted[i]) << i;
}

int Combined(const std::string& function, const std::string& rules, bool fails = false) {
  PolicyRig rig = Cpu("local combine = require 'autoscale.combine' return combine." + function +
                      " {" + rules + "}");
  if (fails) rig.Is("cpu", SampleState::kStale);
  const int wanted = rig.Wants();
  EXPECT_NE(rig.last().proposal.cause, HoldCause::kFault) << rig.last().proposal.reason;
  return wanted;
}

TEST(Combine, MaxMinAndAll) {
  const std::string failing = "combine.try(metric 'cpu', function() return scale_to(9) end), ";
  EXPECT_EQ(Combined("max", "scale_to(2), scale_to(6), hold()"), 6);
  EXPECT_EQ(Combined("max", "scale_to(2), scale_to(3)"), 3);
  EXPECT_EQ(Combined("max", failing + "scale_to(3)"), 9);
  EXPECT_EQ(Combined("max", failing + "scale_to(3)", true), 4);
  EXPECT_EQ(Combined("max", failing + "scale_to(6)", true), 6);
  EXPECT_EQ(Combined("min", "scale_to(2), scale_to(6), hold()"), 2);
  EXPECT_EQ(Combined("min", failing + "scale_to(6)", true), 4);
  EXPECT_EQ(Combined("all", "scale_to(6), scale_to(8)"), 6);
  EXPECT_EQ(Combined("all", "scale_to(2), scale_to(3)"), 3);
  EXPECT_EQ(Combined("all", "scale_to(2), scale_to(6)"), 4);
  EXPECT_EQ(Combined("all", "scale_to(6), hold()"), 4);
  EXPECT_EQ(Combined("all", failing + "scale_to(2)", true), 4);
}

TEST(Combine, AFormulaStandsForAMetric) {
  const std::string text =
      "local combine, target = require 'autoscale.combine', require 'autoscale.target' "
      "return target.share(combine.formula('load', function() "
      "return metric('rps').value + 100 * metric('cpu').value end), 25)";
  EXPECT_EQ(Cpu(text).Wants(), 6);  // (100 + 50) / 25
  PolicyRig rig = Cpu(text);
  rig.Is("cpu", SampleState::kEmpty);
  EXPECT_EQ(rig.Wants(), 4);
  EXPECT_EQ(rig.last().proposal.cause, HoldCause::kMetric);
}

TEST(Activation, FromZeroAndBack) {
  PolicyRig rig =
      Cpu("local activation = require 'autoscale.activation' return activation.gate("
          "metric('rps').value > 5, {cooldown = 60, first = 2}, "
          "function() return scale_to(metric('rps').value / 10) end)");
  EXPECT_EQ(rig.Has(0).Value("rps", 5).Wants(), 0);
  EXPECT_EQ(rig.Value("rps", 6).Wants(), 2);
  EXPECT_EQ(rig.Has(2).Value("rps", 80).Wants(), 8);
  EXPECT_EQ(rig.Has(8).Value("rps", 0).Wants(), 1);
  EXPECT_EQ(rig.After(59).Is("rps", SampleState::kError).Wants(), 8);  // held, and not remembered
  EXPECT_EQ(rig.After(1).Value("rps", 0).Wants(), 0);
}

TEST(Activation, AnOutageIsNoTimeWithoutWork) {
  PolicyRig rig =
      Cpu("local activation = require 'autoscale.activation' return activation.gate("
          "metric('rps').value > 5, {}, function() return hold('x') end)");
  rig.Has(1).Value("rps", 0).Run();
  EXPECT_EQ(rig.Lasts(30).Wants(), 1);
  rig.Is("rps", SampleState::kError).Lasts(3600).Run();
  rig.Value("rps", 0);
  EXPECT_EQ(rig.After(15).Wants(), 1);
  EXPECT_EQ(rig.Lasts(285).Wants(), 1);
  EXPECT_EQ(rig.After(15).Wants(), 0);
}

TEST(Fallback, AfterMoreFailuresThanAllowed) {
  PolicyRig rig =
      Cpu("local fallback = require 'autoscale.fallback' return fallback.after("
          "{metric 'cpu', metric 'rps'}, {replicas = 6, failures = 2}, "
          "function() return scale_to(3) end)");
  EXPECT_EQ(rig.Wants(), 3);
  rig.Is("rps", SampleState::kError);
  EXPECT_EQ(rig.Why(), "metric 'rps' is error (1 of 2 before the fallback)");
  EXPECT_EQ(rig.Wants(), 4);
  EXPECT_EQ(rig.Wants(), 6);
  EXPECT_EQ(rig.Has(9).Wants(), 9);  // current_if_higher
  EXPECT_EQ(rig.Value("rps", 1).Wants(), 3);
  EXPECT_EQ(rig.Is("cpu", SampleState::kNaN).Wants(), 9);
}

TEST(Warmup, CountsWhoCame) {
  PolicyRig rig =
      Cpu("local warmup = require 'autoscale.warmup' local f = warmup.look(60) "
          "return hold(f.warm .. ' ' .. f.warming)");
  EXPECT_EQ(rig.Why(), "4 0");                      // who was there before is warm
  EXPECT_EQ(rig.After(10).Has(7, 4).Why(), "4 3");  // starting
  EXPECT_EQ(rig.After(10).Has(7, 6).Why(), "4 3");
  EXPECT_EQ(rig.After(30).Has(7, 7).Why(), "4 3");
  EXPECT_EQ(rig.After(30).Why(), "6 1");
  EXPECT_EQ(rig.After(30).Why(), "7 0");
  EXPECT_EQ(rig.After(10).Has(7, 5).Why(), "5 2");  // two died
  EXPECT_EQ(rig.After(10).Has(7, 7).Why(), "5 2");  // and came back
}

TEST(Passthrough, HoldsWhatIsNotBelieved) {
  const std::string text =
      "local passthrough = require 'autoscale.passthrough' "
      "return passthrough.scale(metric 'rps', {least = 1, most = 50})";
  EXPECT_EQ(Cpu(text).Value("rps", 7.2).Wants(), 8);
  EXPECT_EQ(Cpu(text).Value("rps", 51).Wants(), 4);
  EXPECT_EQ(Cpu(text).Value("rps", 0).Wants(), 4);
}

TEST(History, Statistics) {
  const std::string list = "{4, 1, 3, 2, 100}";
  EXPECT_EQ(Value("history", "history.mean(" + list + ")"), "22");
  EXPECT_EQ(Value("history", "history.min(" + list + ")"), "1");
  EXPECT_EQ(Value("history", "history.max(" + list + ")"), "100");
  EXPECT_EQ(Value("history", "history.median(" + list + ")"), "3");
  EXPECT_EQ(Value("history", "history.median {1, 2, 3, 4}"), "2.5");
  EXPECT_EQ(Value("history", "history.mad(" + list + ")"), "1");  // of 1 2 0 1 97
  EXPECT_EQ(Value("history", "history.percentile(" + list + ", 0)"), "1");
  EXPECT_EQ(Value("history", "history.percentile(" + list + ", 75)"), "4");
  EXPECT_EQ(Value("history", "history.percentile({0, 10}, 95)"), "9.5");
  EXPECT_EQ(Value("history", "history.percentile(" + list + ", 100)"), "100");
  // 1, 2, 4 at 0, 10, 20 s: slope of least squares 0.15.
  EXPECT_EQ(Value("history",
                  "string.format('%.6g', history.slope {values = {1, 2, 4}, times = {0, "
                  "10, 20}})"),
            "0.15");
  EXPECT_EQ(Value("history", "history.slope {values = {1}, times = {0}}"), "0");
}

TEST(History, IsBoundedInNumberAndTime) {
  PolicyRig rig =
      Cpu("local history = require 'autoscale.history' "
          "local h = history.of(metric 'rps', {samples = 3, seconds = 60, every = 10}) "
          "return hold(table.concat(h.values, ' '))");
  EXPECT_EQ(rig.Value("rps", 1).Why(), "1");
  EXPECT_EQ(rig.After(5).Value("rps", 2).Why(), "1");  // sooner than every 10 s
  EXPECT_EQ(rig.After(5).Value("rps", 3).Why(), "1 3");
  EXPECT_EQ(rig.After(10).Value("rps", 4).Why(), "1 3 4");
  EXPECT_EQ(rig.After(10).Value("rps", 5).Why(), "3 4 5");
  EXPECT_EQ(rig.After(55).Value("rps", 6).Why(), "5 6");
  EXPECT_EQ(rig.After(15).Is("rps", SampleState::kStale).Wants(), 4);
  EXPECT_EQ(rig.After(15).Value("rps", 1.23456789).Why(), "6 1.23457");
}

TEST(History, TheLongestFitsTheState) {
  PolicyRig rig =
      Cpu("local history = require 'autoscale.history' "
          "history.of(metric 'rps', {samples = 240}) return hold('x')");
  for (int i = 0; i < 300; ++i) rig.After(15).Value("rps", 1e5 / (i + 3)).Run();
  EXPECT_EQ(rig.last().proposal.reason, "x");
  EXPECT_LT(rig.last().state.size(), 8u << 10);
}

}  // namespace
}  // namespace autoscale
