-- AWS target tracking from the library: out after 3 samples above, in after 15 samples below nine
-- tenths of the target, one a minute; warm-up counted in desired and not in the metric.
local sustain = require "autoscale.sustain"
local target = require "autoscale.target"
local warmup = require "autoscale.warmup"

local goal = param "target"
local load = metric "load"
local fleet = warmup.look(param("warmup", 300))
local high = sustain.samples("high", load.value > goal, 3)
local low = sustain.samples("low", load.value < 0.9 * goal, 15)
if not high and not low then return hold "no alarm" end
if fleet.warm == 0 then return hold "all are warming up" end
local wanted = target.track(load, goal, {tolerance = 0, ready = fleet.warm})
return warmup.keep(fleet, wanted)
