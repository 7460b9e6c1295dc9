-- The step scaling policies of AWS's user guide from the library: a threshold of 50 %, on the way
-- out +10 % from 60 and +30 % from 70, on the way in -10 % to 40 and -30 % to 30.
local steps = require "autoscale.steps"
return steps.scale(metric "load", 50, {
  {to = -20, by = -30}, {from = -20, to = -10, by = -10}, {from = -10, to = 0, by = 0},
  {from = 0, to = 10, by = 0}, {from = 10, to = 20, by = 10}, {from = 20, by = 30},
}, {kind = param("kind", "percent"), at_least = param("at_least", 1)})
