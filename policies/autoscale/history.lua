--- A metric's recent values, and what they have in common.
---
--- Values lie in `state.history` under the metric's name, six digits each: 100 of them take about
--- 3 KiB of the state's 16. Each new value is a change of the state: take as many as are needed.
local check = require "autoscale.check"
local history = {}

local function short(value) return tonumber(string.format("%.6g", value)) end

--- Adds the present value and gives all that are kept, oldest first.
--- @param metric  the metric
--- @param options  (optional) `samples` (1 to 240; 60): kept at most; `seconds` (no bound): older
---   ones are dropped; `every` (seconds; 0): one that comes sooner after the last is not added;
---   `name`: what they are kept under, default the metric's name
--- @return {values = list, times = list of unix seconds}, for the functions below
--- @example
--- local cpu = history.of(metric "cpu", {samples = 20, seconds = 600})
--- if history.max(cpu) < 0.3 then return scale_down(1, "below 30 % for ten minutes") end
function history.of(metric, options)
  check.metric("history.of: the first argument", metric)
  local given = check.options("history.of", options, {"samples", "seconds", "every", "name"})
  local samples = check.integer("history.of: samples", given.samples or 60, {min = 1, max = 240})
  local seconds = check.number("history.of: seconds", given.seconds or 1e9, {min = 0})
  local every = check.number("history.of: every", given.every or 0, {min = 0})
  local name = check.kind("history.of: name", given.name or metric.name, "string")

  local value = metric.value
  state.history = state.history or {}
  local kept = state.history[name] or {values = {}, times = {}}
  local n = #kept.values
  if n == 0 or now - kept.times[n] >= every or now < kept.times[n] then
    kept.values[n + 1], kept.times[n + 1] = short(value), math.floor(now)
  end
  while #kept.values > samples or #kept.values > 1 and now - kept.times[1] > seconds do
    table.remove(kept.values, 1)
    table.remove(kept.times, 1)
  end
  state.history[name] = kept
  return kept
end

local function values_of(where, series)
  local values = type(series) == "table" and (series.values or series)
  if type(values) ~= "table" or type(values[1]) ~= "number" then
    check.fail(where .. ": a history, or a list of numbers, with at least one value is needed")
  end
  return values
end

local function sorted(values)
  local copy = {}
  for i, value in ipairs(values) do copy[i] = value end
  table.sort(copy)
  return copy
end

--- Their mean.
--- @param series  what history.of gave, or a list of numbers
--- @return a number
--- @example
--- local usual = history.mean(history.of(metric "cpu"))
function history.mean(series)
  local values = values_of("history.mean", series)
  local sum = 0
  for _, value in ipairs(values) do sum = sum + value end
  return sum / #values
end

--- The least of them.
--- @param series  as for history.mean
--- @return a number
--- @example
--- local least = history.min(history.of(metric "cpu"))
function history.min(series)
  local values = values_of("history.min", series)
  local least = values[1]
  for _, value in ipairs(values) do least = math.min(least, value) end
  return least
end

--- The greatest of them.
--- @param series  as for history.mean
--- @return a number
--- @example
--- local greatest = history.max(history.of(metric "cpu"))
function history.max(series)
  local values = values_of("history.max", series)
  local greatest = values[1]
  for _, value in ipairs(values) do greatest = math.max(greatest, value) end
  return greatest
end

-- Between the two nearest, as most systems do it.
local function quantile(ordered, share)
  local position = 1 + share * (#ordered - 1)
  local below = math.floor(position)
  local above = math.min(below + 1, #ordered)
  return ordered[below] + (position - below) * (ordered[above] - ordered[below])
end

--- The value below which a share of them lies, interpolated between neighbours.
--- @param series  as for history.mean
--- @param percent  0 to 100
--- @return a number
--- @example
--- local usual_peak = history.percentile(history.of(metric "cpu"), 95)
function history.percentile(series, percent)
  local values = values_of("history.percentile", series)
  check.number("history.percentile: the percentage", percent, {min = 0, max = 100})
  return quantile(sorted(values), percent / 100)
end

--- The middle one.
--- @param series  as for history.mean
--- @return a number
--- @example
--- local usual = history.median(history.of(metric "cpu"))
function history.median(series)
  local values = values_of("history.median", series)
  return quantile(sorted(values), 0.5)
end

--- How far they lie from their median, in the middle: a measure of spread that one outlier does not
--- move. Times 1.4826 it compares with a standard deviation.
--- @param series  as for history.mean
--- @return a number, at least 0
--- @example
--- local cpu = history.of(metric "cpu")
--- local odd = metric("cpu").value > history.median(cpu) + 5 * 1.4826 * history.mad(cpu)
function history.mad(series)
  local values = values_of("history.mad", series)
  local middle = quantile(sorted(values), 0.5)
  local distances = {}
  for i, value in ipairs(values) do distances[i] = math.abs(value - middle) end
  return quantile(sorted(distances), 0.5)
end

--- How fast they change: the slope of the line of least squares through them.
--- @param series  what history.of gave
--- @return the metric's unit a second; 0 for fewer than two times
--- @example
--- local queue = history.of(metric "queue", {seconds = 300})
--- local in_a_minute = metric("queue").value + 60 * history.slope(queue)
function history.slope(series)
  local values = values_of("history.slope", series)
  check.kind("history.slope: the history's times", series.times, "table")
  local n, mean_t, mean_v = #values, 0, 0
  for i = 1, n do
    mean_t, mean_v = mean_t + series.times[i] / n, mean_v + values[i] / n
  end
  local up, down = 0, 0
  for i = 1, n do
    local off = series.times[i] - mean_t
    up, down = up + off * (values[i] - mean_v), down + off * off
  end
  return down > 0 and up / down or 0
end

return history
