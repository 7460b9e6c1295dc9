-- So many instances that the processors are busy to a target, as most services want it.
--
--   metrics:  cpu             utilisation of the instances, their mean or per instance (ratio)
--   params:   target          the utilisation wanted; 0.6
--             tolerance_up    no scale-out while above the target by less than this share; 0.1
--             tolerance_down  no scale-in while below the target by less than this share; 0.2
--
-- Per instance (`per_instance` of the metric), instances without data are counted against the move,
-- so that a few dead exporters do not hold the whole service.

local check = require "autoscale.check"
local target = require "autoscale.target"

local goal = check.number("target", param("target", 0.6), {min = 0.01, max = 1.5})
local up = check.number("tolerance_up", param("tolerance_up", 0.1), {min = 0, max = 0.9})
local down = check.number("tolerance_down", param("tolerance_down", 0.2), {min = 0, max = 0.9})

return target.track(metric "cpu", goal, {tolerance_up = up, tolerance_down = down})
