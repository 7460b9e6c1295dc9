--- Step scaling: the further a metric is from its threshold, the larger the change, with the bounds
--- and rounding of AWS step scaling.
local check = require "autoscale.check"
local steps = {}

local kinds = {"change", "percent", "exact"}

-- Percentages are rounded towards zero, but to no less than one instance.
local function rounded(change)
  if change > 0 then return math.max(1, math.floor(change + 1e-9)) end
  if change < 0 then return math.min(-1, math.ceil(change - 1e-9)) end
  return 0
end

-- Above the threshold a step has its lower bound, below it its upper one; on it, either.
local function find(list, off)
  for i, step in ipairs(list) do
    local from, to = step.from or -math.huge, step.to or math.huge
    if off >= 0 and off >= from and off < to then return i, step end
    if off < 0 and off > from and off <= to then return i, step end
  end
  for i, step in ipairs(list) do
    if off == 0 and step.to == 0 then return i, step end
  end
end

local function check_steps(list)
  if type(list) ~= "table" or #list == 0 then check.fail("steps.scale: a list of steps is needed") end
  local before
  for i, step in ipairs(list) do
    local from, to = type(step) == "table" and (step.from or -math.huge), step and step.to or math.huge
    if type(from) ~= "number" or type(to) ~= "number" or type(step.by) ~= "number" then
      check.fail(string.format("steps.scale: step %d must be {from =, to =, by =} of numbers", i))
    end
    if from >= to then
      check.fail(string.format("steps.scale: step %d ends (%g) where it begins (%g) or before", i, to,
        from))
    end
    if before and from ~= before then
      check.fail(string.format("steps.scale: step %d begins at %g, the step before it ends at %g", i,
        from, before))
    end
    before = to
  end
end

-- What the change makes of the capacity.
local function result(by, kind, at_least)
  if kind == "exact" then return by end
  local base = by > 0 and math.min(capacity.ready, capacity.desired) or capacity.desired
  if kind == "change" then return math.max(0, base + by) end
  local change = rounded(base * by / 100)
  if change > 0 then change = math.max(change, at_least) end
  if change < 0 then change = math.min(change, -at_least) end
  return math.max(0, base + change)
end

local function apply(why, by, kind, at_least)
  local wanted, desired = result(by, kind, at_least), capacity.desired
  if kind ~= "exact" and by > 0 and wanted <= desired then
    return hold(why .. (capacity.pending > 0 and " was taken and is still starting" or
      " changes nothing"))
  end
  if wanted < desired and capacity.pending > 0 then
    return hold(string.format("%s would remove %d, but %d are still starting", why, desired - wanted,
      capacity.pending))
  end
  if wanted == desired then return hold(why .. " changes nothing") end
  return scale_to(wanted, why)
end

--- The change of the step in which the metric lies, or a hold when it lies in none.
---
--- Instances that are still starting count as if they had arrived, and only what a step wants beyond
--- them is added: 10 ready, 1 starting and a step of 3 make 13. While they start nothing is removed.
--- @param metric  the metric
--- @param threshold  in the metric's unit: what the steps' bounds are relative to
--- @param list  the steps in ascending order without gaps, each {from =, to =, by =}: `from` and `to`
---   relative to the threshold (absent: no bound; above the threshold `from` belongs to the step,
---   below it `to` does), `by` the change
--- @param options  (optional) `kind` ("change"): `by` is a number of instances, "percent": of the
---   capacity, cut to whole instances but at least one, "exact": the capacity itself; `at_least` (1;
---   instances): the smallest change that a percentage makes
--- @return a proposal
--- @example
--- -- 60 to 70 %: one more; from 70 %: three more; 30 to 40 % below: one fewer
--- return steps.scale(metric "cpu", 0.6, {
---   {to = -0.3, by = -1}, {from = -0.3, to = 0, by = 0},
---   {from = 0, to = 0.1, by = 1}, {from = 0.1, by = 3}})
function steps.scale(metric, threshold, list, options)
  check.metric("steps.scale: the first argument", metric)
  check.level("steps.scale: the threshold", metric, threshold)
  local given = check.options("steps.scale", options, {"kind", "at_least"})
  local kind = check.choice("steps.scale: kind", given.kind or "change", kinds)
  local at_least = check.integer("steps.scale: at_least", given.at_least or 1, {min = 1})
  check_steps(list)

  local value = metric.value
  local off = value - threshold
  -- 0.7 - 0.6 is less than 0.1 in doubles: a value on a bound is on it.
  off = math.floor(off * 1e9 + 0.5) / 1e9
  local i, step = find(list, off)
  if not i then
    return hold(string.format("%s %.4g is in no step of %g", metric.name, value, threshold))
  end
  local why = string.format("%s %.4g is %+.4g off %g: step %d", metric.name, value, off, threshold, i)
  return (apply(why, step.by, kind, at_least))
end

return steps
