--- Checks of what a policy or a module is given.
---
--- A wrong value ends the evaluation with a message at the line of the policy, however many
--- functions of the library lie between.
local check = {}

-- The first place outside of the library, as error would name it.
local function users_place()
  for level = 3, 20 do
    local _, place = pcall(error, "", level)
    if place ~= "" and string.sub(place, 1, 10) ~= "autoscale/" then return place end
  end
  return ""
end

--- Ends the evaluation with an error at the line of the policy.
--- @param text  what is wrong
--- @return nothing
--- @example
--- if below >= above then check.fail("below must be less than above") end
function check.fail(text)
  error(users_place() .. text, 0)
end

local function shown(value)
  if value ~= value then return "nan" end
  if type(value) == "number" then return string.format("%g", value) end
  if type(value) == "string" then return '"' .. string.sub(value, 1, 40) .. '"' end
  if type(value) == "userdata" then return "a " .. tostring(value) end
  return value == nil and "nothing" or "a " .. type(value)
end

local function refuse(name, kind, value)
  check.fail(string.format("%s must be %s, not %s", name, kind, shown(value)))
end

local limit_words = {
  {"above", "above"}, {"min", "of at least"}, {"below", "below"}, {"max", "of at most"},
}

local function within(kind, limits)
  if limits.min and limits.max then
    return string.format("%s from %g to %g", kind, limits.min, limits.max)
  end
  local joint = " "
  for _, limit in ipairs(limit_words) do
    if limits[limit[1]] then
      kind = string.format("%s%s%s %g", kind, joint, limit[2], limits[limit[1]])
      joint = " and "
    end
  end
  return kind
end

local function fits(value, limits)
  return type(value) == "number" and value == value and math.abs(value) ~= math.huge and
    not (limits.min and value < limits.min) and not (limits.max and value > limits.max) and
    not (limits.above and value <= limits.above) and not (limits.below and value >= limits.below)
end

--- A finite number within limits.
--- @param name  what the message calls it: "target", or "mine.track: the tolerance"
--- @param value  what was given
--- @param limits  (optional) {min =, max =} themselves allowed, {above =, below =} not
--- @return the value
--- @example
--- local goal = check.number("target", param("target", 0.6), {above = 0, max = 1})
function check.number(name, value, limits)
  limits = limits or {}
  if not fits(value, limits) then refuse(name, within("a number", limits), value) end
  return value
end

--- A whole number within limits.
--- @param name, value, limits  as for check.number
--- @return the value
--- @example
--- local samples = check.integer("samples", param("samples", 3), {min = 1, max = 100})
function check.integer(name, value, limits)
  limits = limits or {}
  if not fits(value, limits) or value % 1 ~= 0 then
    refuse(name, within("a whole number", limits), value)
  end
  return value
end

--- A value of one of Lua's types.
--- @param name, value  as for check.number
--- @param kind  "string", "boolean", "table" or "function"
--- @return the value
--- @example
--- check.kind("mine.each: the list", list, "table")
function check.kind(name, value, kind)
  if type(value) ~= kind then refuse(name, "a " .. kind, value) end
  return value
end

--- One of a list of texts.
--- @param name, value  as for check.number
--- @param choices  the list of what is allowed
--- @return the value
--- @example
--- check.choice("direction", param "direction", {"up", "down"})
function check.choice(name, value, choices)
  for _, choice in ipairs(choices) do
    if value == choice then return value end
  end
  refuse(name, "one of " .. table.concat(choices, ", "), value)
end

--- Names in one text, with spaces or commas between, as parameters hold them.
--- @param name, value  as for check.number
--- @return the list of the names, at least one
--- @example
--- for _, name in ipairs(check.names("metrics", param "metrics")) do table.insert(rules, ask(name)) end
function check.names(name, value)
  local list, word = {}, ""
  for i = 1, type(value) == "string" and #value + 1 or 0 do
    local c = string.sub(value, i, i)
    if c ~= "" and c ~= " " and c ~= "," then
      word = word .. c
    elseif word ~= "" then
      list[#list + 1], word = word, ""
    end
  end
  if #list == 0 then refuse(name, "at least one name, such as \"cpu queue\"", value) end
  return list
end

--- A metric, or a table that stands for one (see combine.formula).
--- @param name, value  as for check.number
--- @return the metric
--- @example
--- check.metric("mine.track: the first argument", metric)
function check.metric(name, value)
  local is_metric = type(value) == "userdata" and tostring(value) == "metric"
  local stands_for_one = type(value) == "table" and type(value.value) == "number" and
    type(value.name) == "string"
  if not is_metric and not stands_for_one then
    refuse(name, "a metric, such as metric \"cpu\"", value)
  end
  return value
end

--- A proposal, as hold, scale_to and the modules give it.
--- @param name, value  as for check.number
--- @return the proposal
--- @example
--- check.proposal("mine.limit: the proposal", proposal)
function check.proposal(name, value)
  if type(value) ~= "userdata" or tostring(value) ~= "proposal" then
    refuse(name, "a proposal, such as scale_to(3)", value)
  end
  return value
end

--- A table of options, none of them unknown.
--- @param where  the function that is called
--- @param options  what was given; nil stands for none
--- @param known  the list of the options' names
--- @return the options, an empty table for nil
--- @example
--- local given = check.options("mine.track", options, {"tolerance", "least"})
function check.options(where, options, known)
  if options == nil then return {} end
  if type(options) ~= "table" then
    refuse(where .. ": the options", "a table, such as {" .. known[1] .. " = ...}", options)
  end
  for name in pairs(options) do
    local found = false
    for _, other in ipairs(known) do found = found or name == other end
    if not found then
      check.fail(string.format("%s has no option '%s'; its options: %s", where, tostring(name),
        table.concat(known, ", ")))
    end
  end
  return options
end

-- Above it a ratio is a percentage by mistake; overload leaves some room above 1.
local most = {ratio = 1.5, percent = 150}

--- A level that a metric can reach: "above 75" of a ratio would never be. One that it cannot keeps the
--- configuration from being loaded.
--- @param name  as for check.number
--- @param metric  the metric
--- @param level  in the metric's unit; at least 0, a ratio at most 1.5, percent at most 150
--- @return the level
--- @example
--- check.level("above", metric "cpu", param("above", 0.75))
function check.level(name, metric, level)
  if not fits(level, {}) then refuse(name, "a number", level) end
  local unit = type(metric) == "userdata" and metric.unit or nil
  if unit and (level < 0 or most[unit] and level > most[unit]) then
    -- The engine's own check of the same: it notes that policy and service do not fit each other, so
    -- that the configuration is refused.
    pcall(threshold, metric, {above = level})
    check.fail(string.format("%s %g does not fit metric '%s', whose unit is %s%s", name, level,
      metric.name, unit, unit == "ratio" and level > 0 and level <= 150 and
        string.format(" (%g?)", level / 100) or ""))
  end
  return level
end

return check
