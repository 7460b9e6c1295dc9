-- Scales out while requests are slower than promised, and in when they are fast and idle enough.
--
--   metrics:  latency     the latency that was promised, such as the 95th percentile (seconds)
--             cpu         mean utilisation of the instances (ratio)
--   params:   slo         the latency promised, in seconds
--             samples     slower than this in so many evaluations in a row scales out; 2
--             up_percent  by so many percent of the capacity, and at least one; 25
--             fast        below this share of the promise it is fast; 0.5
--             idle        seconds that it must be fast, and unchanged, before one instance less; 600
--             cpu_most    utilisation that the rest may have after a scale-in; 0.7
--
-- Latency says that something is wrong and not how much is missing, so that the way out is in steps.
-- While an earlier step is still starting none is added. One less must not make the rest too busy.

local check = require "autoscale.check"
local sustain = require "autoscale.sustain"

local slo = check.number("slo", param "slo", {above = 0})
local samples = check.integer("samples", param("samples", 2), {min = 1, max = 100})
local up = check.number("up_percent", param("up_percent", 25), {min = 1, max = 1000})
local fast = check.number("fast", param("fast", 0.5), {min = 0, max = 1})
local idle = check.number("idle", param("idle", 600), {min = 0, max = 86400})
local cpu_most = check.number("cpu_most", param("cpu_most", 0.7), {min = 0.05, max = 1.5})

local latency = metric("latency").value
local slow = sustain.samples("slow", latency > slo, samples)
local calm = sustain.unchanged(idle)
local quiet = sustain.seconds("fast", latency < fast * slo, idle) and calm

if slow then
  local step = math.max(1, math.ceil(capacity.desired * up / 100))
  return scale_up(step, string.format("latency %.3g s is above the promised %g s", latency, slo))
end
if not quiet then
  return hold(string.format("latency %.3g s of the promised %g s", latency, slo))
end

local cpu = metric("cpu").value
local left = math.max(1, capacity.desired - 1)
local after = cpu * capacity.ready / left
if capacity.desired <= 1 or after > cpu_most then
  return hold(string.format("fast, but one fewer would be %.0f %% busy", after * 100))
end
return scale_down(1, string.format("latency %.3g s for %g s; one fewer will be %.0f %% busy", latency,
  idle, after * 100))
