-- Utilisation to a target, except while requests fail: then the capacity is held.
--
--   metrics:  cpu          utilisation of the instances, their mean or per instance (ratio)
--             errors       share of the requests that fail (ratio; when_empty: 0)
--   params:   target       the utilisation wanted; 0.6
--             errors_most  above this share of errors the capacity is held; 0.05
--             calm         seconds below it before instances may go again; 300
--
-- More capacity is not the cure of errors, and fewer may be the cause. Errors make requests cheap: instances that fail at once look idle. A scale-in in that moment would
-- leave too few for when they are mended.

local check = require "autoscale.check"
local sustain = require "autoscale.sustain"
local target = require "autoscale.target"

local goal = check.number("target", param("target", 0.6), {min = 0.01, max = 1.5})
local most = check.number("errors_most", param("errors_most", 0.05), {min = 0, max = 1})
local calm = check.number("calm", param("calm", 300), {min = 0, max = 86400})

local errors = metric("errors").value
local is_calm = sustain.seconds("calm", errors <= most, calm)
if errors > most then
  return hold(string.format("%.1f %% of the requests fail: more capacity is not the cure",
    errors * 100))
end

local wanted = target.track(metric "cpu", goal)
if wanted.capacity < capacity.desired and not is_calm then
  return hold(string.format("no scale-in until errors have been low for %g s (%s)", calm,
    wanted.reason))
end
return wanted
