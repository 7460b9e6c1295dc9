-- What runs inside nginx (lua-nginx-module) or OpenResty: balances requests over the upstream lists
-- that autoscaled pushes, and counts what is in flight at each endpoint.
--
-- A file of nginx.conf calls one function a phase; autoscaled.conf.example shows all of them.
-- Lists live in the shared dict autoscaled_lists, every count in autoscaled_counters: the first
-- never loses room to the second.

local ffi = require "ffi"
local balancer = require "ngx.balancer"
local get_request = require("resty.core.base").get_request
local counters = require "autoscaled.counters"
local flights = require "autoscaled.flights"
local lists = require "autoscaled.lists"

local M = {}

-- Requests of this worker that are under way: {started, upstream, arrived, attempts, tried}, by the
-- address of nginx's request. Not in ngx.ctx, which an internal redirect (error_page) empties: a
-- count would then stick. Not by $request_id, which is another at each reading.
local live = {}

local function leave_all(entry)
  for _, try in ipairs(entry.attempts) do flights.leave(try) end
end

-- The key of the current request, and its entry if there is one.
local function find_entry()
  local key = tonumber(ffi.cast("uintptr_t", get_request()))
  return key, live[key]
end

local function entry_of_request()
  local key, entry = find_entry()
  local started = ngx.req.start_time()
  if entry and entry.started ~= started then
    leave_all(entry) -- a subrequest's, for which log() was not called; nginx reused its memory
    entry = nil
  end
  if not entry then
    entry = { started = started, arrived = {}, attempts = {} }
    live[key] = entry
  end
  return entry
end

-- In init_by_lua. options.state_dir: where lists are kept over a restart of nginx, relative to
-- nginx's prefix; it must exist and be writable by nginx's workers. Without it lists are lost then.
function M.init(options)
  lists.init(options and options.state_dir)
end

-- In init_worker_by_lua.
function M.init_worker()
  math.randomseed(ngx.now() * 1000 + ngx.worker.pid())
  flights.init_worker(lists.names, lists.endpoints)
  if ngx.worker.id() == 0 then lists.check_state_dir() end
end

-- In access_by_lua of each location that passes to `upstream`: counts the arrival, and answers 503
-- while nothing serves. (Refusing later, in the balancer, would reach the client as a 500.)
function M.access(upstream)
  lists.register(upstream)
  local entry = entry_of_request()
  if not entry.arrived[upstream] then
    entry.arrived[upstream] = true
    counters.arrival(upstream)
  end
  entry.upstream = upstream
  if #lists.current(upstream).serving == 0 then return ngx.exit(503) end
end

-- In balancer_by_lua of the upstream block: chooses the endpoint of one try.
function M.balance(upstream)
  local list = lists.current(upstream)
  local entry = entry_of_request()
  local attempts = entry.attempts
  if balancer.get_last_failure() then
    local failed = table.remove(attempts)
    if failed then
      flights.leave(failed)
      counters.retry(failed.peer)
      entry.tried = entry.tried or {}
      entry.tried[failed.peer.address] = true
    end
  else
    entry.tried = nil
    if #list.serving > 1 then balancer.set_more_tries(1) end
  end

  local peer = lists.pick(list, entry.tried)
  if not peer then
    -- The list emptied since the access phase; the placeholder of the upstream block refuses.
    ngx.log(ngx.WARN, "autoscaled: no endpoint of ", upstream, " is serving")
    return
  end
  local ok, err = balancer.set_current_peer(peer.host, peer.port)
  if not ok then
    ngx.log(ngx.ERR, "autoscaled: ", upstream, ": cannot choose ", peer.address, ": ", err)
    return
  end
  attempts[#attempts + 1] = flights.enter(peer)
end

-- Seconds at the upstream, all tries together: "0.002", "0.001, 0.003 : 0.002" or nil.
local function upstream_seconds(text)
  if not text then return nil end
  local seconds = tonumber(text)
  if seconds then return seconds end
  for part in text:gmatch("[%d.]+") do seconds = (seconds or 0) + (tonumber(part) or 0) end
  return seconds
end

-- In log_by_lua, once, at the http level: runs at the end of every request, however it ended.
function M.log()
  local key, entry = find_entry()
  if not entry then return end
  live[key] = nil
  leave_all(entry)
  local try = entry.attempts[#entry.attempts]
  local last = try and try.peer
  local upstream = last and last.upstream or entry.upstream
  if upstream then
    counters.done(upstream, last, ngx.status,
                  last and upstream_seconds(ngx.var.upstream_response_time))
  end
end

-- In content_by_lua of the control server: PUT and GET under /upstreams.
function M.control()
  require("autoscaled.control").serve()
end

-- In content_by_lua of a location that Prometheus scrapes.
function M.metrics()
  ngx.header.content_type = "text/plain; version=0.0.4"
  ngx.print(counters.render())
end

return M
