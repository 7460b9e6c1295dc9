--- What to do when metrics fail for long: KEDA's fallback. Without it the capacity is held, for as
--- long as it takes.
---
--- Failures are counted in `state.fallback`, in evaluations, under the name of the first metric: what
--- falls back apart from each other needs metrics of its own.
local check = require "autoscale.check"
local fallback = {}

local behaviors = {"static", "current", "current_if_higher", "current_if_lower"}

--- Asks the rule while all its metrics are usable, holds for the first failures, and falls back
--- after them.
--- @param metrics  a list of the metrics that the rule needs
--- @param options  `replicas` (instances, at least 0; not needed for "current"); `failures`
---   (evaluations in a row, 0 to 1000; 3) that only hold; `behavior` ("current_if_higher"):
---   "static": to `replicas`, "current": as it is, "current_if_higher": the greater of both,
---   "current_if_lower": the lesser
--- @param rule  a function that returns the proposal
--- @return a proposal
--- @example
--- local queue = metric "queue"
--- return fallback.after({queue}, {replicas = 6, failures = 5}, function()
---   return target.share(queue, 20)
--- end)
function fallback.after(metrics, options, rule)
  check.kind("fallback.after: the list of metrics", metrics, "table")
  local given = check.options("fallback.after", options, {"replicas", "failures", "behavior"})
  local allowed = check.integer("fallback.after: failures", given.failures or 3, {min = 0, max = 1000})
  local behavior = check.choice("fallback.after: behavior", given.behavior or "current_if_higher", behaviors)
  local replicas = given.replicas
  if behavior ~= "current" then
    check.integer("fallback.after: replicas", replicas, {min = 0})
  end
  check.kind("fallback.after: the rule", rule, "function")

  local failed = {}
  check.metric("fallback.after: the first metric", metrics[1])
  for i, metric in ipairs(metrics) do
    check.metric("fallback.after: metric " .. i, metric)
    if not metric.usable then
      failed[#failed + 1] = string.format("metric '%s' is %s", metric.name, metric.state)
    end
  end
  local counts, name = state.fallback or {}, metrics[1].name
  if #failed == 0 then
    counts[name] = nil
    return (rule())
  end
  local why = table.concat(failed, ", ")
  local count = math.min((tonumber(counts[name]) or 0) + 1, allowed + 1)
  counts[name], state.fallback = count, counts
  if count <= allowed then
    return hold(string.format("%s (%d of %d before the fallback)", why, count, allowed))
  end
  local current = capacity.desired
  if behavior == "current" then return hold(why .. ": fallback: as it is") end
  local wanted = replicas
  if behavior == "current_if_higher" then wanted = math.max(current, replicas) end
  if behavior == "current_if_lower" then wanted = math.min(current, replicas) end
  return scale_to(wanted, string.format("%s: fallback: %s of %d", why, behavior, replicas))
end

return fallback
