// More of hostile_test.cpp: the library's functions called as nobody would, limits that are caught,
// state and proposals made to harm whoever reads them.
#include "tests/unit/policy/hostile.h"

namespace autoscale {
namespace {

TEST_F(HostileTest, ALimitThatIsCaughtEndsItAllTheSame) {
  for (const char* script :
       {"for i = 1, 1e9 do pcall(function() while true do end end) end return scale_to(1)",
        "local ok = pcall(function() while true do end end) return scale_to(1)",
        "local function f() pcall(f) pcall(f) end f() return scale_to(1)",
        "local function f() while true do end end while true do pcall(pcall, pcall, f) end",
        "local t = {} pcall(table.sort, {3, 2, 1}, function() while true do end end) "
        "return scale_to(1)",
        "repeat local ok, e = pcall(error, {}) until ok",
        "while true do pcall(string.rep) pcall(string.format) pcall(table.concat) end",
        "local e = {} while true do local ok, got = pcall(error, e) e = {got} end",
        "while true do pcall(hold, {}) pcall(scale_to, 0/0) pcall(metric) pcall(param) end",
        "while true do pcall(local_time, 1e300) pcall(time_at, {}) pcall(require, 'x') end"}) {
    const std::string reason = FaultOf(script);
    EXPECT_TRUE(reason.find("policy_limits") != std::string::npos ||
                reason.find("stack overflow") != std::string::npos)
        << script << ": " << reason;
  }
  // Memory, too; and a metric that cannot be used is a hold, whoever catches it.
  EXPECT_NE(FaultOf("local t, s = {}, ('x'):rep(1e5) "
                    "pcall(function() while true do t[#t + 1] = s .. #t end end) "
                    "return scale_to(1)")
                .find("memory"),
            std::string::npos);
  TestService service;
  service.Cpu(SampleState::kStale);
  const Proposal held =
      service.Run(host_, "while true do pcall(function() return metric('cpu').value end) end");
  EXPECT_EQ(held.cause, HoldCause::kMetric) << held.reason;
}

TEST_F(HostileTest, StringsAreBounded) {
  for (const char* script : {"('x'):rep(1e9)",
                             "('x'):rep(1e308)",
                             "('xy'):rep(2 ^ 53)",
                             "('x'):rep(1e6):rep(1e6)",
                             "('x'):rep(1/0)",
                             "string.char(unpack({256}))",
                             "string.char(-1)",
                             "string.char(1e10)",
                             "table.concat({('x'):rep(1e6), {}, 1})",
                             "table.concat({function() end})",
                             "string.byte(('x'):rep(1e6), 1, -1)",
                             "string.rep({}, 3)",
                             "string.rep('x', 'y')",
                             "unpack({}, 1, 1e9)",
                             "unpack({}, -1e9, 1e9)",
                             "select(-1)",
                             "select(0)",
                             "tonumber('1', 99)",
                             "tonumber('z', 1)",
                             "('x').y.z()",
                             "-{}",
                             "{} .. {}",
                             "#5",
                             "nil()"}) {
    FaultOf(std::string("local _ = ") + script + " return hold()");
  }
  for (const char* script : {"('x'):rep(-1)",
                             "('x'):rep(0/0)",
                             "(''):rep(1e9)",
                             "('x'):sub(-1e300, 1e300)",
                             "('x'):sub(0/0)",
                             "('x'):byte(1e300)",
                             "tonumber(('9'):rep(1e5))",
                             "tonumber('0x' .. ('f'):rep(1e5))",
                             "tonumber('1e99999')",
                             "tostring(-(0/0))",
                             "select('#', unpack({}, 1, 5000))",
                             "string.char()",
                             "table.concat({}, ('x'):rep(1e6))",
                             "('x'):rep(5e5):upper():lower():reverse()",
                             "bit.lshift(1, 1e9)",
                             "bit.tobit(1e300)",
                             "bit.tohex(-1, -1e9)",
                             "math.ldexp(1, 1e9)",
                             "math.frexp(0/0)",
                             "math.fmod(1, 0)",
                             "string.format('%c%c', 0, 255)",
                             "string.format('%s', ('\\0'):rep(1000))",
                             "string.format('%.99f', -1e308)",
                             "string.format('%99.99e', 5e-324)"}) {
    Survives(std::string("local _ = ") + script + " return hold(tostring(_))");
  }
  // Many formats in one, each as long as can be.
  Survives("return hold(string.format(('%99d'):rep(200), unpack({}, 1, 200)))");
  Survives(
      "local f = ('%99.99f'):rep(100) local t = {} for i = 1, 100 do t[i] = 1e308 end "
      "while true do local _ = string.format(f, unpack(t)) end");
  Survives(
      "local s = ('%s'):rep(200) local t = {} for i = 1, 200 do t[i] = ('x'):rep(1e5) end "
      "return hold(string.format(s, unpack(t)))");
  Survives(
      "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1e5) end return hold(table.concat(t))");
  Survives(
      "local t = {} for i = 1, 1e4 do t[i] = 'x' end "
      "return hold(table.concat(t, ('y'):rep(1e5)))");
}

TEST_F(HostileTest, EvilComparatorsAndTablesThatChange) {
  for (const char* script :
       {"table.sort(t, function() return true end)",
        "table.sort(t, function(a, b) return a ~= b end)",
        "table.sort(t, function(a, b) t[#t] = nil return a < b end)",
        "table.sort(t, function(a, b) t[#t + 1] = a return a < b end)",
        "table.sort(t, function(a, b) table.remove(t) return a < b end)",
        "local n = 0 table.sort(t, function(a, b) n = n + 1 return n % 3 == 0 end)",
        "table.sort(t, function(a, b) table.sort(t) return a < b end)",
        "table.sort(t, pcall)",
        "t[3] = 'x' table.sort(t)",
        "t[3] = {} table.sort(t)",
        "t[3] = 0/0 table.sort(t)",
        "t[1e9] = 1 table.sort(t)",
        "for k in pairs(t) do t[k] = nil t[k + 100] = 1 end",
        "for k in pairs(t) do t['x' .. k] = 1 end",
        "for k in next, t do t[k] = nil end",
        "for i, v in ipairs(t) do t[#t + 1] = v end",
        "for i = 1, 1e5 do table.insert(t, 1, i) end",
        "table.insert(t, 1e9, 1)",
        "table.insert(t, -1e9, 1)",
        "table.insert(t, 0/0, 1)",
        "table.remove(t, 1e9)",
        "table.remove(t, -5)",
        "table.insert(t, 1, 2, 3)",
        "t[0/0] = 1",
        "t[nil] = 1",
        "t[t] = t for _ in pairs(t) do end",
        "t[hold] = 1 for _ in next, t do end",
        "next(t, 'not there')",
        "next(t, {})",
        "t[2 ^ 53] = 1 t[-2 ^ 53] = 1 t[0.5] = 1 for _ in pairs(t) do end",
        "for i = 1, 25 do t[2 ^ i] = i end for _ = 1, 100 do t[#t + 1] = 1 end",
        "table.concat(t, ',', -1e9, 1e9)",
        "table.concat(t, ',', 1, 2 ^ 53)",
        "table.maxn({[1e300] = 1})",
        "for i = 1, 0/0 do end",
        "for i = 1, 10, 0 do end",
        "for i = 1, 10, 0/0 do end",
        "for i = 1e308, 1/0, 1e308 do end",
        "for i = 2 ^ 53, 2 ^ 53 + 5 do end"}) {
    Survives(std::string("local t = {} for i = 1, 100 do t[i] = i * 7919 % 101 end ") + script +
             " return hold()");
  }
}

// In C, where no limit would end it for minutes.
TEST_F(HostileTest, ATableIsNotMovedBeyondItsBeginning) {
  for (const char* position : {"-1e9", "-2 ^ 31", "0/0", "0", "-1/0", "-1e300"}) {
    EXPECT_EQ(FaultOf("local t = {1, 2} table.insert(t, " + std::string(position) + ", 3)"),
              "test.lua:1: table.insert: the position must be at least 1");
  }
  EXPECT_EQ(ReasonOf("local t = {1, 3} table.insert(t, 2, 2) table.insert(t, 4) "
                     "table.insert(t, 1, 0) table.insert(t, 9, 9) "
                     "return hold(table.concat(t, ' ') .. t[9])"),
            "0 1 2 3 49");
}

TEST_F(HostileTest, StateIsRefusedOrComesBack) {
  for (const char* script :
       {"state.me = state", "local a, b = {}, {} a.b = b b.a = a state.a = a",
        "local t = {} for i = 1, 1e3 do t = {t} end state.t = t", "state[true] = 1",
        "state[{}] = 1", "state[hold] = 1", "state.f = function() end", "state.p = hold('x')",
        "state.m = metric 'cpu'", "state.l = string", "state = 5", "state = 'x'",
        "state = hold('x')", "state = true", "state.x = ('x'):rep(1e6)",
        "for i = 1, 5e3 do state[i] = i end", "for i = 1, 3e3 do state['k' .. i] = {} end",
        "state[('k'):rep(1e6)] = 1"}) {
    FaultOf(std::string(script) + " return scale_to(1)");
  }
  // What looks like the codec's own signs, and numbers at the edge.
  TestService service;
  service.Run(host_,
              "state['}'] = '{n1;' state['s3:'] = '\\0n' state[''] = '' state[-0.5] = 1/0 "
              "state[1e308] = -1/0 state.nan = 0/0 state['a\\0b'] = {['}}'] = {}} "
              "return hold()");
  EXPECT_EQ(service
                .Run(host_,
                     "return hold(tostring(state['}'] == '{n1;' and state['s3:'] == '\\0n' and "
                     "state[''] == '' and state[-0.5] == 1/0 and state[1e308] == -1/0 and "
                     "state.nan ~= state.nan and state['a\\0b']['}}'] ~= nil))")
                .reason,
            "true");
  // Damaged, as it might come out of a file.
  for (const char* state : {"x", "n", "s", "{", "}", "n1;", "s9:abc", "s-1:", "nnan;n1;", "s1:a{",
                            "s1:a{{n1;", "s99999999999999999999:", "n1;n1;}", "t", "s1:af}"}) {
    service.state = state;
    EXPECT_EQ(service.Run(host_, "return hold(tostring(state))").cause, HoldCause::kFault) << state;
    EXPECT_EQ(service.state, state);
    ExpectSound();
  }
  service.state = "s1:a" + std::string(10'000, '{');
  EXPECT_EQ(service.Run(host_, "return hold(tostring(state))").cause, HoldCause::kFault);
}

TEST_F(HostileTest, ProposalsAreBounded) {
  for (const char* script : {"scale_to(0/0)",
                             "scale_to(1/0)",
                             "scale_to(-1/0)",
                             "scale_to(-1e-300)",
                             "scale_up(1/0)",
                             "scale_up(0/0)",
                             "scale_down(0/0)",
                             "scale_down(-5)",
                             "scale_to()",
                             "scale_to({})",
                             "track(metric 'cpu', 0/0)",
                             "track(metric 'cpu', 0)",
                             "track(metric 'cpu', 1e300)",
                             "track('cpu', 1)",
                             "track(hold(), 1)",
                             "track(metric 'cpu', 0.5, {tolerance = 0/0})",
                             "threshold(metric 'cpu', {above = 0/0})",
                             "threshold(metric 'cpu', {above = 0.5, up = 1/0})",
                             "hold({})",
                             "hold(5)",
                             "metric('cpu')",
                             "{capacity = 1}",
                             "'hold'",
                             "hold, hold"}) {
    FaultOf(std::string("return ") + script);
  }
  for (const char* script :
       {"scale_to(1e308)", "scale_to(5e-324)", "scale_up(1e300)", "scale_down(1e300)",
        "track(metric 'cpu', 5e-324)", "hold(('x'):rep(1e6))", "hold('a\\nb\\r\\27[2J\\127\\0c')",
        "hold(('\\0'):rep(1e5))", "hold('\\255\\254')", "scale_to(3, ('\\n'):rep(1000))"}) {
    Survives(std::string("return ") + script);
  }
  EXPECT_EQ(ReasonOf("return hold('a\\nb\\27[2J\\127c')"), "a b [2J c");
  EXPECT_EQ(ReasonOf("return hold(('x'):rep(1e6))").size(), 400U);
}

TEST_F(HostileTest, NoWayRoundTheFences) {
  for (const char* script : {"require('os')",
                             "require '../../etc/passwd'",
                             "require('autoscale.check\\0')",
                             "require({})",
                             "require('')",
                             "hold.x()",
                             "metric.x = 1",
                             "(hold or 1).__index.x()",
                             "metric('cpu').__index()",
                             "metric('cpu').__metatable.x()",
                             "string.__index.rep()",
                             "('').__index.rep()",
                             "hold('x').capacity()",
                             "error(error)",
                             "error({code = 1}, 1e9)",
                             "error('x', -1e9)",
                             "error('x', 0/0)",
                             "assert(nil, {})",
                             "assert()",
                             "pcall()",
                             "ipairs()",
                             "ipairs(nil)",
                             "metric('c\\0pu')",
                             "param('target\\0')",
                             "metric(('x'):rep(1e6))",
                             "param(('%s'):rep(1e4))",
                             "metric('%s%s%n').value()",
                             "local_time(1/0)",
                             "local_time(0, ('x'):rep(1e6))",
                             "local_time(0/0)",
                             "time_at({year = 1e300, month = 1, day = 1})",
                             "time_at({year = 2026, month = 0/0, day = 1})",
                             "time_at(string)",
                             "time_at(metric 'cpu')"}) {
    FaultOf(std::string("return ") + script);
  }
  // What is left in values that outlive a call, for the next service.
  for (const char* script :
       {"kept = hold('kept') return kept", "kept = metric 'cpu' return hold()",
        "tostring = nil pairs = nil next = nil return hold()",
        "local s = state state = {s = s, n = 1} return hold()",
        "for _, i in pairs(metric('cpu').instances) do i.id = 'leak' end return hold()",
        "local t = capacity for k in pairs(t) do t[k] = nil end return hold()",
        "local t = local_time(0) t.year = 'leak' return hold()",
        "metric, param, hold = hold, hold, function() return scale_to(9) end return scale_to(1)"}) {
    Survives(script);
    EXPECT_EQ(ReasonOf("return hold(tostring(kept) .. local_time(0).year .. capacity.desired .. "
                       "type(metric) .. type(param) .. type(next))"),
              "nil19704functionfunctionfunction");
  }
}

TEST_F(HostileTest, SourcesThatTortureTheCompiler) {
  const auto repeated = [](const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  const std::string sources[] = {
      "return " + repeated("(", 50'000),
      "return " + repeated("not ", 60'000) + "1",
      "return " + repeated("-", 100'000) + "1",
      "return " + repeated("2 ^ ", 50'000) + "2",
      "local s = 'a'" + repeated(" .. 'a'", 30'000) + " return hold()",
      "local a = {} return a" + repeated(".a", 100'000),
      repeated("local a = 1 ", 300) + "return hold()",
      "local function f(" + repeated("a, ", 300) + "b) end return hold()",
      repeated("if true then ", 20'000),
      repeated("do ", 60'000),
      repeated("function f() ", 10'000),
      "if now then elseif " + repeated("now then elseif ", 15'000) + "now then end return hold()",
      "::a:: ::a:: goto a",
      "goto nowhere",
      "do local x ::top:: end goto top",
      "return hold([" + std::string(100'000, '=') + "[x]" + std::string(100'000, '=') + "])",
      "--[" + std::string(200'000, '='),
      "return hold('" + repeated("\\", 100'001) + "')",
      "return hold('\\999')",
      "return " + std::string(100'000, '9'),
      "return 0x" + std::string(100'000, 'f'),
      "local t = {" + repeated("1,", 60'000) + "} return hold()",
      "local t = {" + repeated("{},", 50'000) + "} return hold()",
      std::string("return hold('a\0b')", 18),
      std::string(1000, '\0'),
      "\xef\xbb\xbfreturn hold()",
      "#!/usr/bin/lua\nreturn hold()",
      "return 1LL",
      "return 1i",
  };
  for (const std::string& source : sources) Survives(source);
}

}  // namespace
}  // namespace autoscale
