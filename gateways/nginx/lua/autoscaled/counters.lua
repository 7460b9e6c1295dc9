-- Counts for Prometheus, over all workers, by upstream and endpoint.
--
-- Keys: a|UPSTREAM arrivals; r|UPSTREAM|ADDRESS|CLASS requests; t|UPSTREAM|ADDRESS failed tries that
-- were repeated elsewhere; h|UPSTREAM|BUCKET and s|UPSTREAM durations and their sum. Their number
-- is bounded: an endpoint's keys go some minutes after it left its list.

local flights = require "autoscaled.flights"
local lists = require "autoscaled.lists"

local M = {}
local dict = ngx.shared.autoscaled_counters

-- Upper bounds in seconds, close enough to each other for a p95 that one can scale by.
local kBounds = { 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10 }
local kClasses = { "1xx", "2xx", "3xx", "4xx", "5xx" }

function M.arrival(upstream)
  flights.add("a|" .. upstream, 1)
end

-- A try at the endpoint failed, and the request goes to another.
function M.retry(peer)
  flights.add("t|" .. peer.upstream .. "|" .. peer.address, 1)
end

-- A request ended. `peer` is the endpoint that was tried last and `seconds` the time spent at
-- endpoints; both nil if there was none.
function M.done(upstream, peer, status, seconds)
  local class = kClasses[math.floor(status / 100)] or "5xx"
  flights.add("r|" .. upstream .. "|" .. (peer and peer.address or "") .. "|" .. class, 1)
  if not seconds then return end
  local bucket = #kBounds + 1
  for i = 1, #kBounds do
    if seconds <= kBounds[i] then
      bucket = i
      break
    end
  end
  flights.add("h|" .. upstream .. "|" .. bucket, 1)
  flights.add("s|" .. upstream, seconds)
end

-- Drops all counts of an endpoint.
function M.forget(upstream, address)
  flights.forget(upstream, address)
  dict:delete("t|" .. upstream .. "|" .. address)
  for _, class in ipairs(kClasses) do
    dict:delete("r|" .. upstream .. "|" .. address .. "|" .. class)
  end
end

local function family(name, kind, help)
  local prefix = "autoscaled_gateway_" .. name
  return { lines = { "# HELP " .. prefix .. " " .. help, "# TYPE " .. prefix .. " " .. kind },
           prefix = prefix }
end

local function sample(into, suffix, labels, value)
  into.lines[#into.lines + 1] =
    into.prefix .. suffix .. "{" .. labels .. "} " .. string.format("%.14g", value)
end

local function render_durations(into, upstream)
  local total = 0
  local label = 'upstream="' .. upstream .. '"'
  for i = 1, #kBounds + 1 do
    total = total + (dict:get("h|" .. upstream .. "|" .. i) or 0)
    sample(into, "_bucket", label .. ',le="' .. (kBounds[i] or "+Inf") .. '"', total)
  end
  sample(into, "_sum", label, dict:get("s|" .. upstream) or 0)
  sample(into, "_count", label, total)
end

local function render_endpoint(families, upstream, address, in_flight)
  local label = 'upstream="' .. upstream .. '",endpoint="' .. address .. '"'
  for _, class in ipairs(kClasses) do
    local count = dict:get("r|" .. upstream .. "|" .. address .. "|" .. class)
    if count then sample(families.requests, "", label .. ',class="' .. class .. '"', count) end
  end
  local retries = dict:get("t|" .. upstream .. "|" .. address)
  if retries then sample(families.retries, "", label, retries) end
  if in_flight then sample(families.in_flight, "", label, in_flight) end
end

local function render_upstream(families, upstream, slots)
  local label = 'upstream="' .. upstream .. '"'
  local list = lists.current(upstream)
  sample(families.arrivals, "", label, dict:get("a|" .. upstream) or 0)
  sample(families.endpoints, "", label .. ',state="serving"', #list.serving)
  sample(families.endpoints, "", label .. ',state="draining"', #list.draining)
  render_endpoint(families, upstream, "", nil) -- refused here: no endpoint was serving
  for _, group in ipairs { list.serving, list.draining, list.gone } do
    for _, peer in ipairs(group) do
      local in_flight = flights.count(slots, upstream, peer.address)
      if group ~= list.gone or in_flight > 0 or lists.lingers(peer) then
        render_endpoint(families, upstream, peer.address, in_flight)
      end
    end
  end
  render_durations(families.durations, upstream)
end

-- Everything, as Prometheus' text format wants it: the samples of one metric together.
function M.render()
  local families = {
    arrivals = family("arrivals_total", "counter", "Requests that arrived, answered or not."),
    requests = family("requests_total", "counter",
                      "Requests that ended, by the class of the status sent to the client."),
    retries = family("retries_total", "counter",
                     "Tries that failed at the endpoint and were repeated at another."),
    in_flight = family("in_flight", "gauge", "Requests that the endpoint has not finished."),
    endpoints = family("endpoints", "gauge", "Endpoints in the list, by state."),
    durations = family("request_duration_seconds", "histogram",
                       "Time a request spent at endpoints, all tries together."),
  }
  local slots = flights.live_slots()
  for _, upstream in ipairs(lists.names()) do render_upstream(families, upstream, slots) end
  local out = {}
  for _, name in ipairs { "arrivals", "requests", "retries", "in_flight", "endpoints", "durations" } do
    out[#out + 1] = table.concat(families[name].lines, "\n")
  end
  return table.concat(out, "\n") .. "\n"
end

return M
