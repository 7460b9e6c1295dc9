// What a policy requires: found in its text, run with it.
#include "engine/policy/modules.h"

#include <gtest/gtest.h>

#include "engine/policy/callers.h"
#include "tests/unit/policy/bench.h"

namespace autoscale {
namespace {

std::vector<std::string> Names(const std::string& source) {
  std::vector<std::string> names;
  const Requirements requirements = FindRequirements(source);
  for (const Requirement& each : requirements.found) {
    names.push_back(each.name + ":" + std::to_string(each.line));
  }
  if (requirements.unclear_line > 0) {
    names.push_back("unclear:" + std::to_string(requirements.unclear_line));
  }
  return names;
}

using Found = std::vector<std::string>;

TEST(Requirements, AreFoundInEveryForm) {
  EXPECT_EQ(Names("local a = require \"x.y\"\nlocal b = require('b')"), (Found{"x.y:1", "b:2"}));
  EXPECT_EQ(Names("require[[a]] require [==[b]==]\n\nrequire\n'c'"), (Found{"a:1", "b:1", "c:3"}));
  EXPECT_EQ(Names("return require 'a'.f(1) .. require 'b'.g"), (Found{"a:1", "b:1"}));
  EXPECT_EQ(Names("local x = 'n'..require 'a'"), Found{"a:1"});
  EXPECT_EQ(Names("::top::require 'a'"), Found{"a:1"});
}

TEST(Requirements, CommentsStringsAndFieldsAreNone) {
  EXPECT_EQ(Names("-- require \"x\"\n--[[ require 'y'\n]] --[==[ ]] require 'z' ]==]"), Found{});
  EXPECT_EQ(Names("local s = 'require \"x\"' .. \"\\\"require 'y'\" .. [[ require 'z' ]]"),
            Found{});
  EXPECT_EQ(Names("local s = 'a\\z  \n  require \"x\"'"), Found{});
  EXPECT_EQ(Names("t.require 'x' t:require 'y' my_require 'z' required 'z'"), Found{});
  EXPECT_EQ(Names("#!require 'x'\nreturn hold()"), Found{});
  EXPECT_EQ(Names("\xc3\xa9require 'x'"), Found{});
}

TEST(Requirements, OnlyLiteralNamesAreClear) {
  for (const char* text : {"require(name)", "require('a' .. b)", "local r = require", "require",
                           "pcall(require, 'a')", "require {}", "require('a', 'b')"}) {
    EXPECT_EQ(Names(std::string("\n") + text), Found{"unclear:2"}) << text;
  }
}

TEST(Requirements, ModuleNamesStayBeneathTheFolder) {
  for (const char* name : {"a", "a.b", "autoscale.check", "A-1.b_2"}) {
    EXPECT_TRUE(IsModuleName(name)) << name;
  }
  for (const char* name : {"", ".", "a.", ".a", "a..b", "..", "/etc/x", "a/b", "../a", "a b",
                           "a\\46b", "0123456789.0123456789.0123456789.0123456789.0123456"}) {
    EXPECT_FALSE(IsModuleName(name)) << name;
  }
  EXPECT_EQ(ModuleFile("a.b.c"), "a/b/c.lua");
}

TEST(Callers, KeepTheFileItsOwnLastCall) {
  EXPECT_EQ(KeepCallers("return lib.f(1)"), "return (lib.f(1))");
  EXPECT_EQ(KeepCallers("if a then return f() else return g {1, 2}; end return h 'x' -- so"),
            "if a then return (f()) else return (g {1, 2}); end return (h 'x') -- so");
  EXPECT_EQ(KeepCallers("return f(function() return 1, 2 end)"),
            "return (f(function() return 1, 2 end))");
  EXPECT_EQ(KeepCallers("while a do repeat return f() until b end"),
            "while a do repeat return (f()) until b end");
  for (const char* same : {"return", "do return end", "return 1, 2", "return f(), 2",
                           "local function f() return g() end", "return f("}) {
    EXPECT_EQ(KeepCallers(same), same);
  }
}

class ModulesTest : public ::testing::Test {
 protected:
  Evaluation Evaluate(const std::string& text) {
    PolicySource policy = MakePolicy(text, "policies/shop.lua");
    policy.modules = modules_;
    policy.hash = HashBundle(text, modules_);
    Evaluation evaluation = host_.Evaluate(policy, service_.View());
    if (evaluation.state) service_.state = *evaluation.state;
    return evaluation;
  }
  Proposal Run(const std::string& text) { return Evaluate(text).proposal; }
  void Has(const std::string& name, const std::string& text) {
    modules_.push_back(std::make_shared<const PolicyModule>(
        PolicyModule{.name = name, .path = "policies/" + ModuleFile(name), .text = text}));
  }

  PolicyHost host_{PolicyLimits{}};
  TestService service_;
  PolicyModules modules_;
};

TEST_F(ModulesTest, RequireGivesWhatTheModuleReturns) {
  Has("lib.sum", "local M = {} function M.add(a, b) return a + b end return M");
  Has("nothing", "");
  const Proposal proposal =
      Run("local sum = require 'lib.sum'\n"
          "return scale_to(sum.add(2, 3), tostring(require 'nothing'))");
  EXPECT_EQ(proposal.capacity, 5);
  EXPECT_EQ(proposal.reason, "true");
}

TEST_F(ModulesTest, AModuleRunsOnceAnEvaluationAndAnewInEach) {
  Has("counted", "state.runs = (state.runs or 0) + 1 return {n = state.runs}");
  const std::string policy =
      "local a, b = require 'counted', require 'counted'\n"
      "a.n = a.n + 10\n"
      "return scale_to(b.n)";
  EXPECT_EQ(Run(policy).capacity, 11);
  EXPECT_EQ(Run(policy).capacity, 12);
}

TEST_F(ModulesTest, ModulesShareTheGlobalsOfTheEvaluation) {
  Has("reads", "seen = (seen or 0) + capacity.desired return metric 'cpu'");
  EXPECT_EQ(Run("seen = 1 local cpu = require 'reads' return scale_to(seen, cpu.unit)").capacity,
            5);
  EXPECT_EQ(Run("local cpu = require 'reads' return scale_to(seen, cpu.unit)").capacity, 4);
}

TEST_F(ModulesTest, MessagesNameTheFileThatIsRunning) {
  Has("lib.broken", "local M = {}\n\nfunction M.f() error('no') end\nreturn M");
  Has("lib.loop", "while true do end");
  const Proposal broken = Run("return require 'lib.broken'.f()");
  EXPECT_EQ(broken.cause, HoldCause::kFault);
  EXPECT_EQ(broken.reason, "lib/broken.lua:3: no");
  EXPECT_EQ(broken.at, "lib/broken.lua:3");
  EXPECT_EQ(Run("local x = 1\nrequire 'lib.loop'").reason,
            "lib/loop.lua:1: more than 200000 instructions in one evaluation "
            "(policy_limits.instructions)");
}

TEST_F(ModulesTest, AProposalOfTheLibraryIsOfTheLineThatAsked) {
  Has("autoscale.steps", "return function() return scale_up(1) end");
  Has("mine", "return function()\n  local p = scale_up(1) return p end");
  Has("autoscale.reads", "return {value = function(m) local v = m.value return v end}");
  EXPECT_EQ(Run("local step = require 'autoscale.steps'\nreturn step()").at, "shop.lua:2");
  EXPECT_EQ(Run("local p = require 'mine'\nreturn p()").at, "mine.lua:2");
  service_.Cpu(SampleState::kStale);
  const Proposal held =
      Run("local r = require 'autoscale.reads'\n\nlocal v = r.value(metric 'cpu')\nreturn hold()");
  EXPECT_EQ(held.cause, HoldCause::kMetric);
  EXPECT_EQ(held.at, "shop.lua:3");
}

TEST_F(ModulesTest, WhatIsNotThereIsAFault) {
  EXPECT_EQ(Run("require 'gone'").reason,
            "shop.lua:1: require \"gone\": no such module was read with this policy");
  EXPECT_EQ(Run("require(7)").reason,
            "shop.lua:1: require needs the name of a module: require \"lib.smooth\"");
  Has("self", "return require 'self'");
  EXPECT_EQ(Run("require 'self'").reason,
            "self.lua:1: require \"self\": this module requires itself, or has failed before");
}

TEST_F(ModulesTest, AModuleThatDoesNotCompileNamesItsFile) {
  Has("lib.bad", "\nreturn return");
  const std::string text = "require 'lib.bad'";
  PolicySource policy{.path = "/etc/p/shop.lua", .text = text, .modules = modules_};
  const Status loaded = host_.Load(policy);
  ASSERT_FALSE(loaded);
  EXPECT_TRUE(loaded.error().message.starts_with("policies/lib/bad.lua:2: unexpected symbol"))
      << loaded.error().message;
}

TEST_F(ModulesTest, AnotherTextOfAModuleIsAnotherPolicy) {
  const std::string text = "return scale_to(require 'n')";
  Has("n", "return 5");
  EXPECT_EQ(Run(text).capacity, 5);
  modules_.clear();
  Has("n", "return 6");
  EXPECT_EQ(Run(text).capacity, 6);
  EXPECT_NE(HashBundle(text, modules_), HashBundle(text, {}));
}

TEST_F(ModulesTest, ModulesCountForTheLimitOfSource) {
  Has("long", "--" + std::string(200u << 10, 'x'));
  EXPECT_EQ(Run("--" + std::string(100u << 10, 'x')).reason,
            "shop.lua: has 307204 bytes with its modules, more than 262144 "
            "(policy_limits.source)");
}

TEST_F(ModulesTest, ModulesShareTheBudget) {
  Has("busy", "for i = 1, 45000 do end return 1");
  Has("busy2", "for i = 1, 45000 do end return 1");
  EXPECT_EQ(Run("require 'busy' return hold()").cause, HoldCause::kPolicy);
  const Proposal both =
      Run("require 'busy' require 'busy2' for i = 1, 120000 do end return hold()");
  EXPECT_EQ(both.cause, HoldCause::kFault) << both.reason;
  EXPECT_TRUE(both.reason.starts_with("shop.lua:1: more than")) << both.reason;
}

}  // namespace
}  // namespace autoscale
