// Scripts that try to leave the sandbox, to crash it, to stay in it, or to leave something for the
// next service. All run in one host, so that the damage of one would show in the next.
#include "tests/unit/policy/hostile.h"

namespace autoscale {
namespace {

TEST_F(HostileTest, LoopsEndAtTheInstructionBudget) {
  const std::string budget =
      ": more than 100000 instructions in one evaluation (policy_limits.instructions)";
  EXPECT_EQ(FaultOf("\nwhile true do end"), "test.lua:2" + budget);
  for (const char* script :
       {"while true do pcall(function() while true do end end) end",
        "local function f() return f() end return f()", "repeat local x = {} until false",
        "for i = 1, 1e18 do end", "for i = 1, math.huge do end", "::top:: goto top",
        "while true do pcall(error) end", "while true do pcall(pcall, pcall, error, 'x') end",
        "while true do pcall(metric, 'nope') end", "while true do local _ = ('x'):rep(1e5) end",
        "local t = {} for i = 1, 2e4 do t[i] = i end while true do table.sort(t) end",
        "local t = {} while true do table.insert(t, 1, 0) end",
        "local t = {} for i = 1, 1e4 do t['k' .. i] = i end while true do next(t) end",
        "local t = {} for i = 1, 1e4 do t['k' .. i] = i end while true do pairs(t) end",
        "local s = ('x'):rep(1e6) while true do s:upper() end",
        "local s = ('x'):rep(1e6) while true do local _ = s:reverse():lower() end",
        "local t = {} for i = 1, 1e4 do t[i] = 'x' end while true do table.concat(t) end"}) {
    EXPECT_NE(FaultOf(script).find("100000 instructions"), std::string::npos) << script;
  }
}

TEST_F(HostileTest, MemoryEndsAtItsCap) {
  for (const char* script :
       {"local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "local t, s = {}, ('x'):rep(1e6) while true do t[#t + 1] = s .. #t end",
        "local t = {} while true do t[#t + 1] = {t, t, t, t, t, t, t, t} end",
        "local t = {} pcall(function() while true do t[#t + 1] = ('x'):rep(1000) .. #t end end) "
        "return scale_to(1)",
        "local f f = function(...) return f(..., ...) end return f(('x'):rep(1e6))",
        "local t = {} for i = 1, 60 do t[2 ^ i] = 1 end local s = ('y'):rep(1e6) "
        "while true do s = s .. s end"}) {
    const std::string reason = FaultOf(script);
    EXPECT_TRUE(reason.find("policy_limits") != std::string::npos ||
                reason.find("stack overflow") != std::string::npos)
        << script << ": " << reason;
  }
  EXPECT_EQ(FaultOf("\nlocal s = 'x' while true do s = s .. s end"),
            "test.lua:2: more than 4096 KiB of memory in one evaluation (policy_limits.memory)");
}

TEST_F(HostileTest, GarbageIsNotMemory) {
  // 60 × 1 MB of garbage in 4 MB.
  EXPECT_EQ(TestService()
                .Run(host_,
                     "local s = ('x'):rep(500000) for i = 1, 60 do local t = s .. s .. i end "
                     "return scale_to(2)")
                .capacity,
            2);
}

TEST_F(HostileTest, DeepRecursionIsAnError) {
  EXPECT_NE(FaultOf("local function f(n) return 1 + f(n + 1) end return scale_to(f(1))")
                .find("stack overflow"),
            std::string::npos);
  FaultOf("local function f() local ok, e = pcall(f) if not ok then error(e) end end f()");
  std::string nested = "local t = ";
  for (int i = 0; i < 20'000; ++i) nested += "{";
  FaultOf(nested);
  std::string brackets = "return ";
  for (int i = 0; i < 20'000; ++i) brackets += "hold(";
  FaultOf(brackets);
  FaultOf("local t = {} table.sort(t, t)  return scale_to(unpack(t, 1, 1e7))");
  FaultOf("local t = {3, 2, 1, 5, 4} table.sort(t, function() error('x') end)");
}

TEST_F(HostileTest, WhatIsNotGivenIsNotThere) {
  for (const char* name : {"_G",
                           "_VERSION",
                           "collectgarbage",
                           "coroutine",
                           "debug",
                           "dofile",
                           "getfenv",
                           "getmetatable",
                           "io",
                           "jit",
                           "ffi",
                           "load",
                           "loadfile",
                           "loadstring",
                           "module",
                           "newproxy",
                           "os",
                           "package",
                           "print",
                           "rawequal",
                           "rawget",
                           "rawset",
                           "setfenv",
                           "setmetatable",
                           "xpcall",
                           "gcinfo",
                           "string.dump",
                           "string.find",
                           "string.match",
                           "string.gmatch",
                           "string.gsub",
                           "math.random",
                           "math.randomseed",
                           "table.foreach",
                           "table.move",
                           "('').gsub"}) {
    EXPECT_EQ(ReasonOf(std::string("return hold(tostring(") + name + "))"), "nil") << name;
  }
}

TEST_F(HostileTest, BytecodeIsRefused) {
  EXPECT_EQ(FaultOf("\x1bLJ\x02"), "test.lua: is bytecode; a policy is Lua source text");
  FaultOf(" \x1bLJ\x02");
}

TEST_F(HostileTest, LongSourceIsRefused) {
  EXPECT_EQ(FaultOf(std::string((256u << 10) + 1, ' ')),
            "test.lua: has 262145 bytes, more than 262144 (policy_limits.source)");
}

TEST_F(HostileTest, LibrariesCannotBeChanged) {
  EXPECT_EQ(FaultOf("string.rep = function() return 'leak' end"),
            "test.lua:1: the library cannot be changed");
  for (const char* script :
       {"math.max = nil", "table.sort = 1", "bit.band = 1", "string[1] = 2",
        "table.insert(string, 'leak')", "table.insert(table, 1, 'leak')", "table.sort(math)",
        "table.remove(bit)", "next(string)", "pairs(math)", "('').rep = 1", "(''):foo()",
        "local p = hold('x') p.leak = 1", "local m = metric 'cpu' m.value = 1",
        "table.insert(metric 'cpu', 1)", "unpack(string)"}) {
    FaultOf(script);
  }
}

TEST_F(HostileTest, NothingIsLeftForTheNextService) {
  for (const char* script :
       {"leak = 1 return hold()", "function leak() end return hold()",
        "function hold() return 5 end function tostring() return 'leak' end leak = 1",
        "local t = {} string = t math = t table = t metric = 1 leak = t return scale_to(1)",
        "state.leak = 1 return hold()", "capacity.leak = 1 capacity.desired = 99 return hold()",
        "service = 'leak' now = 0 return hold()",
        "metric('cpu').instances[1] = 'leak' return hold()"}) {
    TestService().Run(host_, script);
    ExpectSound();
    EXPECT_EQ(
        ReasonOf("return hold(service .. now .. capacity.desired .. tostring(capacity.leak) .. "
                 "tostring(state.leak) .. #metric('cpu').instances)"),
        "shop10004nilnil0");
  }
  // The same text again: not its upvalues either.
  const std::string twice =
      "local n = 0 local function f() n = n + 1 return n end "
      "leak = (leak or 0) + 1 return hold(f() .. leak)";
  EXPECT_EQ(ReasonOf(twice), "11");
  EXPECT_EQ(ReasonOf(twice), "11");
}

TEST_F(HostileTest, ANeighboursDataIsNotSeen) {
  TestService rich;
  rich.metrics.push_back({"secret", Unit::kCount});
  rich.samples.push_back(TestService::Fresh(42));
  rich.params["password"] = std::string("secret");
  EXPECT_EQ(
      rich.Run(host_, "local m = metric 'secret' return hold(m.value .. param 'password')").reason,
      "42secret");
  EXPECT_NE(FaultOf("return hold(metric('secret').value)").find("unknown metric"),
            std::string::npos);
  EXPECT_NE(FaultOf("return hold(param 'password')").find("is not set"), std::string::npos);
}

TEST_F(HostileTest, FormatIsBounded) {
  EXPECT_EQ(ReasonOf("return hold(string.format('%5.2f|%-4d|%04x|%s|%5s|%c|%%', 2.5, 3, 255, true, "
                     "'ab', 65))"),
            " 2.50|3   |00ff|true|   ab|A|%");
  EXPECT_EQ(ReasonOf("return hold(string.format('%s', ('x'):rep(300)))").size(), 300U);
  EXPECT_EQ(ReasonOf("return hold(tostring(#string.format('%99.99f%99d', 1e308, 1)))"), "508");
  for (const char* script :
       {"string.format('%100d', 1)", "string.format('%.100f', 1)", "string.format('%q', 'x')",
        "string.format('%p', {})", "string.format('%d', 1e300)", "string.format('%d', 0/0)",
        "string.format('%s')", "string.format('%')", "string.format('%-+ #0-+d', 1)",
        "string.format('%n', 1)", "string.format('%lld', 1)", "string.format('%*d', 5, 1)",
        "string.format('%d', 'x')", "string.format({})"}) {
    FaultOf(std::string("return hold(") + script + ")");
  }
}

TEST_F(HostileTest, ErrorsOfAnyKindAreFaults) {
  EXPECT_EQ(FaultOf("error()"), "test.lua: error was called with a nil instead of a message");
  EXPECT_EQ(FaultOf("error(function() end)"),
            "test.lua: error was called with a function instead of a message");
  EXPECT_EQ(FaultOf("error('\\n\\27[2Jx', 0)"), "test.lua:   [2Jx");
  EXPECT_EQ(FaultOf("assert(false)"), "test.lua:1: assertion failed!");
  EXPECT_EQ(FaultOf("error(('x'):rep(5000), 0)").size(), 510U);
  FaultOf("for i = 1, 300 do hold('x') end return hold('y')");
}

// A compiler's message quotes the word at which it stopped, whatever that holds.
TEST_F(HostileTest, SyntaxErrorsAreShortLines) {
  const Status loaded = host_.Load(MakePolicy("for 'a\\n" + std::string(5000, 'x') + "' do"));
  ASSERT_FALSE(loaded.ok());
  const std::string& message = loaded.error().message;
  EXPECT_TRUE(message.starts_with("policies/test.lua:1: '<name>' expected near ''a x")) << message;
  EXPECT_LT(message.size(), 600U);
}

}  // namespace
}  // namespace autoscale
