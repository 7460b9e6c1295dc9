-- Inference of language models: starts take minutes, and what counts is the first token.
--
--   metrics:  running        requests that are being answered, over all instances (count)
--             waiting        requests that wait for a place, over all instances (count)
--             first_token    time to the first token, such as the 95th percentile (seconds)
--   params:   per_instance   requests that one instance answers at a time at full speed; 16
--             slo            seconds within which the first token should come; 2
--             start_seconds  how long a new instance takes until it serves; 240
--             idle           seconds for which fewer must be enough before one goes; 1800
--
-- Load is what runs and what waits. Because an instance that is asked for now helps only in
-- start_seconds, load that grows is taken where it will be then (at most twice what it is). When
-- the first token is late though the load fits, requests are longer than assumed: one more, never
-- while another is starting. Starts being dear, an instance goes only after half an hour. Without an
-- instance (min: 0) only `waiting` is asked: it must come from what stands before them.

local check = require "autoscale.check"
local history = require "autoscale.history"
local sustain = require "autoscale.sustain"

local each = check.number("per_instance", param("per_instance", 16), {above = 0})
local slo = check.number("slo", param("slo", 2), {above = 0})
local start = check.number("start_seconds", param("start_seconds", 240), {min = 1, max = 3600})
local idle = check.number("idle", param("idle", 1800), {min = 0, max = 86400})

local serves = capacity.ready > 0
local load = (serves and metric("running").value or 0) + metric("waiting").value
local late = serves and metric("first_token").value > slo

-- Twenty points over the time of one start say whether it grows.
local recent = history.of({name = "load", value = load},
  {samples = 20, seconds = start, every = start / 20})
local growth = math.max(0, history.slope(recent)) * start
local expected = math.min(load + growth, 2 * load)
local needed = math.ceil(expected / each)

-- All are always asked, because all remember.
local is_late = sustain.samples("late", late, 2)
local calm = sustain.unchanged(idle)
local few = serves and needed < capacity.desired and not late
local enough = sustain.seconds("enough", few, idle) and calm

if needed > capacity.desired then
  return scale_to(needed, string.format("%.0f requests, %.0f when a start is done: %d of %g each",
    load, expected, needed, each))
end
if is_late then
  return scale_up(1, string.format("the first token takes longer than %g s", slo))
end
if enough then
  return scale_down(1, string.format("%.0f requests needed %d of %d for %g s", load, needed,
    capacity.desired, idle))
end
return hold(string.format("%.0f requests, %.0f when a start would be done, are served by %d", load,
  expected, capacity.desired))
