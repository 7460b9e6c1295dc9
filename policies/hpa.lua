-- What the Kubernetes HorizontalPodAutoscaler (autoscaling/v2) would want, from its parameters.
--
--   metrics:  whatever `metrics` names
--   params:   metrics         their names, with spaces between: "cpu requests"
--             NAME_target     the target of each, in its unit: cpu_target
--             NAME_type       how it is meant; "utilization" for ratio and percent, else "pods":
--                               utilization  Resource: share of what an instance asked for
--                               pods         Pods: a value of each instance
--                               value        Object and External with `value`: one number for all
--                               average      Object and External with `averageValue`: a total
--             NAME_unready    instances that are not ready: "aside" (Resource cpu), "counted" as they
--                             are (memory, Pods); default "counted" for "pods", else "aside"
--             tolerance       0.1
--             tolerance_up    for one direction; default tolerance
--             tolerance_down
--
-- The largest of all wins; while one of them fails nothing is removed. Stabilization windows, rate
-- policies and bounds are those of the service's `scaling:`, which has the HPA's.

local check = require "autoscale.check"
local combine = require "autoscale.combine"
local target = require "autoscale.target"

local tolerance = check.number("tolerance", param("tolerance", 0.1), {min = 0, max = 0.99})
local options = {
  thousandths = true,
  tolerance_up = check.number("tolerance_up", param("tolerance_up", tolerance), {min = 0, max = 0.99}),
  tolerance_down = check.number("tolerance_down", param("tolerance_down", tolerance), {min = 0, max = 0.99}),
}

-- Its value need not be usable as a whole: of some instances is enough where they are told apart.
local function readable(m)
  return m.usable or m.state == "partial" and #m.instances > 0
end

local function ask(name)
  local m = metric(name)
  local goal = check.number(name .. "_target", param(name .. "_target"), {above = 0})
  local share = m.unit == "ratio" or m.unit == "percent"
  local kind = check.choice(name .. "_type",
    param(name .. "_type", share and "utilization" or "pods"),
    {"utilization", "pods", "value", "average"})
  local unready = param(name .. "_unready", kind == "pods" and "counted" or "aside")
  if not readable(m) then
    return {failed = string.format("metric '%s' is %s", name, m.state)}
  end
  -- From zero one value for all asks for as many as it is times its target.
  if kind == "average" or kind == "value" and capacity.desired == 0 then
    return target.share(m, goal, options)
  end
  return target.track(m, goal, {
    tolerance_up = options.tolerance_up, tolerance_down = options.tolerance_down, thousandths = true,
    utilization = kind == "utilization", unready = unready,
  })
end

local rules = {}
for i, name in ipairs(check.names("metrics", param "metrics")) do rules[i] = ask(name) end
return combine.max(rules)
