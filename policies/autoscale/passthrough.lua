--- Pass-through: a metric that is a capacity, computed by somebody else.
local check = require "autoscale.check"
local passthrough = {}

--- The metric's value as the capacity, rounded up.
--- @param metric  the metric; its values are instances
--- @param options  (optional) `least` and `most` (instances): what is believed; beyond them it is held
--- @return a proposal, or a hold when the value is not believed
--- @example
--- return passthrough.scale(metric "wanted_by_batch", {most = 200})
function passthrough.scale(metric, options)
  check.metric("passthrough.scale: the first argument", metric)
  local given = check.options("passthrough.scale", options, {"least", "most"})
  local least = check.number("passthrough.scale: least", given.least or 0, {min = 0})
  local most = check.number("passthrough.scale: most", given.most or 1000000, {min = least, max = 1000000})
  local value = metric.value
  if value < least or value > most then
    return hold(string.format("%s asks for %.4g, which is not from %g to %g", metric.name, value,
      least, most))
  end
  return scale_to(value, string.format("%s asks for %.4g", metric.name, value))
end

return passthrough
