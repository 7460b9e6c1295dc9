-- Upstream lists: kept in a shared dict, decoded once a worker and version, saved to files.
--
-- Keys: g|NAME the generation that counts, set last of all on a change; c|NAME the last that was
-- given out, each only once; l|NAME|GENERATION the list as JSON; k|NAME and n, n|1.. the names ever
-- seen; s|NAME: the name is in the file `names`, which tells a start what to restore; lock: who
-- makes a change. A list is written under a key of its own before the generation points to it, so
-- that a dict without room loses nothing that it had.

local cjson = require "cjson.safe"

local flights = require "autoscaled.flights"
local message = require "autoscaled.message"

local M = {}
local dict = ngx.shared.autoscaled_lists
local state_dir -- with a trailing slash, or nil

-- An endpoint that left a list is remembered so long: its metrics, and requests it still has.
local kGoneSeconds = 300
-- A change takes under a millisecond; a worker that died with the lock must not hold it for long.
local kLockSeconds = 5
local kLockWaitSeconds = 2
local kOvertaken = "it took longer than 5s, and another change may have come between"

local kNone = { serving = {}, draining = {}, gone = {}, epoch = 0, seq = 0 }
local cache = {} -- by name: the decoded list of this worker
local registered = {} -- names that this worker knows to be in the dict

function M.valid_name(name)
  return type(name) == "string" and #name <= 128 and name:find("^[%w_][%w_.-]*$") ~= nil
end

-- Makes the name one that names() lists. An error for a name that could not be pushed.
function M.register(name)
  if registered[name] then return end
  if not M.valid_name(name) then
    error("autoscaled: upstream '" .. tostring(name) .. "': a name is made of letters, digits, "
          .. "'_', '-' and '.', and starts with a letter, a digit or '_'", 3)
  end
  if dict:safe_add("k|" .. name, true) then
    local index = dict:incr("n", 1, 0)
    if index then dict:safe_set("n|" .. index, name) end
  end
  registered[name] = true
end

function M.names()
  local names = {}
  for i = 1, dict:get("n") or 0 do names[#names + 1] = dict:get("n|" .. i) end
  return names
end

-- The stored list and its generation; nil when there is none, then with the generation of one that
-- ought to be there and cannot be read.
local function read(name)
  local generation
  for _ = 1, 5 do
    generation = dict:get("g|" .. name)
    if not generation or generation == 0 then return nil end
    local text = dict:get("l|" .. name .. "|" .. generation)
    if text then
      local record = cjson.decode(text)
      if record then return record, generation end
    end
    -- Changed between the two reads: the generation read next is a newer one.
  end
  return nil, generation
end

-- Those that stay keep their place in the turn, so that frequent changes do not send every next
-- request to the same endpoint. The sum of all places is kept at 0.
local function keep_places(serving, previous)
  local places, sum = {}, 0
  for _, peer in ipairs(previous.serving) do places[peer.address] = peer.place end
  for _, peer in ipairs(serving) do
    peer.place = places[peer.address] or 0
    sum = sum + peer.place
  end
  for _, peer in ipairs(serving) do peer.place = peer.place - sum / #serving end
end

local function build(name, record, generation)
  local list = { generation = generation, epoch = record.epoch, seq = record.seq,
                 serving = {}, draining = {}, gone = record.gone }
  for _, peer in ipairs(record.peers) do
    local address = message.address(peer)
    local into = peer.state == "draining" and list.draining or list.serving
    into[#into + 1] = {
      upstream = name, address = address, port = peer.port, weight = peer.weight, place = 0,
      host = peer.host:find(":", 1, true) and "[" .. peer.host .. "]" or peer.host,
    }
  end
  if cache[name] then
    keep_places(list.serving, cache[name])
  else
    -- Workers start at different places, else each starts with the same endpoint.
    for _ = 1, math.random(0, #list.serving) do M.pick(list) end
  end
  return list
end

-- This worker's view: {serving, draining, gone, epoch, seq}; an empty one for an unknown name. Then
-- whether the stored list cannot be read, and the view is the last one that could.
-- Costs one look into the dict while nothing changed.
function M.current(name)
  local list = cache[name]
  local generation = dict:get("g|" .. name)
  if list and list.generation == generation then return list end
  local record
  record, generation = read(name)
  if not record then return list or kNone, generation ~= nil end
  list = build(name, record, generation)
  cache[name] = list
  return list
end

-- Smooth weighted round robin over the serving endpoints that this request has not tried; over all
-- of them when it has tried each. Nil when none serves.
function M.pick(list, tried)
  local best, total = nil, 0
  for _, peer in ipairs(list.serving) do
    if not (tried and tried[peer.address]) then
      peer.place = peer.place + peer.weight
      total = total + peer.weight
      if not best or peer.place > best.place then best = peer end
    end
  end
  if not best then return tried and M.pick(list, nil) or nil end
  best.place = best.place - total
  return best
end

-- The addresses whose counts may be in the dicts: of the list, and those gone for a while.
function M.endpoints(name)
  local list, addresses = M.current(name), {}
  for _, group in ipairs { list.serving, list.draining, list.gone } do
    for _, peer in ipairs(group) do addresses[#addresses + 1] = peer.address end
  end
  return addresses
end

-- Is the endpoint, gone since that time, still worth showing?
function M.lingers(peer)
  return ngx.time() - peer.since < kGoneSeconds
end

local locks = 0 -- that this worker has taken

-- Answers what tells whether the lock is still held: a worker that is stopped for longer than
-- kLockSeconds may find itself in the middle of a change while another has made one.
local function lock()
  local waited = 0
  locks = locks + 1
  local owner = ngx.worker.pid() .. " " .. locks
  while true do
    -- Never one that pushes out a list to make room.
    local locked, err = dict:safe_add("lock", owner, kLockSeconds)
    if locked then return function() return dict:get("lock") == owner end end
    if err ~= "exists" then return nil, err end
    if waited >= kLockWaitSeconds then return false end
    ngx.sleep(0.005)
    waited = waited + 0.005
  end
end

-- Writes beside and renames, so that a crash leaves the old file or the new one.
local function save(name, text)
  if not state_dir then return true end
  local path = state_dir .. name .. ".json"
  local file, err = io.open(path .. ".new", "w")
  if not file then return nil, err end
  local written
  written, err = file:write(text)
  local closed, close_err = file:close()
  if not (written and closed) then return nil, err or close_err end
  written, err = os.rename(path .. ".new", path)
  if not written or dict:get("s|" .. name) then return written, err end
  file, err = io.open(state_dir .. "names", "a")
  if not file then return nil, err end
  file:write(name, "\n")
  dict:safe_set("s|" .. name, true)
  return file:close()
end

-- The endpoints that the new list no longer has, and when they left. Drops the counts of those that
-- left long ago and have no request any more.
local function gone_after(name, record, peers, forget)
  local listed, gone, now = {}, {}, ngx.time()
  for _, peer in ipairs(peers) do listed[message.address(peer)] = true end
  local slots = flights.live_slots()
  for _, peer in ipairs(record.gone) do
    if not listed[peer.address] then
      if M.lingers(peer) or flights.count(slots, name, peer.address) > 0 then
        gone[#gone + 1] = peer
      else
        forget(name, peer.address)
      end
    end
  end
  for _, peer in ipairs(record.peers) do
    local address = message.address(peer)
    if not listed[address] then gone[#gone + 1] = { address = address, since = now } end
  end
  return gone
end

-- cjson rounds numbers to 14 digits; versions must not be.
local function encode(record)
  return string.format('{"epoch":%.0f,"seq":%.0f,"peers":%s,"gone":%s}', record.epoch, record.seq,
                       cjson.encode(record.peers), cjson.encode(record.gone))
end

-- A generation that no list of this name has had, whatever a change that was cut off has left.
local function next_generation(name)
  local _, no_room = dict:safe_add("c|" .. name, dict:get("g|" .. name) or 0) -- mostly: "exists"
  local generation = dict:incr("c|" .. name, 1)
  return generation, not generation and no_room or nil
end

local function store(name, record, held)
  local text = encode(record)
  local generation, err = next_generation(name)
  if not generation then return nil, err end
  local key = "l|" .. name .. "|" .. generation
  local before, ok = dict:get("g|" .. name) or 0, nil
  ok, err = dict:safe_set(key, text)
  if ok and not held() then ok, err = nil, kOvertaken end
  if ok then ok, err = dict:safe_set("g|" .. name, generation) end
  if not ok then
    dict:delete(key)
    return nil, err
  end
  -- The list before, and what changes that were cut off have left.
  for i = before, generation - 1 do dict:delete("l|" .. name .. "|" .. i) end
  return true
end

local function text_of(peers)
  local parts = {}
  for i, peer in ipairs(peers) do
    parts[i] = message.address(peer) .. "*" .. peer.weight .. "*" .. peer.state
  end
  return table.concat(parts, ",")
end

local function replace_locked(name, new, forget, held)
  local old, unreadable = read(name)
  if old then
    local same = new.epoch == old.epoch and new.seq == old.seq
    if same and text_of(old.peers) == text_of(new.peers) then return 200, old end
    if same or new.epoch < old.epoch or (new.epoch == old.epoch and new.seq < old.seq) then
      return 409, old
    end
  elseif unreadable then
    ngx.log(ngx.ERR, "autoscaled: the list of ", name, " could not be read any more; a push replaces it")
  end
  local record = { epoch = new.epoch, seq = new.seq, peers = new.peers, gone = {} }
  if old then record.gone = gone_after(name, old, new.peers, forget) end
  local ok, err = store(name, record, held)
  if not ok then return err == kOvertaken and 503 or 500, err end
  if not held() then return 200, record end -- who came after has saved a newer one

  record.gone = {}
  ok, err = save(name, encode(record))
  if not ok then
    ngx.log(ngx.ERR, "autoscaled: the list of ", name, " serves, but is not saved and will be lost ",
            "when nginx restarts: ", err)
  end
  return 200, record
end

-- Makes `new` {epoch, seq, peers} the list, if it is newer than what there is. Answers a status and
-- the list that counts (200, 409) or a reason (500, 503). In phases that may sleep.
function M.replace(name, new, forget)
  local held, err = lock()
  if err then return 500, err end
  if not held then return 503, "another change did not end within 2s" end
  local ran, status, answer = pcall(replace_locked, name, new, forget, held)
  if held() then dict:delete("lock") end
  if not ran then return 500, status end
  if status == 200 then M.register(name) end
  return status, answer
end

local function restore(name)
  local file = io.open(state_dir .. name .. ".json", "r")
  if not file then return end
  local record, err = message.parse(file:read("*a"))
  file:close()
  local ok
  if record then
    record.gone = {}
    ok, err = store(name, record, function() return true end)
  end
  if ok then
    M.register(name)
    dict:safe_set("s|" .. name, true)
  else
    ngx.log(ngx.ERR, "autoscaled: ", state_dir, name, ".json is not restored, autoscaled pushes anew: ",
            err)
  end
end

-- In init_by_lua: takes up the saved lists, except those that a reload has kept in the dict and that
-- can be read.
function M.init(dir)
  if not dict or not ngx.shared.autoscaled_counters then
    error("autoscaled: nginx.conf lacks 'lua_shared_dict autoscaled_lists 4m;' or "
          .. "'lua_shared_dict autoscaled_counters 16m;' in its http block", 0)
  end
  if not dir then return end
  state_dir = (dir:sub(1, 1) == "/" and dir or ngx.config.prefix() .. dir):gsub("/*$", "/")
  local file = io.open(state_dir .. "names", "r")
  if not file then return end
  for name in file:lines() do
    if M.valid_name(name) and not read(name) then restore(name) end
  end
  file:close()
end

-- In a worker: says at the start, not at the first change, that lists could not be saved.
function M.check_state_dir()
  if not state_dir then return end
  local file, err = io.open(state_dir .. "names", "a")
  if file then
    file:close()
  else
    ngx.log(ngx.ERR, "autoscaled: lists will be lost when nginx restarts: ", err,
            "; make a folder that nginx's workers may write, and name it as state_dir")
  end
end

return M
