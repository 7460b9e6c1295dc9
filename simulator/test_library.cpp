#include "simulator/test_library.h"

namespace autoscale {

const std::string_view kTestLibrary = R"lua(
local engine = ...
local common = {}

local by_name = {params = true, metrics = true, values = true}

local function over(base, more)
  local out = {}
  for key, value in pairs(base) do out[key] = value end
  for key, value in pairs(more) do
    if by_name[key] and type(value) == "table" and type(out[key]) == "table" then
      value = over(out[key], value)
    end
    out[key] = value
  end
  return out
end

local function whole(value) return type(value) == "number" and value >= 0 and value % 1 == 0 end

-- What each of them must be; nothing that is written may be passed over in silence.
local forms = {
  values = {"a table, such as {cpu = 0.9}", function(value) return type(value) == "table" end},
  allow_faults = {"true or false", function(value) return type(value) == "boolean" end},
  ready = {"a whole number of instances", whole},
  now = {"unix seconds, or a time such as \"2026-03-29T08:00:00Z\"",
    function(value) return type(value) == "number" or type(value) == "string" end},
  state = {"a table, such as an earlier answer's", function(value) return type(value) == "table" end},
}
local of_evaluate = {ready = true, now = true, state = true}

local function create(options, what)
  if options == nil then options = {} end
  if type(options) ~= "table" then engine.fail(what .. " takes a table: " .. what .. "{...}") end
  local settings, rest = {}, {}
  for key, value in pairs(over(common, options)) do
    local form = forms[key]
    if form == nil then
      settings[key] = value
    elseif not form[2](value) then
      engine.fail(what .. ": " .. key .. " must be " .. form[1])
    elseif of_evaluate[key] and what ~= "evaluate" and options[key] ~= nil then
      engine.fail(what .. " has no '" .. key .. "': it is of evaluate")
    else
      rest[key] = value
    end
  end
  local sim = engine.create(settings, rest.allow_faults == true)
  for name, value in pairs(rest.values or {}) do engine.set(sim, name, value) end
  return sim, rest
end

local function service(options)
  if type(options) ~= "table" then engine.fail("service takes a table: service{...}") end
  common = over(common, options)
end

local function evaluate(options)
  local sim, rest = create(options, "evaluate")
  return engine.evaluate(sim, rest.ready, rest.now, rest.state)
end

local methods = {}

function methods.set(sim, name, value)
  if type(name) == "table" then
    for each, reading in pairs(name) do engine.set(sim, each, reading) end
  else
    engine.set(sim, name, value)
  end
  return sim
end

function methods.load(sim, name, total)
  engine.set(sim, name, {total = total})
  return sim
end

function methods.tick(sim)
  engine.tick(sim)
  return sim.decision
end

function methods.run(sim, duration, each)
  if each ~= nil and type(each) ~= "function" then
    engine.fail("what run is to call after each tick must be a function, not a " .. type(each))
  end
  engine.run(sim, duration)
  while engine.tick_before(sim) do
    if each then each(sim) end
  end
  return sim.decision
end

local function simulate(options)
  return (create(options, "simulate"))
end

-- Values in messages: bounded, the same each time.
local function show(value, depth)
  if type(value) == "string" then return '"' .. string.sub(value, 1, 300) .. '"' end
  if type(value) ~= "table" or (depth or 0) > 3 then return tostring(value) end
  local parts = {}
  for key, inner in pairs(value) do
    if #parts == 20 then parts[21] = "..." break end
    local name = type(key) == "number" and "" or key .. " = "
    parts[#parts + 1] = name .. show(inner, (depth or 0) + 1)
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function same(a, b, depth)
  if type(a) ~= "table" or type(b) ~= "table" or (depth or 0) > 8 then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key], (depth or 0) + 1) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function contains(value, part)
  if type(value) == "string" then return engine.find(value, tostring(part)) end
  if type(value) ~= "table" then return false end
  for _, inner in pairs(value) do
    if same(inner, part) then return true end
  end
  return false
end

local function number(value) return type(value) == "number" end

-- Each: whether it holds, what was expected, and what came when that is not the value itself.
local checks = {
  is = function(value, wanted) return same(value, wanted), show(wanted) end,
  -- What is not there is no other value: the name may be wrong.
  is_not = function(value, wanted) return value ~= nil and not same(value, wanted), "anything but " .. show(wanted) end,
  is_nil = function(value) return value == nil, "nil" end,
  above = function(value, n) return number(value) and value > n, "more than " .. show(n) end,
  below = function(value, n) return number(value) and value < n, "less than " .. show(n) end,
  at_least = function(value, n) return number(value) and value >= n, "at least " .. show(n) end,
  at_most = function(value, n) return number(value) and value <= n, "at most " .. show(n) end,
  between = function(value, a, b)
    return number(value) and value >= a and value <= b, "from " .. show(a) .. " to " .. show(b)
  end,
  near = function(value, n, tolerance)
    tolerance = tolerance or 1e-9
    return number(value) and math.abs(value - n) <= tolerance,
      show(n) .. ", give or take " .. show(tolerance)
  end,
  contains = function(value, part) return contains(value, part), "something with " .. show(part) end,
  lacks = function(value, part)
    return (type(value) == "string" or type(value) == "table") and not contains(value, part),
      "a text or table with nothing like " .. show(part)
  end,
  fails = function(value, part)
    if type(value) ~= "function" then return false, "a function that raises an error" end
    local ran, message = pcall(value)
    if ran then return false, "an error", "it ran" end
    message = tostring(message)
    return part == nil or contains(message, part), "an error with " .. show(part), show(message)
  end,
}

local asked = {}  -- by the running test, in order: where, until it is checked; then false

local function expect(value, label)
  local object, number = {}, #asked + 1
  asked[number] = engine.place()
  for name, check in pairs(checks) do
    -- expect(x).is(1) and expect(x):is(1)
    object[name] = function(first, ...)
      local holds, wanted, got
      asked[number] = false
      if first == object then
        holds, wanted, got = check(value, ...)
      else
        holds, wanted, got = check(value, first, ...)
      end
      if not holds then
        engine.fail((label and tostring(label) .. ": " or "") .. "expected " .. wanted .. ", got " ..
          (got or show(value)))
      end
      return object
    end
  end
  return object
end

-- A test that cannot fail is none.
local function run(body)
  asked = {}
  body()
  for _, place in ipairs(asked) do
    if place then engine.fail(place .. "no check follows this expect, such as .is(4)") end
  end
  if #asked == 0 then engine.fail("it checks nothing; write expect(VALUE).is(4)") end
end

return {service = service, evaluate = evaluate, simulate = simulate, expect = expect}, methods, run
)lua";

}  // namespace autoscale
