--- Several metrics in one decision.
---
--- Rules are proposals, or what combine.try gives: the proposal, or the fact that its metric could
--- not be used. A rule that failed never lets the others scale in.
local check = require "autoscale.check"
local combine = {}

--- Asks a rule, unless its metric may not be acted on. Without it, an unusable metric holds all.
--- @param metric  the metric that the rule needs
--- @param rule  a function that is given the metric and returns a proposal
--- @return the proposal, or a failure that the functions below understand
--- @example
--- combine.try(metric "cpu", function(cpu) return target.track(cpu, 0.6) end)
function combine.try(metric, rule)
  check.metric("combine.try: the metric", metric)
  check.kind("combine.try: the rule", rule, "function")
  if type(metric) == "table" or metric.usable then return (rule(metric)) end
  return {failed = string.format("metric '%s' is %s", metric.name, metric.state)}
end

-- Splits rules into proposals and failures.
local function split(where, rules)
  if type(rules) ~= "table" or #rules == 0 then
    check.fail(where .. ": a list of rules is needed, such as {track(cpu, 0.6), ...}")
  end
  local good, failed = {}, {}
  for i, rule in ipairs(rules) do
    if type(rule) == "userdata" and tostring(rule) == "proposal" then
      good[#good + 1] = rule
    elseif type(rule) == "table" and type(rule.failed) == "string" then
      failed[#failed + 1] = rule.failed
    else
      check.fail(string.format("%s: rule %d is neither a proposal nor from combine.try", where, i))
    end
  end
  return good, failed
end

local function extreme(list, better)
  local best = list[1]
  for _, proposal in ipairs(list) do
    if better(proposal.capacity, best.capacity) then best = proposal end
  end
  return best
end

--- The rule that wants most. Out when one of them asks for it, in only when all do: when a rule
--- failed, a scale-in becomes a hold and a scale-out stands, as with the HPA.
--- @param rules  a list of proposals and answers of combine.try
--- @return the greatest of them, or a hold
--- @example
--- return combine.max {
---   combine.try(metric "cpu", function(cpu) return target.track(cpu, 0.6) end),
---   combine.try(metric "queue", function(queue) return target.share(queue, 20) end),
--- }
function combine.max(rules)
  local good, failed = split("combine.max", rules)
  if #good == 0 then return hold(table.concat(failed, ", ")) end
  local best = extreme(good, function(a, b) return a > b end)
  if #failed > 0 and best.capacity <= capacity.desired then
    return hold(table.concat(failed, ", ") .. ": no scale-in (" .. best.reason .. ")")
  end
  return best
end

--- The rule that wants least. Holds when a rule failed: what it would want is not known.
--- @param rules  a list of proposals and answers of combine.try
--- @return the least of them, or a hold
--- @example
--- return combine.min {track(metric "cpu", 0.6), scale_to(metric("licences").value, "licences")}
function combine.min(rules)
  local good, failed = split("combine.min", rules)
  if #failed > 0 then return hold(table.concat(failed, ", ")) end
  return extreme(good, function(a, b) return a < b end)
end

--- Only what all agree on: out by the least when all want more, in by the least when all want
--- fewer, else a hold. Holds when a rule failed.
--- @param rules  a list of proposals and answers of combine.try
--- @return the most careful of them, or a hold
--- @example
--- return combine.all {track(metric "cpu", 0.6), track(metric "memory", 0.7)}
function combine.all(rules)
  local good, failed = split("combine.all", rules)
  if #failed > 0 then return hold(table.concat(failed, ", ")) end
  local least = extreme(good, function(a, b) return a < b end)
  local most = extreme(good, function(a, b) return a > b end)
  if least.capacity > capacity.desired then return least end
  if most.capacity < capacity.desired then return most end
  return hold(string.format("not all agree: from %d (%s) to %d (%s)", least.capacity, least.reason,
    most.capacity, most.reason))
end

--- A value made of several metrics, for target.track and its like. Any of them that is not usable
--- ends the evaluation as a hold; combine.try around the parts that may be missing.
--- @param name  what it is called in reasons
--- @param formula  a function that returns the value, a number
--- @return what stands for a metric
--- @example
--- local waiting = combine.formula("all queues", function()
---   return metric("fast_queue").value + 3 * metric("slow_queue").value
--- end)
--- return target.share(waiting, 20)
function combine.formula(name, formula)
  check.kind("combine.formula: the name", name, "string")
  check.kind("combine.formula: the formula", formula, "function")
  local value = formula()
  check.number("combine.formula: what the formula of " .. name .. " returns", value)
  return {name = name, value = value, usable = true}
end

return combine
