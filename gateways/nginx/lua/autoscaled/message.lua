-- A pushed list as text: {"epoch", "seq", "peers": [{"host", "port", "weight", "state"}]}. The same
-- rules hold for what comes in on the control server and for what is read from a state file.

local cjson = require "cjson.safe"

local M = {}
local kMaxInteger = 2 ^ 53 -- beyond, a number in Lua is no longer exact

-- "10.0.0.5:80", "[::1]:80"
function M.address(peer)
  return (peer.host:find(":", 1, true) and "[" .. peer.host .. "]" or peer.host) .. ":" .. peer.port
end

local function is_integer(value, min, max)
  return type(value) == "number" and value >= min and value <= max and value % 1 == 0
end

-- nginx' balancer takes no host names.
local function is_ip(host)
  if type(host) ~= "string" then return false end
  if host:find("^[%x:]+$") or host:find("^[%x:]+:%d+%.%d+%.%d+%.%d+$") then
    return host:find(":", 1, true) ~= nil
  end
  local parts = { host:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  for _, part in ipairs(parts) do
    if tonumber(part) > 255 then return false end
  end
  return #parts == 4
end

-- A peer in its canonical form, or nil and what is wrong with it.
local function check_peer(peer)
  if type(peer) ~= "table" then return nil, "is not an object" end
  if not is_ip(peer.host) then
    return nil, "has the host " .. tostring(cjson.encode(peer.host)) .. ", which is not an IP address"
  end
  if not is_integer(peer.port, 1, 65535) then return nil, "has no port between 1 and 65535" end
  local state = peer.state or "serving"
  if state ~= "serving" and state ~= "draining" then
    return nil, "has a state that is neither \"serving\" nor \"draining\""
  end
  local weight = peer.weight or 1
  if not is_integer(weight, state == "draining" and 0 or 1, 65535) then
    return nil, "has no weight between 1 and 65535"
  end
  return { host = peer.host, port = peer.port, weight = weight, state = state }
end

-- {epoch, seq, peers, may_be_empty} of a body, or nil and what is wrong with it.
function M.parse(text)
  local body, err = cjson.decode(text or "")
  if type(body) ~= "table" then
    return nil, "the body is not a JSON object" .. (err and ": " .. err or "")
  end
  if not is_integer(body.epoch, 0, kMaxInteger) or not is_integer(body.seq, 0, kMaxInteger) then
    return nil, "\"epoch\" and \"seq\" must be whole numbers"
  end
  if type(body.peers) ~= "table" or (next(body.peers) ~= nil and #body.peers == 0) then
    return nil, "\"peers\" must be a list"
  end
  local peers, seen = {}, {}
  for i, entry in ipairs(body.peers) do
    local peer
    peer, err = check_peer(entry)
    if not peer then return nil, "peer " .. i .. " " .. err end
    local address = M.address(peer)
    if seen[address] then return nil, "peer " .. i .. " repeats " .. address end
    seen[address] = true
    peers[i] = peer
  end
  return { epoch = body.epoch, seq = body.seq, peers = peers,
           may_be_empty = body.may_be_empty == true }
end

return M
