#include "simulator/test_report.h"
#include "tests/unit/simulator/files.h"

namespace autoscale {
namespace {

constexpr const char* kService = R"(
service{params = {target = 0.6}, metrics = {cpu = "ratio", errors = {unit = "ratio", when_empty = 0}},
  min = 2, max = 10, scaling = {down = {stabilization = "0s", max_step_percent = 100}}}
)";

class LuaTestsTest : public FolderTest {
 protected:
  LuaTestsTest() {
    Write("web.lua", R"(
local cpu, errors = metric "cpu", metric "errors"
if errors.value > 0.05 then return hold("errors are high") end
state.ticks = (state.ticks or 0) + 1
return track(cpu, param "target")
)");
  }
  TestReport Run(const std::string& text) {
    return RunLuaTests(Write("web_test.lua", kService + text));
  }
  // The failure of the only test, whose body is given; empty: it passed.
  std::string Failure(const std::string& body) {
    const TestReport report = Run("test('it', function()\n" + body + "\nend)\n");
    EXPECT_EQ(report.size(), 1u);
    return report[0].failure;
  }
  void ExpectFailure(const std::string& body, const std::string& part) {
    const std::string failure = Failure(body);
    EXPECT_NE(failure.find(part), std::string::npos) << body << ":\n" << failure;
  }
};

TEST_F(LuaTestsTest, EachTestIsACaseAtItsLine) {
  const TestReport report =
      Run("test('one', function() expect(1).is(1) end)\n\ntest('two', function() expect(1).is(2) "
          "end)\n");
  ASSERT_EQ(report.size(), 2u);
  EXPECT_EQ(report[0].name, "one");
  EXPECT_EQ(report[0].failure, "");
  EXPECT_EQ(report[1].line, 6);
  EXPECT_EQ(report[1].failure,
            "web_test.lua:6: expected 2, got 1\n"
            "    test('two', function() expect(1).is(2) end)");
}

TEST_F(LuaTestsTest, EvaluatesOnce) {
  EXPECT_EQ(Failure(R"(
local d = evaluate{values = {cpu = 0.9}, desired = 4}
expect(d.kind).is("track")
expect(d.capacity).is(6)
expect(d.before).is(4)
expect(d.desired).is(6)
expect(d.at).is("web.lua:5")
expect(d.reason):contains("above its target")
expect(d.stages.bounds.after).is(6)
expect(#d.stages).is(4)
expect(d.state).is({ticks = 1})
expect(evaluate{values = {cpu = 0.9}, state = d.state}.state.ticks).is(2)
expect(evaluate{values = {cpu = 0.9, errors = 0.1}}.reason).contains("errors are high")
expect(evaluate{values = {cpu = "stale"}}.cause).is("metric")
expect(evaluate{values = {cpu = {value = 0.9, coverage = 0.5}}}.reason).contains("partial")
expect(evaluate{values = {cpu = {value = 0.9, age = 100}}}.reason).contains("stale")
expect(evaluate{values = {cpu = {each = {0.5, {value = 1.3, ready = false}}}}, desired = 4}.capacity).is(6)
expect(evaluate{values = {cpu = 0.9}, desired = 4, ready = 2}.capacity).is(4)
expect(evaluate{params = {target = "x"}, values = {cpu = 0.9}, allow_faults = true}.cause).is("fault")
expect(evaluate{now = "2026-03-29T08:00:00Z", ready = 2, state = {ticks = 8}}.cause).is("metric")
)"),
            "");
}

TEST_F(LuaTestsTest, RunsOverTime) {
  EXPECT_EQ(Failure(R"(
local sim = simulate{start_delay = "40s", desired = 2}
sim:load("cpu", 3)
sim:tick()
expect(sim.desired).is(5)
expect(sim.ready).is(2)
expect(sim.pending).is(3)
local seen = 0
sim:run("5m", function(s) seen = seen + 1; expect(s.desired).is(5) end)
expect(seen).is(20)
expect(sim.ready).is(5)
expect(sim.time).is(315)
expect(sim.ticks).is(21)
expect(sim.changes).is(1)
expect(sim.highest).is(5)
expect(sim.decision.kind).is("hold")
sim:set("cpu", nil)
expect(sim:run("1m").cause).is("metric")
sim:set{cpu = 0.1}
sim:run("1m")
expect(sim.desired).is(2)
expect(sim.instance_hours).near(5 * 375 / 3600, 0.1)
)"),
            "");
}

TEST_F(LuaTestsTest, EveryExpectationCanFail) {
  EXPECT_EQ(Failure(R"(
expect(1).is(1).is_not(2).above(0).below(2).at_least(1).at_most(1).between(0, 2).near(1.05, 0.1)
expect({1, {a = 2}}).is({1, {a = 2}}).contains(1)
expect("slow").contains("lo").lacks("x")
expect(nil).is_nil()
expect(function() error("broken") end).fails("broken")
)"),
            "");
  ExpectFailure("expect(1, 'n').is(2)", "n: expected 2, got 1");
  ExpectFailure("expect({a = 1}).is({a = 1, b = 2})", "expected {a = 1, b = 2}, got {a = 1}");
  ExpectFailure("expect(1).is_not(1)", "expected anything but 1, got 1");
  ExpectFailure("expect(1).above(1)", "expected more than 1, got 1");
  ExpectFailure("expect(1).below(1)", "expected less than 1, got 1");
  ExpectFailure("expect(1).at_least(2)", "expected at least 2, got 1");
  ExpectFailure("expect('x').at_most(2)", "expected at most 2, got \"x\"");
  ExpectFailure("expect(3).between(1, 2)", "expected from 1 to 2, got 3");
  ExpectFailure("expect(3).near(1, 0.5)", "expected 1, give or take 0.5, got 3");
  ExpectFailure("expect('abc').contains('x')", "expected something with \"x\", got \"abc\"");
  ExpectFailure("expect('abc').lacks('b')", "expected a text or table with nothing like \"b\"");
  ExpectFailure("expect(false).is_nil()", "expected nil, got false");
  ExpectFailure("expect(function() end).fails()", "expected an error, got it ran");
}

TEST_F(LuaTestsTest, WhatCannotFailIsNoTest) {
  ExpectFailure("", "it checks nothing");
  ExpectFailure("local x = evaluate{values = {cpu = 0.9}}", "it checks nothing");
  ExpectFailure("expect(1).is(1)\nexpect(1 == 2)", "web_test.lua:6: no check follows this expect");
  ExpectFailure("expect(undefined).fails()", "expected a function that raises an error, got nil");
  ExpectFailure("expect(undefined).lacks('x')", "got nil");
  ExpectFailure("expect(undefined).is_not(3)", "expected anything but 3, got nil");
  ExpectFailure("expect(evaluate{values = {cpu = 1}}.reasn).lacks('x')",
                "web_test.lua:5: a decision has no 'reasn': kind, capacity, cause, reason");
  ExpectFailure("local s = simulate{values = {cpu = 1}}; expect(s:tick().stat).is_nil()",
                "a decision has no 'stat'");
}

TEST_F(LuaTestsTest, NothingThatIsWrittenIsPassedOver) {
  ExpectFailure("evaluate{now = '2026'}", "web_test.lua:5: now: a time is written such as");
  ExpectFailure("evaluate{now = {}}", "web_test.lua:5: evaluate: now must be unix seconds, or");
  ExpectFailure("evaluate{ready = '2'}", "evaluate: ready must be a whole number of instances");
  ExpectFailure("evaluate{ready = 1.5}", "evaluate: ready must be a whole number of instances");
  ExpectFailure("evaluate{state = 5}", "evaluate: state must be a table");
  ExpectFailure("evaluate{allow_faults = 1}", "evaluate: allow_faults must be true or false");
  ExpectFailure("simulate{values = 3}", "web_test.lua:5: simulate: values must be a table");
  ExpectFailure("simulate{state = {}}", "simulate has no 'state': it is of evaluate");
  ExpectFailure("local s = simulate{}; s:run('5m', s)",
                "web_test.lua:5: what run is to call after each tick must be a function");
  ExpectFailure(
      "evaluate{values = {cpu = {value = 1, coverge = 0.1}}}",
      "web_test.lua:5: metric cpu: a metric's table has no 'coverge'; it has value total");
  ExpectFailure("evaluate{values = {cpu = {each = {{value = 1, raedy = false}}}}}",
                "an instance's table has no 'raedy'; it has value ready");
  ExpectFailure("evaluate{values = {cpu = {each = {{value = 1, ready = 0}}}}}",
                "ready must be true or false");
  ExpectFailure("evaluate{valeus = {}}", "unknown key 'valeus'; did you mean 'values'?");
  for (const char* known : {"values", "ready", "state", "allow_faults", "timezone"}) {
    ExpectFailure("evaluate{xxxxxxxxxx = 1}", known);
  }
}

TEST_F(LuaTestsTest, ADaemonsLimitsAreKept) {
  Write("daemon.yaml", "policy_limits: {instructions: 1000}\n");
  Write("service.yaml",
        "service: web\npolicy: busy.lua\nmax: 4\nprovider: {type: process, command: [./web]}\n");
  Write("busy.lua", "for i = 1, 2000 do end return hold('x')\n");
  const auto failure = [&](const std::string& daemon, const std::string& cause) {
    return RunLuaTests(Write(
        "limits_test.lua", "test('it', function()\nexpect(evaluate{service_file = 'service.yaml'" +
                               daemon + ", allow_faults = true}.cause).is('" + cause +
                               "')\nend)\n"))[0]
        .failure;
  };
  EXPECT_EQ(failure("", "policy"), "");
  EXPECT_EQ(failure(", daemon_file = 'daemon.yaml'", "fault"), "");
}

TEST_F(LuaTestsTest, FailuresShowTheLastDecision) {
  ExpectFailure("expect(evaluate{values = {cpu = 0.9}, desired = 4}.capacity).is(5)",
                "decision: desired 4 -> 6, ready 4: cpu 0.9 is above its target");
}

TEST_F(LuaTestsTest, MisuseIsToldWithItsLine) {
  ExpectFailure("evaluate{values = {cpi = 1}}",
                "web_test.lua:5: unknown metric \"cpi\"; declared: cpu, errors");
  ExpectFailure("evaluate{mni = 1}", "web_test.lua:5: unknown key 'mni'; did you mean 'min'?");
  ExpectFailure("evaluate(5)", "web_test.lua:5: evaluate takes a table");
  ExpectFailure("evaluate{values = {cpu = 'slow'}}", "no state is called \"slow\"");
  ExpectFailure("simulate{}:run('5')", "web_test.lua:5: run takes a duration");
  ExpectFailure("simulate{}:walk()", "a simulation has no 'walk'");
  ExpectFailure("local d = simulate{}.decision", "there is no decision yet");
  ExpectFailure("local s = simulate{}; s.run({}, '5m')", "this is no simulation of this test");
  ExpectFailure("test('inner', function() end)", "a test cannot hold another");
  ExpectFailure("evaluate{params = {f = function() end}}", "not a function");
  ExpectFailure("nothing.at_all = 1", "web_test.lua:5: ");
}

TEST_F(LuaTestsTest, RequiresModulesBesideIt) {
  Write("loads.lua", "return {peak = function() return 0.9 end}\n");
  EXPECT_EQ(Failure("expect(require('loads').peak()).is(0.9)\n"
                    "expect(require 'loads').is(require 'loads')"),
            "");
  Write("loads.lua", "error('broken')\n");
  ExpectFailure("require 'loads'", "loads.lua:1: broken");
  const TestReport none = Run("require 'none'\n");
  ASSERT_EQ(none.size(), 1u);
  EXPECT_NE(none[0].failure.find("none.lua"), std::string::npos) << none[0].failure;
}

TEST_F(LuaTestsTest, AFaultyPolicyIsNoQuietHold) {
  ExpectFailure("simulate{params = {target = 'x'}, values = {cpu = 1}}:run('1m')",
                "the policy faults: web.lua:5: track: the target must be a number");
  ExpectFailure("evaluate{params = {target = 'x'}, values = {cpu = 1}}",
                "the policy faults: web.lua:5: track: the target must be a number");
  EXPECT_EQ(Failure("local s = simulate{params = {target = 'x'}, values = {cpu = 1}, "
                    "allow_faults = true}\nexpect(s:run('1m').cause).is('fault')"),
            "");
}

TEST_F(LuaTestsTest, IsBoundedAndConfined) {
  ExpectFailure("while true do end", "more than 50000000 instructions");
  ExpectFailure("simulate{values = {cpu = 0.6}}:run('360d')", "more than 50000000 instructions");
  ExpectFailure("local s = 'x'; while true do s = s .. s end", "memory");
  ExpectFailure("pcall(function() while true do end end)", "more than 50000000 instructions");
  for (const char* name : {"io", "os", "load", "loadstring", "dofile", "setmetatable", "debug",
                           "package", "coroutine", "collectgarbage", "getfenv"}) {
    EXPECT_EQ(Failure(std::string("expect(") + name + ").is_nil()"), "") << name;
  }
}

TEST_F(LuaTestsTest, WhatCannotBeRunIsOneFailedCase) {
  const auto only = [](const TestReport& report) {
    return report.size() == 1 ? report[0].failure : "several";
  };
  EXPECT_NE(only(Run("")).find("there is no test in it"), std::string::npos);
  EXPECT_NE(only(Run("test('x' function")).find("web_test.lua:4:"), std::string::npos);
  EXPECT_NE(only(Run("error('early')")).find("early"), std::string::npos);
  EXPECT_NE(only(Run("\nsimulate{}")).find("within a test"), std::string::npos);
  EXPECT_NE(only(RunLuaTests(folder_ + "/none_test.lua")).find("No such file"), std::string::npos);
  EXPECT_NE(only(RunLuaTests(Write("b_test.lua", "\x1bLJ"))).find("b"), std::string::npos);
}

}  // namespace
}  // namespace autoscale
