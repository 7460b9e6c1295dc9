--- To zero and back, as KEDA does it: another rule than the one that scales between one and many.
---
--- The service needs `min: 0`. What is remembered is sustain's, under the name "no work".
local check = require "autoscale.check"
local sustain = require "autoscale.sustain"
local activation = {}

--- Scales from zero when there is work, to zero when there was none for the cooldown, and asks the
--- other rule in between, whose answer is then at least one. The cooldown is only for the way to
--- zero; a metric that is not usable never leads there, and after a time in which it was not the
--- cooldown begins anew (see sustain.since).
--- @param active  whether there is work, such as `metric("queue").value > 5`: strictly greater
--- @param options  (optional) `cooldown` (seconds, 0 to 86400; 300) without work before zero;
---   `first` (instances, at least 1; 1): started from zero
--- @param rule  a function that returns the proposal while there are instances
--- @return a proposal
--- @example
--- local queue = metric "queue"
--- return activation.gate(queue.value > 5, {cooldown = 600}, function()
---   return target.share(queue, 20)
--- end)
function activation.gate(active, options, rule)
  check.kind("activation.gate: whether it is active", active, "boolean")
  local given = check.options("activation.gate", options, {"cooldown", "first"})
  local cooldown = check.number("activation.gate: cooldown", given.cooldown or 300, {min = 0, max = 86400})
  local first = check.integer("activation.gate: first", given.first or 1, {min = 1})
  check.kind("activation.gate: the rule", rule, "function")

  local none = capacity.desired == 0
  local idle_since = sustain.since("no work", not none and not active, cooldown)
  if none then
    if not active then return hold("no work and no instance") end
    return scale_to(math.max(first, capacity.min), "there is work: from zero")
  end
  if idle_since and capacity.min == 0 and now - idle_since >= cooldown then
    return scale_to(0, string.format("no work for %.0f s", now - idle_since))
  end
  local proposal = check.proposal("activation.gate: what the rule returns", rule())
  if proposal.capacity >= 1 then return proposal end
  if idle_since and capacity.min == 0 then
    return scale_to(1, string.format("no work for %.0f s of %g: one is kept", now - idle_since,
      cooldown))
  end
  return scale_to(1, "one is kept while there is work")
end

return activation
