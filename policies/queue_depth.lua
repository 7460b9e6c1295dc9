-- So many instances that each has its share of a queue; to zero and back where `min` is 0.
--
--   metrics:  queue         what waits, over all instances (count)
--   params:   per_instance  so much may wait for each instance
--             tolerance     no change while the share is off by less than this; 0.1
--             activation    with no instance, more than so much must wait for the first; 0
--             cooldown      seconds at or below the activation before the last one goes; 300
--
-- A queue is a total: it does not depend on how many instances look at it, so that the answer is a
-- capacity and not a step.

local activation = require "autoscale.activation"
local check = require "autoscale.check"
local target = require "autoscale.target"

local share = check.number("per_instance", param "per_instance", {above = 0})
local tolerance = check.number("tolerance", param("tolerance", 0.1), {min = 0, max = 0.9})
local above = check.number("activation", param("activation", 0), {min = 0})
local cooldown = check.number("cooldown", param("cooldown", 300), {min = 0, max = 86400})

local queue = metric "queue"
local function by_share() return target.share(queue, share, {tolerance = tolerance}) end

if capacity.min > 0 then return by_share() end
return activation.gate(queue.value > above, {cooldown = cooldown}, by_share)
