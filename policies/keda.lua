-- What a KEDA ScaledObject would want, from its parameters.
--
--   metrics:  whatever `triggers` names
--   params:   triggers            names of metrics, with spaces between: "queue cpu"
--             NAME_threshold      the target of each, in its unit: queue_threshold
--             NAME_type           "average" (a total, shared by all instances), "value" or
--                                 "utilization", as metricType; average
--             NAME_activation     more than this is work; 0
--             cooldown            seconds without work before zero (min: 0); 300
--             fallback_replicas   where a trigger stands that failed too often, unless it is a
--                                 utilization; default: it is held
--             fallback_failures   failures in a row before that; 3
--             fallback_behavior   "static", "current", "current_if_higher", "current_if_lower"; static
--
-- The largest of all triggers wins, at least one while there is work. A utilization says nothing of
-- work: it neither starts the first instance nor keeps the last, and without an instance it is not
-- asked. Unlike KEDA, an empty answer of Prometheus is a failure and not 0, unless the metric says
-- `when_empty: 0`; and a trigger that fails keeps the others from scaling in and to zero.

local activation = require "autoscale.activation"
local check = require "autoscale.check"
local combine = require "autoscale.combine"
local fallback = require "autoscale.fallback"
local target = require "autoscale.target"

local cooldown = check.number("cooldown", param("cooldown", 300), {min = 0, max = 86400})
local replicas = param("fallback_replicas", false)
local failures = check.integer("fallback_failures", param("fallback_failures", 3), {min = 0, max = 1000})
local behavior = param("fallback_behavior", "static")

local function ask(name, trigger, goal, kind)
  local function rule()
    if kind == "average" then return target.share(trigger, goal, {thousandths = true}) end
    return target.track(trigger, goal, {thousandths = true, utilization = kind == "utilization"})
  end
  if not replicas or kind == "utilization" then return combine.try(trigger, rule) end
  local proposal = fallback.after({trigger},
    {replicas = replicas, failures = failures, behavior = behavior}, rule)
  if trigger.usable or state.fallback[name] > failures then return proposal end
  return {failed = proposal.reason}
end

local none = capacity.desired == 0
local rules, tells, active, failed = {}, false, false, false
for _, name in ipairs(check.names("triggers", param "triggers")) do
  local trigger = metric(name)
  local goal = check.number(name .. "_threshold", param(name .. "_threshold"), {above = 0})
  local kind = check.choice(name .. "_type", param(name .. "_type", "average"), {"average", "value", "utilization"})
  local above = check.number(name .. "_activation", param(name .. "_activation", 0))
  local is_share = kind == "utilization"
  local works = not is_share and trigger.usable and trigger.value > above
  tells, active = tells or not is_share, active or works
  if not (none and is_share) then
    local rule = ask(name, trigger, goal, kind)
    failed = failed or not trigger.usable
    -- Work below its activation is none: at zero it must not count beside another's fallback.
    if works or not none or not trigger.usable then rules[#rules + 1] = rule end
  end
end

-- A failure is not the absence of work; from zero only the fallback may start some. Where nothing
-- tells of work there always is some.
if failed and not active and none then return combine.max(rules) end
return activation.gate(active or failed or not tells, {cooldown = cooldown},
  function() return combine.max(rules) end)
