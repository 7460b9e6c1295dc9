-- What the other policies here leave of the library, in one: rules that must agree, a formula,
-- a fallback, pass-through, recent values, most of the last samples.
local activation = require "autoscale.activation"
local combine = require "autoscale.combine"
local fallback = require "autoscale.fallback"
local history = require "autoscale.history"
local passthrough = require "autoscale.passthrough"
local sustain = require "autoscale.sustain"
local target = require "autoscale.target"

local busy, queue, wanted = metric "busy", metric "queue", metric "wanted"

local function by_queue()
  local recent = history.of(queue, {samples = 5})
  local high = math.max(history.percentile(recent, 90), history.mean(recent))
  return target.share({name = "queue", value = high}, 20)
end
local function by_all()
  local load = combine.formula("load", function() return queue.value + 100 * busy.value end)
  return target.share(load, 25, {tolerance_down = 0.3})
end

local rules = {
  combine.try(busy, function() return target.track(busy, 0.6) end),
  -- What it gives before it falls back is a hold like any other: the least of all is not for it.
  param "how" == "max" and fallback.after({queue}, {replicas = 6, failures = 2}, by_queue) or
    combine.try(queue, by_queue),
  combine.try(wanted, function() return passthrough.scale({name = "wanted", value = math.min(wanted.value, 1e6)}) end),
}
if busy.usable and queue.usable then
  rules[#rules + 1] = by_all()
  local was_busy = sustain.most("busy", busy.value > 0.9, 2, 3)
  if was_busy and param "how" == "max" then rules[#rules + 1] = scale_up(2) end
end
local proposal = combine[param "how"](rules)
if not (busy.usable and queue.usable and wanted.usable) then return proposal end
return activation.gate(queue.value > 0, {}, function() return proposal end)
