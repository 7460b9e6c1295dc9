-- Nomad Autoscaler's strategies from the library: target-value, threshold, pass-through, fixed-value.
local check = require "autoscale.check"
local passthrough = require "autoscale.passthrough"
local sustain = require "autoscale.sustain"
local target = require "autoscale.target"

local strategy = check.choice("strategy", param "strategy", {"target-value", "threshold", "pass-through", "fixed-value"})

local function limited(proposal)
  local most_up, most_down = param("max_scale_up", 10000), param("max_scale_down", 10000)
  local least, most = capacity.desired - most_down, capacity.desired + most_up
  if proposal.capacity > most then return scale_to(most, "max_scale_up") end
  if proposal.capacity < least then return scale_to(math.max(0, least), "max_scale_down") end
  return proposal
end

local function target_value()
  local m, goal = metric "load", param "target"
  -- A target of 0: the value itself is the factor. From 0: the factor is the count.
  local factor = goal == 0 and m.value or m.value / goal
  if capacity.desired == 0 then return scale_to(factor, "from zero") end
  return target.track({name = "factor", value = factor}, 1,
    {tolerance = param("threshold", 0.01), ready = capacity.desired})
end

local function within_bounds()
  local value = metric("load").value
  local inside = value >= param("lower_bound", -math.huge) and value < param("upper_bound", math.huge)
  local needed = param("within_bounds_trigger", 5)
  if not sustain.most("within", inside, needed, math.max(needed, param("samples", 6))) then
    return hold "not enough samples within bounds"
  end
  if param("delta", false) then return scale_to(math.max(0, capacity.desired + param "delta")) end
  if param("percentage", false) then
    return scale_to(capacity.desired * (1 + param "percentage" / 100))
  end
  return scale_to(param "value")
end

if strategy == "target-value" then return limited(target_value()) end
if strategy == "threshold" then return limited(within_bounds()) end
if strategy == "pass-through" then return limited(passthrough.scale(metric "load")) end
return limited(scale_to(param "value", "fixed"))
