-- So many instances that each serves its share of what arrives now and of what a forecast expects.
--
--   metrics:  arrivals    requests per second that arrive, in total (per_second)
--             forecast    the same, as expected when an instance that is asked for now serves (per_second)
--   params:   target_rps  requests per second that one instance is to serve
--             tolerance   no change while what each has is off by less than this share; 0.1
--             trust       the forecast may ask for so many times what arrives now; 3
--
-- The larger of both decides: a forecast never scales in alone, and it is never needed. Without
-- arrivals it may scale out, as far as it is trusted by what arrived last, and nothing scales in.

local check = require "autoscale.check"
local combine = require "autoscale.combine"
local target = require "autoscale.target"

local each = check.number("target_rps", param "target_rps", {above = 0})
local tolerance = check.number("tolerance", param("tolerance", 0.1), {min = 0, max = 0.9})
local trust = check.number("trust", param("trust", 3), {min = 1, max = 100})

local arrivals, forecast = metric "arrivals", metric "forecast"

local live = combine.try(arrivals, function()
  return target.share(arrivals, each, {tolerance = tolerance})
end)

-- Two digits are enough to bound a forecast, and change the state seldom.
if arrivals.usable then state.arrivals = tonumber(string.format("%.2g", arrivals.value)) end
if not forecast.usable or not state.arrivals then
  return combine.max {live}
end

-- Not what is there: that grows by what the forecast asks for, and would let it ask for more.
local now_rps = arrivals.usable and arrivals.value or state.arrivals
local believed = math.min(forecast.value, trust * math.max(now_rps, each))
local ahead = target.share({name = "forecast", value = believed}, each, {tolerance = tolerance})
return combine.max {live, ahead}
