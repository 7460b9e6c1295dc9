-- The simplest policy: above a level some more, below another some fewer, then look again.
--
--   metrics:  cpu      utilisation of the instances (percent, or ratio with levels to fit)
--   params:   above    more when above this; 75
--             below    fewer when below this; 30
--             up       so many more; 1
--             down     so many fewer; 1
--             samples  only when so in so many evaluations in a row; 1
--
-- "Look again in a minute" is the service's `interval: 1m`. While instances that were added are
-- still starting, none is added.

local check = require "autoscale.check"
local sustain = require "autoscale.sustain"

local cpu = metric "cpu"
local above = check.level("above", cpu, param("above", 75))
local below = check.level("below", cpu, param("below", 30))
local up = check.integer("up", param("up", 1), {min = 1})
local down = check.integer("down", param("down", 1), {min = 1})
local samples = check.integer("samples", param("samples", 1), {min = 1, max = 1000})
if below >= above then check.fail("below must be less than above") end

local high = sustain.samples("high", cpu.value > above, samples)
local low = sustain.samples("low", cpu.value < below, samples)
if not high and not low and (cpu.value > above or cpu.value < below) then
  return hold(string.format("cpu %g, but not yet in %d evaluations", cpu.value, samples))
end
return threshold(cpu, {above = above, below = below, up = up, down = down})
