-- Utilisation to a target, with a floor in hours when people are about to come.
--
--   metrics:  cpu       utilisation of the instances, their mean or per instance (ratio)
--   params:   target    the utilisation wanted; 0.6
--             start     when the hours begin, as cron: minute hour day month weekday; 0 8 * * mon-fri
--             stop      when they end; 0 18 * * mon-fri
--             capacity  instances there are at least within them
--             ahead     seconds by which the floor comes sooner, so that all have started; 600
--
-- Hours are those of the service's `timezone:`, also on days when clocks change. The floor holds
-- without metrics too; what goes beyond it needs them.

local check = require "autoscale.check"
local schedule = require "autoscale.schedule"
local target = require "autoscale.target"

local goal = check.number("target", param("target", 0.6), {min = 0.01, max = 1.5})
local floor = check.integer("capacity", param "capacity", {min = 1})
local ahead = check.number("ahead", param("ahead", 600), {min = 0, max = 86400})
local hours = {{
  start = param("start", "0 8 * * mon-fri"),
  stop = param("stop", "0 18 * * mon-fri"),
  capacity = floor,
}}

local open = schedule.active(hours) or schedule.active(hours, {at = now + ahead})
local cpu = metric "cpu"
if open and not cpu.usable then
  if capacity.desired < floor then
    return scale_to(floor, string.format("business hours: at least %d", floor))
  end
  return hold("metric 'cpu' is " .. cpu.state)
end

local wanted = target.track(cpu, goal)
if open and wanted.capacity < floor then
  if capacity.desired == floor then return hold(string.format("business hours: %d", floor)) end
  return scale_to(floor, string.format("business hours: at least %d (%s)", floor, wanted.reason))
end
return wanted
