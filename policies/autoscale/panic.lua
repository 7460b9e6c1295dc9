--- Panic: a short window beside the long one, for load that rises within seconds, as the Knative Pod
--- Autoscaler does it.
---
--- What is remembered lies in `state.panic`.
local check = require "autoscale.check"
local panic = {}

--- ⌈load ÷ target⌉ over the long window; when the short window needs twice what is ready, the larger
--- of both windows, and nothing is removed until it has been below that for as long as the long
--- window is.
--- @param stable  the load over the long window, in total, in the target's unit
--- @param burst  the load over the short window (Knative: a tenth of the long one)
--- @param goal  what one instance is to carry, above 0
--- @param options  (optional) `threshold` (2): panic when the short window needs so many times what
---   is ready; `window` (seconds; 60): how long below that ends it; `up` (1000) and `down` (2): at
---   most so many times what is ready, and at least what is ready divided by this
--- @return a proposal
--- @example
--- -- two PromQL queries: avg_over_time(...[60s]) and avg_over_time(...[6s])
--- return panic.scale(metric("requests_60s").value, metric("requests_6s").value, 10)
function panic.scale(stable, burst, goal, options)
  check.number("panic.scale: the load of the long window", stable, {min = 0})
  check.number("panic.scale: the load of the short window", burst, {min = 0})
  check.number("panic.scale: the target", goal, {above = 0})
  local given = check.options("panic.scale", options, {"threshold", "window", "up", "down"})
  local threshold = check.number("panic.scale: threshold", given.threshold or 2, {min = 1})
  local window = check.number("panic.scale: window", given.window or 60, {min = 1, max = 3600})
  local up = check.number("panic.scale: up", given.up or 1000, {min = 1})
  local down = check.number("panic.scale: down", given.down or 2, {min = 1})

  local ready = math.max(1, capacity.ready)
  local most, least = math.ceil(up * ready), math.floor(ready / down)
  local by_stable, by_burst = math.ceil(stable / goal), math.ceil(burst / goal)
  local wanted = math.min(math.max(by_stable, least), most)
  local over = by_burst / ready >= threshold

  local was = state.panic
  if over then
    state.panic = {at = now, most = was and was.most or 0}
  elseif was and now - was.at > window then
    state.panic = nil
  end
  if not state.panic then
    return scale_to(wanted, string.format("%.4g over the long window needs %d of %g", stable,
      by_stable, goal))
  end
  wanted = math.max(wanted, math.min(math.max(by_burst, least), most))
  state.panic.most = math.max(state.panic.most, wanted, capacity.desired)
  return scale_to(state.panic.most, string.format(
    "panic: %.4g over the short window needs %d where %d are ready; nothing is removed", burst,
    by_burst, capacity.ready))
end

return panic
