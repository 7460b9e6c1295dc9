-- Knative's Pod Autoscaler from the library.
local panic = require "autoscale.panic"
return panic.scale(metric("stable").value, metric("burst").value, param "target", {
  threshold = param("panic_threshold", 2), up = param("max_scale_up_rate", 1000),
  down = param("max_scale_down_rate", 2)})
