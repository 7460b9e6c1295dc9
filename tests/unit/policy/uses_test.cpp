#include "engine/policy/uses.h"

#include <gtest/gtest.h>

namespace autoscale {
namespace {

std::string Names(const std::vector<NamedUse>& uses) {
  std::string text;
  for (const NamedUse& use : uses) {
    text += (text.empty() ? "" : " ") + use.name + ":" + std::to_string(use.line);
    if (!use.needed) text += "?";
  }
  return text;
}
std::string Globals(const std::string& source) { return Names(FindUses(source).globals); }

TEST(FindUses, MetricsAndParameters) {
  const PolicyUses uses = FindUses(
      "local cpu, q = metric \"cpu\", metric('queue')\n"
      "local t = param \"target\" -- metric \"comment\"\n"
      "local d = param(\"d\", 0.1) + param([[long]])\n"
      "local text = 'metric \"quoted\"'\n"
      "local f = cpu.metric \"field\", t:param \"method\"\n");
  EXPECT_EQ(Names(uses.metrics), "cpu:1 queue:1");
  EXPECT_EQ(Names(uses.params), "target:2 d:3? long:3");
  EXPECT_FALSE(uses.metrics_computed);
  EXPECT_FALSE(uses.params_computed);
}

TEST(FindUses, KnowsWhatItCannotKnow) {
  EXPECT_TRUE(FindUses("metric(name)").metrics_computed);
  EXPECT_TRUE(FindUses("pcall(metric, 'x')").metrics_computed);
  EXPECT_TRUE(FindUses("param('a' .. i)").params_computed);
  EXPECT_FALSE(FindUses("function(metric) return metric.name end").metrics_computed);
  EXPECT_FALSE(FindUses("for _, metric in ipairs(all) do use(metric) end").metrics_computed);
}

TEST(FindUses, GlobalsGivenAValue) {
  EXPECT_EQ(Globals("count = (count or 0) + 1"), "count:1");
  EXPECT_EQ(Globals("if x then\n  a, b = 1, 2\nend"), "b:2 a:2");
  EXPECT_EQ(Globals("f(function() inner = 1 end)"), "inner:1");
  EXPECT_EQ(Globals("local t = {f = function() deep = 1 end, g = 2}"), "deep:1");
  EXPECT_EQ(Globals("capacity = 3"), "capacity:1");
}

TEST(FindUses, WhatIsNoGlobal) {
  EXPECT_EQ(Globals("state = {}\nstate.n = 1\nlocal a = 1\na = 2\nlocal b, c\nc, b = 1, 2"), "");
  EXPECT_EQ(Globals("local t = {x = 1, y = {z = 2}}\nt.x = 2\nt['y'], t.z = 1, 2\nt[1] = 3"), "");
  EXPECT_EQ(Globals("hold{reason = 'x', n = 1}"), "");
  EXPECT_EQ(Globals("for i = 1, 3 do i = 2 end\nfor k, v in pairs(t) do v = k end"), "");
  EXPECT_EQ(Globals("local function f(p, q) p = q end\nfunction helper(r) r = 1 end"), "");
  EXPECT_EQ(Globals("if a == 1 or a ~= 2 or a <= 3 then return hold() end"), "");
  EXPECT_EQ(Globals("-- x = 1\nlocal s = 'x = 1' .. [[x = 2]]"), "");
}

std::string Unknown(const std::string& source) { return Names(FindUses(source).unknown); }

TEST(FindUses, NamesThatNothingHas) {
  EXPECT_EQ(Unknown("if capcity then return hold() end\nreturn hold(capcity.desired)"),
            "capcity:1");
  EXPECT_EQ(Unknown("local t = {a = b, [c] = 1, d}"), "b:1 c:1 d:1");
  EXPECT_EQ(Unknown("return math.cel(x)"), "x:1");
  EXPECT_EQ(Unknown("f = 1\nreturn f"), "");  // told as a global
  EXPECT_EQ(Unknown("function helper(a) return a end\nreturn helper(1)"), "");
  EXPECT_EQ(Unknown("local t = {a = 1}\nfunction t:m() return self.b, t.c end"), "");
  EXPECT_EQ(Unknown("for i, v in ipairs(metric('m').instances) do goto done end ::done::"), "");
  EXPECT_EQ(Unknown("if now == 1 then state = {} end return 0x1f, 1e5, 'word', [[word]]"), "");
}

TEST(FindUses, WhatDoesNotParseGivesSomethingOrOther) {
  for (const char* source : {"end end }}) = =", "= 1", ", = 1", "a, = 1", "metric(", "param(\"",
                             "local", "for", "function(", "\"unclosed"}) {
    FindUses(source);
  }
}

}  // namespace
}  // namespace autoscale
