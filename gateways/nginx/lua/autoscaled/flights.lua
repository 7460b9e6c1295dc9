-- Requests in flight, by endpoint, over all workers.
--
-- Each worker counts under a slot of its own, f|SLOT|UPSTREAM|ADDRESS, and a slot names its worker,
-- w|SLOT = "PID STARTED". A count that finds no room there is kept among the lists instead: a drain
-- that misses one would end too early. Sums take the slots of living workers only, so that what a killed worker
-- was busy with does not stay in flight for ever.

local M = {}
local dict = ngx.shared.autoscaled_counters
local spare = ngx.shared.autoscaled_lists

-- Workers at a time, those included that a reload left behind to finish.
local kSlots = 256
-- Shared by workers for whom no slot was free: always counted, at worst too high.
local kSharedSlot = 0

local slot = kSharedSlot
local endpoints -- name -> addresses
local names

-- When the process started, in ticks since boot: a process id alone may be another's by now.
local function started(pid)
  local file = io.open("/proc/" .. pid .. "/stat", "r")
  if not file then return nil end
  local text = file:read("*a") or ""
  file:close()
  local fields = text:match(".*%)%s+(.*)") -- the name before may hold anything
  local index = 2
  for field in (fields or ""):gmatch("%S+") do
    index = index + 1
    if index == 22 then return field end
  end
  return nil
end

local function alive(owner)
  local pid, since = owner:match("(%d+) (%d+)")
  return started(pid) == since
end

function M.key(name, address, of_slot)
  return "f|" .. (of_slot or slot) .. "|" .. name .. "|" .. address
end

local function bump(into, key, delta)
  local value, err = into:incr(key, delta)
  if not value and err == "not found" then
    local _, no_room = into:safe_add(key, 0) -- another worker may be first: "exists"
    value, err = into:incr(key, delta)
    if not value then err = no_room or err end
  end
  return value, err
end

-- Adds to a count that may not exist yet, and never evicts another to make room.
function M.add(key, delta)
  local value, err = bump(dict, key, delta)
  if not value then
    ngx.log(ngx.ERR, "autoscaled: requests are not counted: ", err,
            "; give lua_shared_dict autoscaled_counters more room")
  end
  return value
end

-- The slots of living workers. Those of dead ones are emptied and freed.
function M.live_slots()
  local slots = { kSharedSlot }
  local dead = {}
  for i = 1, kSlots do
    local owner = dict:get("w|" .. i)
    if owner then
      local into = alive(owner) and slots or dead
      into[#into + 1] = i
    end
  end
  -- One at a time: a second would empty a slot that the first freed and a new worker took.
  if #dead > 0 and endpoints and dict:safe_add("sweep", true, 5) then
    for _, i in ipairs(dead) do
      local owner = dict:get("w|" .. i)
      if owner and not alive(owner) then
        for _, name in ipairs(names()) do
          for _, address in ipairs(endpoints(name)) do
            dict:delete(M.key(name, address, i))
            spare:delete(M.key(name, address, i))
          end
        end
        dict:delete("w|" .. i)
      end
    end
    dict:delete("sweep")
  end
  return slots
end

-- In init_worker_by_lua: takes a slot.
function M.init_worker(list_names, list_endpoints)
  names, endpoints = list_names, list_endpoints
  local since = started(ngx.worker.pid())
  if since then
    local owner = ngx.worker.pid() .. " " .. since
    M.live_slots()
    for i = 1, kSlots do
      if dict:safe_add("w|" .. i, owner) then
        slot = i
        return
      end
    end
  end
  ngx.log(ngx.WARN, "autoscaled: this worker has no count of its own (",
          since and "too many workers" or "no /proc", "): requests that it is killed with will seem ",
          "in flight until nginx restarts")
end

-- One more at the endpoint. Answers the try, for `leave`: only what was counted is taken back, else
-- it would hide another that is in flight.
function M.enter(peer)
  -- Not when the list is decoded: that may be before this worker has its slot.
  peer.flight_key = peer.flight_key or M.key(peer.upstream, peer.address)
  if bump(dict, peer.flight_key, 1) then return { peer = peer, counted = dict } end
  if bump(spare, peer.flight_key, 1) then return { peer = peer, counted = spare } end
  ngx.log(ngx.ERR, "autoscaled: a request to ", peer.address, " is not counted: no room in ",
          "autoscaled_counters nor in autoscaled_lists; give both lua_shared_dict more room")
  return { peer = peer }
end

function M.leave(try)
  if try.counted then try.counted:incr(try.peer.flight_key, -1) end
end

-- Requests in flight at the address, as the workers of these slots count them.
function M.count(slots, name, address)
  local sum = 0
  for _, i in ipairs(slots) do
    local key = M.key(name, address, i)
    sum = sum + (dict:get(key) or 0) + (spare:get(key) or 0)
  end
  return math.max(sum, 0)
end

-- Drops the counts of an endpoint that has none in flight.
function M.forget(name, address)
  for i = 0, kSlots do
    dict:delete(M.key(name, address, i))
    spare:delete(M.key(name, address, i))
  end
end

return M
