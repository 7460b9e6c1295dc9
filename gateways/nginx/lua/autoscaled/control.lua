-- The control server: what autoscaled speaks with. docs/gateways/nginx.md has the protocol.

local cjson = require "cjson.safe"
local counters = require "autoscaled.counters"
local flights = require "autoscaled.flights"
local lists = require "autoscaled.lists"
local message = require "autoscaled.message"

local M = {}

local function answer(status, body)
  ngx.status = status
  ngx.header.content_type = "application/json"
  body = body .. "\n"
  ngx.header.content_length = #body
  ngx.print(body)
  return ngx.exit(ngx.HTTP_OK)
end

local function refuse(status, reason)
  return answer(status, cjson.encode { error = reason })
end

-- "epoch" and "seq" as JSON; cjson would round them to 14 digits.
local function version_of(list)
  return string.format('"epoch":%.0f,"seq":%.0f', list.epoch, list.seq)
end

local function request_body()
  ngx.req.read_body()
  local text = ngx.req.get_body_data()
  local path = not text and ngx.req.get_body_file()
  if path then
    local file = io.open(path, "r")
    if file then
      text = file:read("*a")
      file:close()
    end
  end
  return text
end

local function put(name)
  local new, err = message.parse(request_body())
  if not new then return refuse(400, err) end
  if #new.peers == 0 and not new.may_be_empty then
    return refuse(422, "the list of " .. name .. " is empty, which would refuse every request; send "
                       .. "\"may_be_empty\": true if that is meant")
  end
  local status, result = lists.replace(name, new, counters.forget)
  if status == 200 then
    return answer(200, "{" .. version_of(result) .. "}")
  elseif status == 409 then
    local reason = string.format("the list of %s is already at version %.0f.%.0f", name,
                                 result.epoch, result.seq)
    return answer(409, '{"error":' .. cjson.encode(reason) .. "," .. version_of(result) .. "}")
  elseif status == 500 then
    return refuse(500, "the list of " .. name .. " cannot be stored (" .. tostring(result)
                       .. "); give lua_shared_dict autoscaled_lists more room")
  end
  return refuse(status, result)
end

local function describe_peer(peer, state, in_flight)
  return cjson.encode { host = peer.address:match("^%[?(.-)%]?:%d+$"),
                        port = tonumber(peer.address:match("%d+$")),
                        weight = peer.weight or 0, state = state, in_flight = in_flight }
end

-- JSON is put together here because cjson writes an empty list as {}. Nil for an unknown name, and
-- for a list that cannot be read: it is to be pushed again.
local function describe(name, slots)
  local list, unreadable = lists.current(name)
  if unreadable or not list.generation then return nil end
  local peers = {}
  for _, state in ipairs { "serving", "draining", "gone" } do
    for _, peer in ipairs(list[state]) do
      local in_flight = flights.count(slots, name, peer.address)
      if state ~= "gone" or in_flight > 0 then
        peers[#peers + 1] = describe_peer(peer, state, in_flight)
      end
    end
  end
  return string.format('{"name":%s,%s,"peers":[%s]}', cjson.encode(name), version_of(list),
                       table.concat(peers, ","))
end

local function get(name)
  local text = describe(name, flights.live_slots())
  if not text then return refuse(404, "there is no list of " .. name) end
  return answer(200, text)
end

local function get_all()
  local slots, all = flights.live_slots(), {}
  for _, name in ipairs(lists.names()) do all[#all + 1] = describe(name, slots) end
  return answer(200, '{"upstreams":[' .. table.concat(all, ",") .. "]}")
end

function M.serve()
  local method, path = ngx.req.get_method(), ngx.var.uri
  if path == "/upstreams" then
    if method ~= "GET" then return refuse(405, "only GET is known here") end
    return get_all()
  end
  local name = path:match("^/upstreams/([^/]+)$")
  if not name then return refuse(404, "only /upstreams and /upstreams/NAME are known here") end
  if not lists.valid_name(name) then
    return refuse(400, "a name is made of letters, digits, '_', '-' and '.'")
  end
  if method == "PUT" then return put(name) end
  if method == "GET" then return get(name) end
  return refuse(405, "only GET and PUT are known here")
end

return M
