--- Warm-up: instances that are ready but not yet worth a whole one, as the instance warm-up of AWS:
--- counted in what is desired, not in what the metric speaks for, and nothing is removed meanwhile.
---
--- What is remembered lies in `state.warmup`: when which number of instances became ready.
local check = require "autoscale.check"
local warmup = {}

local most_kept = 50  -- arrivals; older ones are put together

--- Looks at who became ready since the last evaluation. Call it once in each.
--- @param seconds  how long an instance warms up after it became ready, 0 to 3600
--- @return {warm =, warming =}: instances that are done with it, and those of the desired that are
---   starting or warming up
--- @example
--- local fleet = warmup.look(300)
--- return warmup.keep(fleet, target.track(metric "cpu", 0.6, {ready = fleet.warm}))
function warmup.look(seconds)
  check.number("warmup.look: the time", seconds, {min = 0, max = 3600})
  local was = state.warmup
  local arrived, changed = {}, was == nil
  for _, one in ipairs(was and was.arrived or {}) do
    if now - one.at < seconds then
      arrived[#arrived + 1] = one
    else
      changed = true
    end
  end
  local more = was and capacity.ready - was.ready or 0
  if more ~= 0 then changed = true end
  if more > 0 then
    if #arrived >= most_kept then
      arrived[#arrived] = {at = now, n = arrived[#arrived].n + more}
    else
      arrived[#arrived + 1] = {at = now, n = more}
    end
  end
  local warming = 0
  for _, one in ipairs(arrived) do warming = warming + one.n end
  if changed then state.warmup = {ready = capacity.ready, arrived = arrived} end
  local warm = math.max(0, capacity.ready - warming)
  return {warm = warm, warming = math.max(0, capacity.desired - warm)}
end

--- Keeps a proposal from removing instances while some warm up. That what is on its way is not added
--- again is the rule's: it has to multiply those that are warm, as in the example.
--- @param fleet  what warmup.look gave
--- @param proposal  a proposal
--- @return the proposal, or a hold
--- @example
--- local fleet = warmup.look(120)
--- return warmup.keep(fleet, target.track(metric "cpu", 0.6, {ready = fleet.warm}))
function warmup.keep(fleet, proposal)
  check.kind("warmup.keep: the fleet", fleet, "table")
  check.number("warmup.keep: the fleet's warming", fleet.warming, {min = 0})
  check.proposal("warmup.keep: the proposal", proposal)
  if proposal.capacity >= capacity.desired or fleet.warming == 0 then return proposal end
  return hold(string.format("%d of %d are warming up: no scale-in (%s)", fleet.warming,
    capacity.desired, proposal.reason))
end

return warmup
