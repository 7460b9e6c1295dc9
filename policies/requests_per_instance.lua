-- So many instances that each serves its share of the arriving requests.
--
--   metrics:  arrivals     requests per second that arrive at the gateways, in total (per_second)
--   params:   target_rps   requests per second that one instance is to serve
--             tolerance    a change smaller than this share of the capacity is not worth it; 0.1
--
-- Arrivals do not depend on how many instances there are, so that no answer of this policy feeds
-- back into its own input: it needs no cooldown to be stable, only a window before it scales in.

local check = require "autoscale.check"

local arrivals = metric "arrivals"
local target = check.number("target_rps", param "target_rps", {above = 0})
local tolerance = check.number("tolerance", param("tolerance", 0.1), {min = 0, below = 1})

local needed = arrivals.value / target
local off = math.abs(needed - capacity.desired)
if capacity.desired > 0 and off <= tolerance * capacity.desired then
  return hold(string.format("arrivals %.0f/s are what %d instances of %g/s serve",
    arrivals.value, capacity.desired, target))
end

return scale_to(needed, string.format("arrivals %.0f/s need %d %s of %g/s",
  arrivals.value, math.ceil(needed), math.ceil(needed) == 1 and "instance" or "instances", target))
