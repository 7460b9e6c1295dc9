--- Conditions that must last: for N samples, for a time, or for most of the last N samples.
---
--- What is remembered lies in `state.sustain` under the name given, and changes only when the answer
--- may change. Evaluations that end at an unusable metric are not seen: of samples they neither count nor
--- reset, and a time that was not looked at for long is not one that a condition held.
local check = require "autoscale.check"
local sustain = {}

local function memory()
  state.sustain = state.sustain or {}
  return state.sustain
end

--- Whether a condition held in each of the last N evaluations.
--- @param name  what it is remembered under; one for each condition
--- @param condition  whether it holds now
--- @param samples  how many in a row, 1 to 10000
--- @return true once it has, until it does not hold
--- @example
--- if sustain.samples("slow", metric("latency").value > 0.25, 3) then return scale_up(2) end
function sustain.samples(name, condition, samples)
  check.kind("sustain.samples: the name", name, "string")
  check.kind("sustain.samples: the condition", condition, "boolean")
  check.integer("sustain.samples: the number of samples", samples, {min = 1, max = 10000})
  local kept = memory()
  local count = condition and math.min((tonumber(kept[name]) or 0) + 1, samples) or 0
  kept[name] = count > 0 and count or nil
  return count >= samples
end

--- Since when a condition has held without a break. It begins anew after a time in which it was not
--- asked: longer than a minute, four times the usual distance of evaluations and a tenth of `seconds`.
--- @param name  what it is remembered under; one for each condition
--- @param condition  whether it holds now
--- @param seconds  the time that matters, 0 to 604800 (a week)
--- @return unix seconds, `now` when it has just begun; nil while it does not hold
--- @example
--- local since = sustain.since("idle", metric("cpu").value < 0.3, 600)
--- if since then return hold(string.format("idle for %.0f s", now - since)) end
function sustain.since(name, condition, seconds)
  check.kind("sustain.since: the name", name, "string")
  check.kind("sustain.since: the condition", condition, "boolean")
  check.number("sustain.since: the time", seconds, {min = 0, max = 604800})
  local kept = memory()
  local last = type(kept[name]) == "table" and kept[name] or {}
  if not condition then
    if last.since then kept[name] = {every = last.every} end
    return nil
  end
  local usual = last.every or 0
  local most = math.max(60, 4 * usual, seconds / 10)
  local gap = now - (last.seen or now)
  if not last.since or gap < 0 or gap > most then
    kept[name] = {since = now, seen = now, every = gap > 0 and gap or last.every}
    return now
  end
  -- Written seldom: early enough that the next evaluation is no gap.
  local is_nearer = gap > 0 and (gap < usual or usual == 0)
  if is_nearer or gap >= most / 3 then
    kept[name] = {since = last.since, seen = now, every = is_nearer and gap or last.every}
  end
  return last.since
end

--- Whether a condition has held for a time without a break, as sustain.since counts it.
--- @param name  what it is remembered under; one for each condition
--- @param condition  whether it holds now
--- @param seconds  how long, 0 to 604800 (a week)
--- @return true once it has, until it does not hold
--- @example
--- if sustain.seconds("idle", metric("cpu").value < 0.3, 600) then return scale_down(1) end
function sustain.seconds(name, condition, seconds)
  local since = sustain.since(name, condition, seconds)
  return since ~= nil and now - since >= seconds
end

--- Whether a condition held in at least M of the last N evaluations, this one included.
--- @param name  what it is remembered under; one for each condition
--- @param condition  whether it holds now
--- @param needed  M, 1 to `samples`
--- @param samples  N, 1 to 1000
--- @return true when it did
--- @example
--- if sustain.most("busy", metric("cpu").value > 0.8, 3, 5) then return scale_up(1) end
function sustain.most(name, condition, needed, samples)
  check.kind("sustain.most: the name", name, "string")
  check.kind("sustain.most: the condition", condition, "boolean")
  check.integer("sustain.most: the number of samples", samples, {min = 1, max = 1000})
  check.integer("sustain.most: how many of them", needed, {min = 1, max = samples})
  local kept = memory()
  local seen = (type(kept[name]) == "string" and kept[name] or "") .. (condition and "1" or "0")
  seen = string.sub(seen, -samples)
  kept[name] = seen
  local count = 0
  for i = 1, #seen do
    if string.byte(seen, i) == 49 then count = count + 1 end
  end
  return count >= needed
end

--- Whether the desired capacity has been the same for a time: what a change did shows in the metrics
--- only afterwards. A proposal that is held back (by a window, a cooldown) is no change. Call it once in
--- each evaluation.
--- @param seconds  how long, 0 to 604800 (a week)
--- @return true once it has, until it changes
--- @example
--- local idle = sustain.seconds("idle", metric("cpu").value < 0.3, 600)
--- if sustain.unchanged(600) and idle then return scale_down(1) end
function sustain.unchanged(seconds)
  check.number("sustain.unchanged: the time", seconds, {min = 0, max = 604800})
  local kept = memory()
  local last = kept["the capacity"]
  if type(last) ~= "table" or last.desired ~= capacity.desired or last.since > now then
    last = {desired = capacity.desired, since = now}
    kept["the capacity"] = last
  end
  return now - last.since >= seconds
end

return sustain
