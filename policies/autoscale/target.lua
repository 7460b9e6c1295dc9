--- Target tracking: as many instances that a metric meets its target.
---
--- With the arithmetic of the Kubernetes HPA, in its order: the mean of the values first, its ratio to
--- the target next, and the product with the ready capacity, rounded up, last. Where a metric is kept apart by instance (`per_instance`), instances that report
--- nothing or are not ready yet are set aside; when the rest asks for a change, they are counted so
--- that it becomes smaller, and never so that it turns round.
local check = require "autoscale.check"
local target = {}

local tolerance_names = {"tolerance", "tolerance_up", "tolerance_down"}
local known = {"tolerance", "tolerance_up", "tolerance_down", "thousandths", "utilization", "unready",
  "ready"}

-- Thousandths, rounded up, as Kubernetes counts quantities; a double's last bit is no thousandth.
local function milli(value, options)
  local exact = value * 1000
  if not options.thousandths then return exact end
  local nearest = math.floor(exact + 0.5)
  if math.abs(exact - nearest) <= 1e-9 * math.max(1, math.abs(exact)) then return nearest end
  return math.ceil(exact)
end

-- What a double's last bit may be off by; the HPA does not mind it.
local function slack(options) return options.thousandths and 0 or 1e-9 end

-- A product that is whole but for a double's last bit is whole.
local function ceil(value, options)
  return math.ceil(value - slack(options) * math.max(1, value))
end

local function tolerances(options)
  local both = options.tolerance or 0.1
  return options.tolerance_up or both, options.tolerance_down or both
end

-- What the metric's sum over n instances is to the target.
local function ratio_of(sum, n, goal, options)
  if not options.utilization then
    local mean = sum / n
    return (options.thousandths and math.floor(mean) or mean) / milli(goal, options)
  end
  local one = options.percent and 100 or 1  -- what a whole request is in the metric's unit
  local percent = math.floor(sum * 100 / (n * one * 1000) + 1e-9)
  return percent / math.floor(goal * 100 / one + 0.5)
end

local function inside(ratio, options)
  local up, down = tolerances(options)
  return ratio >= 1 - down - slack(options) and ratio <= 1 + up + slack(options)
end

local function check_tolerances(where, options)
  for _, name in ipairs(tolerance_names) do
    check.number(where .. ": " .. name, options[name] or 0, {min = 0, below = 1})
  end
end

-- The samples by kind: their sum and number, who reports nothing, who is not ready.
local function sort(metric, options)
  local found = {sum = 0, n = 0, missing = 0, unready = capacity.pending}
  local ready_seen = 0
  for _, instance in ipairs(metric.instances) do
    local value = instance.value
    local is_number = value == value and math.abs(value) ~= math.huge
    if is_number and (instance.ready or options.unready == "counted") then
      found.sum, found.n = found.sum + milli(value, options), found.n + 1
      if instance.ready then ready_seen = ready_seen + 1 end
    end
  end
  found.missing = math.max(0, capacity.ready - ready_seen)
  if options.unready == "counted" then
    found.unready = math.max(0, capacity.pending - (found.n - ready_seen))
  end
  return found
end

-- HPA: set aside, look, count the others against the move, look again.
local function by_instance(metric, goal, options)
  local name = metric.name
  local found = sort(metric, options)
  if found.n == 0 then
    return hold(string.format("no instance that is ready reports %s", name))
  end
  local ratio = ratio_of(found.sum, found.n, goal, options)
  local count_unready = ratio > 1 and found.unready > 0
  if found.missing == 0 and not count_unready then
    if inside(ratio, options) then
      return hold(string.format("%s is within tolerance of its target %g (ratio %.4g)", name, goal,
        ratio))
    end
    local wanted = ceil(ratio * found.n, options)
    return scale_to(wanted, string.format("%s is %.4g times its target %g: %d ready need %d", name,
      ratio, goal, found.n, wanted))
  end
  local sum, n = found.sum, found.n + found.missing
  if ratio < 1 then
    local one = options.percent and 100 or 1
    local full = options.utilization and math.max(one, goal) or goal
    sum = sum + found.missing * milli(full, options)
  end
  if count_unready then n = n + found.unready end
  local again = ratio_of(sum, n, goal, options)
  local aside = string.format("%d without data, %d not ready", found.missing, found.unready)
  if inside(again, options) or (ratio < 1) ~= (again < 1) or (ratio > 1) ~= (again > 1) then
    return hold(string.format("%s is %.4g times its target %g, but %.4g with %s", name, ratio, goal,
      again, aside))
  end
  local wanted = ceil(again * n, options)
  if (again < 1 and wanted > capacity.desired) or (again > 1 and wanted < capacity.desired) then
    return hold(string.format("%s is %.4g times its target %g with %s: %d would be the wrong way",
      name, again, goal, aside, wanted))
  end
  return scale_to(wanted, string.format("%s is %.4g times its target %g with %s: %d need %d", name,
    again, goal, aside, n, wanted))
end

-- One value for all.
local function by_mean(metric, goal, options)
  local value, ready = metric.value, options.ready or capacity.ready
  if ready <= 0 then
    return hold(capacity.desired > 0 and "no instance is ready yet" or
      "nothing runs that a target could multiply; see activation")
  end
  local ratio = ratio_of(milli(value, options), 1, goal, options)
  if inside(ratio, options) then
    return hold(string.format("%s %.4g is within tolerance of its target %g", metric.name, value,
      goal))
  end
  local wanted = ceil(ratio * ready, options)
  if ratio > 1 and wanted < capacity.desired then
    return hold(string.format("%s %.4g is above its target %g: waiting for %d that are starting",
      metric.name, value, goal, capacity.desired - ready))
  end
  if ratio < 1 and wanted > capacity.desired then
    return hold(string.format("%s %.4g is below its target %g, yet %d of %d would need %d",
      metric.name, value, goal, ready, capacity.desired, wanted))
  end
  return scale_to(wanted, string.format("%s %.4g is %s its target %g: %d ready × %.4g needs %d",
    metric.name, value, ratio > 1 and "above" or "below", goal, ready, ratio, wanted))
end

-- A share of a request may be more than all of it, in whole percent; ten times is beyond belief.
local function check_goal(metric, goal, options)
  check.number("target.track: the target", goal, {above = 0})
  local whole = options.percent and 100 or 1
  if options.utilization then
    check.number("target.track: the target of a utilization", goal, {min = 0.01 * whole})
    if goal <= 10 * whole then return end
  end
  check.level("target.track: the target", metric, goal)
end

--- As many instances that what each feels (utilisation, requests per instance) meets the target:
--- ⌈value ÷ target × ready⌉, as the HPA's Resource and Pods metrics.
---
--- Kept apart by instance, a metric whose coverage is too small is used all the same: those who do
--- not report are counted against the move. Else an unusable metric ends the evaluation as a hold.
--- @param metric  the metric; a mean over the instances, or `per_instance`
--- @param goal  its target, in its unit, above 0
--- @param options  (optional) `tolerance` (0 to below 1; 0.1): hold while the ratio is so near to
---   1, `tolerance_up` and `tolerance_down`: the same for one direction; `thousandths` (false): values
---   rounded up to them and their mean cut to one, as the HPA counts (too coarse for small seconds);
---   `utilization` (false): the mean cut to whole percent, as the HPA does for shares of a request, whose
---   target may be up to ten times the request; `unready` ("aside"): "counted" takes
---   the values of instances that are not ready as they are, as the HPA does for all but CPU;
---   `ready`: the number of instances that the mean speaks for, when it is not all that are ready
--- @return a proposal
--- @example
--- -- 3 ready at 0.8: 0.8 ÷ 0.6 × 3 = 4
--- return target.track(metric "cpu", 0.6, {tolerance_down = 0.2})
function target.track(metric, goal, options)
  check.metric("target.track: the first argument", metric)
  local given = check.options("target.track", options, known)
  check_tolerances("target.track", given)
  if given.unready ~= nil then
    check.choice("target.track: unready", given.unready, {"aside", "counted"})
  end
  local all = {percent = type(metric) == "userdata" and metric.unit == "percent"}
  for name, value in pairs(given) do all[name] = value end
  check_goal(metric, goal, all)
  local per_instance = type(metric) == "userdata" and not given.ready and #metric.instances > 0 and
    (metric.usable or metric.state == "partial")
  if per_instance then return (by_instance(metric, goal, all)) end
  return (by_mean(metric, goal, all))
end

--- So many instances that each has its share of a total (a queue, all requests a second):
--- ⌈total ÷ share⌉, as the HPA's External metrics with an average value. Needs no ready instance.
--- @param metric  the total, over all instances
--- @param share  what one instance is to have, in the metric's unit, above 0
--- @param options  (optional) `tolerance`, `tolerance_up`, `tolerance_down`, `thousandths` as for
---   target.track; the ratio is that of what each of the desired instances has now
--- @return a proposal
--- @example
--- -- 95 waiting, 20 each: 5
--- return target.share(metric "queue", 20)
function target.share(metric, share, options)
  check.metric("target.share: the first argument", metric)
  check.number("target.share: the share", share, {above = 0})
  local given = check.options("target.share", options,
    {"tolerance", "tolerance_up", "tolerance_down", "thousandths"})
  check_tolerances("target.share", given)
  local value = metric.value
  local sum, one = milli(value, given), milli(share, given)
  local wanted = ceil(sum / one, given)
  if capacity.desired > 0 then
    local ratio = sum / (one * capacity.desired)
    if inside(ratio, given) then
      return hold(string.format("%s %.4g is what %d instances of %g have", metric.name, value,
        capacity.desired, share))
    end
  end
  return scale_to(wanted, string.format("%s %.4g needs %d of %g each", metric.name, value, wanted,
    share))
end

return target
