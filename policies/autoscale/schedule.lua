--- Schedules: times of day, week and year at which more (or fewer) instances are wanted.
---
--- A schedule is a cron expression of five fields: minute, hour, day of the month, month, day of the
--- week, each `*`, a number, a range `1-5`, a step `*/15` or `8-18/2`, or a list of these; months and
--- days may be named (`jan`, `mon`), Sunday is 0 and 7. When both day fields are restricted either
--- may match, as in cron. Times are those of a time zone: one that a change of the clock leaves out
--- is the first moment after the gap; one that comes twice counts once, the first time.
local check = require "autoscale.check"
local schedule = {}

local months = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
local days = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
local fields = {
  {name = "minute", least = 0, most = 59}, {name = "hour", least = 0, most = 23},
  {name = "day", least = 1, most = 31}, {name = "month", least = 1, most = 12, names = months},
  {name = "weekday", least = 0, most = 7, names = days},
}

local function split(text, separator)
  local parts, from = {}, 1
  for i = 1, #text + 1 do
    if i > #text or string.sub(text, i, i) == separator then
      parts[#parts + 1] = string.sub(text, from, i - 1)
      from = i + 1
    end
  end
  return parts
end

local function number_of(text, field)
  for i, name in ipairs(field.names or {}) do
    if string.lower(text) == name then return i end
  end
  for i = 1, #text do
    local byte = string.byte(text, i)
    if byte < 48 or byte > 57 then return nil end
  end
  return tonumber(text)
end

-- Adds what one part of a list allows; answers what is wrong with it.
local function add_part(set, part, field)
  local halves = split(part, "/")
  local step = #halves == 2 and number_of(halves[2], {}) or #halves == 1 and 1
  if not step or step < 1 then return "'" .. part .. "' has no step" end
  local from, to = field.least, field.most
  if halves[1] ~= "*" then
    local ends = split(halves[1], "-")
    from = number_of(ends[1], field)
    to = #ends == 1 and (#halves == 2 and field.most or from) or
      #ends == 2 and number_of(ends[2], field)
  end
  if not from or not to or from < field.least or to > field.most then
    return string.format("'%s' is no %s from %d to %d", part, field.name, field.least, field.most)
  end
  if from > to then return "'" .. part .. "' ends before it begins" end
  for value = from, to, step do set[field.name == "weekday" and value % 7 or value] = true end
end

-- {minute = set, hour = set, ...}
local function parse(where, cron)
  if type(cron) ~= "string" then
    check.fail(where .. ": a schedule is a text such as \"0 8 * * mon-fri\"")
  end
  local parts = {}
  for _, part in ipairs(split(cron, " ")) do
    if part ~= "" then parts[#parts + 1] = part end
  end
  if #parts ~= 5 then
    check.fail(string.format("%s: \"%s\" has %d fields instead of minute, hour, day, month, weekday",
      where, cron, #parts))
  end
  local parsed = {}
  for i, field in ipairs(fields) do
    local set = {}
    for _, part in ipairs(split(parts[i], ",")) do
      local wrong = add_part(set, part, field)
      if wrong then check.fail(string.format("%s: \"%s\": %s", where, cron, wrong)) end
    end
    parsed[field.name] = set
  end
  parsed.any_day = string.sub(parts[3], 1, 1) == "*"
  parsed.any_weekday = string.sub(parts[5], 1, 1) == "*"
  return parsed
end

local function days_in(year, month)
  if month == 2 then
    return (year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)) and 29 or 28
  end
  return (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31
end

-- 0 is Sunday (Sakamoto).
local shift = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4}
local function weekday(year, month, day)
  local y = month < 3 and year - 1 or year
  return (y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400) + shift[month] + day) % 7
end

local function on_day(cron, year, month, day)
  local by_day, by_weekday = cron.day[day], cron.weekday[weekday(year, month, day)]
  if cron.any_day or cron.any_weekday then return by_day and by_weekday end
  return by_day or by_weekday
end

-- A month's days and a day's minutes, in the direction of search.
local function bounds(from, to, direction)
  if direction > 0 then return from, to, 1 end
  return to, from, -1
end

-- The time on that day that is nearest to `t` in the direction: at or before it (-1), after it (1).
-- Local minutes beyond `edge` cannot be: no clock is changed by more than three hours.
local function search_day(cron, year, month, day, direction, edge, t, zone)
  local first, last, step = bounds(0, 23, direction)
  for hour = first, last, step do
    if cron.hour[hour] then
      local begin, finish = bounds(0, 59, direction)
      for minute = begin, finish, step do
        if cron.minute[minute] and (not edge or direction * (hour * 60 + minute - edge) > -180) then
          local at = time_at({year = year, month = month, day = day, hour = hour, minute = minute},
            zone)
          if direction < 0 and at <= t or direction > 0 and at > t then return at end
        end
      end
    end
  end
end

-- Eight years and a bit: from one 29th of February to the next, over a year like 2100.
local furthest = 8 * 12 + 1

local function search(cron, t, zone, direction)
  local here = local_time(t, zone)
  local year, month = here.year, here.month
  for past = 0, furthest do
    if cron.month[month] then
      local first, last, step = bounds(1, days_in(year, month), direction)
      if past == 0 then first = here.day end
      for day = first, last, step do
        if on_day(cron, year, month, day) then
          local edge = past == 0 and day == here.day and here.hour * 60 + here.minute or nil
          local at = search_day(cron, year, month, day, direction, edge, t, zone)
          if at then return at end
        end
      end
    end
    month = month + direction
    if month < 1 or month > 12 then
      year, month = year + direction, month < 1 and 12 or 1
    end
  end
end

--- The last time that a schedule named, the given time included.
--- @param cron  a cron expression
--- @param t  (optional; unix seconds) looked back from; default `now`
--- @param zone  (optional) the time zone, one of the service's `timezone:`; default the first
--- @return unix seconds, or nil when there was none in eight years
--- @example
--- local since = now - schedule.last("0 0 * * *")  -- seconds of this day
function schedule.last(cron, t, zone)
  return (search(parse("schedule.last", cron), t or now, zone, -1))
end

--- The next time that a schedule names, the given time excluded.
--- @param cron, t, zone  as for schedule.last
--- @return unix seconds, or nil when there is none in eight years
--- @example
--- local ahead = schedule.next("0 8 * * mon-fri") - now
function schedule.next(cron, t, zone)
  return (search(parse("schedule.next", cron), t or now, zone, 1))
end

-- Whether the entry holds at that time.
local function holds(entry, t, i)
  local where = "schedule.active: entry " .. i
  check.kind(where, entry, "table")
  local start = parse(where .. ": start", entry.start)
  local stop = entry.stop ~= nil and parse(where .. ": stop", entry.stop)
  if (entry.stop == nil) == (entry.seconds == nil) then
    check.fail(where .. " needs either stop or seconds")
  end
  if not stop then check.number(where .. ": seconds", entry.seconds, {above = 0}) end
  local begun = search(start, t, entry.zone, -1)
  if not begun then return false end
  if not stop then return t < begun + entry.seconds end
  local ended = search(stop, t, entry.zone, -1)
  return not ended or begun > ended
end

--- The entry that holds at a time.
--- @param entries  a list, each {start = cron, stop = cron} or {start = cron, seconds = duration},
---   with `capacity` (instances) and whatever else the policy wants to find in it, and `zone`
---   (optional) as for schedule.last. A duration is real time: 8 hours stay 8 over a clock change
--- @param options  (optional) `overlap` ("max"): of several that hold, the one with the greatest
---   `capacity`; "first": the first in the list; `at` (unix seconds; `now`)
--- @return the entry, or nil when none holds
--- @example
--- local entry = schedule.active {
---   {start = "0 8 * * mon-fri", stop = "0 18 * * mon-fri", capacity = 6},
---   {start = "0 0 24 dec *", seconds = 3 * 86400, capacity = 20},
--- }
--- if entry then return scale_to(math.max(entry.capacity, needed)) end
function schedule.active(entries, options)
  check.kind("schedule.active: the list of entries", entries, "table")
  local given = check.options("schedule.active", options, {"overlap", "at"})
  local overlap = check.choice("schedule.active: overlap", given.overlap or "max", {"max", "first"})
  local t = check.number("schedule.active: at", given.at or now, {min = 0})
  local chosen
  for i, entry in ipairs(entries) do
    if holds(entry, t, i) and (not chosen or
        overlap == "max" and (entry.capacity or 0) > (chosen.capacity or 0)) then
      chosen = entry
    end
  end
  return chosen
end

return schedule
