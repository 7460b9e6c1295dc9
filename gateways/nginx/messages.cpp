#include "gateways/nginx/messages.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/model/text.h"

namespace autoscale::nginx {
namespace {

using Json = nlohmann::json;

struct HostPort {
  std::string host;  // IPv6 without brackets
  int port = 0;
};

std::optional<HostPort> SplitAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = address.substr(0, colon);
  const std::string_view port = address.substr(colon + 1);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  HostPort out{.host = std::string(host)};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc() || end != port.data() + port.size()) return std::nullopt;
  if (out.host.empty() || out.port < 1 || out.port > 65535) return std::nullopt;
  return out;
}

std::string JoinAddress(const std::string& host, int port) {
  const std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return text + ":" + std::to_string(port);
}

// The "error" of nginx's answer, or the start of whatever else came.
std::string Reason(std::string_view body) {
  constexpr size_t kLongestReason = 400;
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("error") && json["error"].is_string()) {
    const auto& reason = json["error"].get_ref<const std::string&>();
    return reason.empty() ? "no explanation" : OneLine(reason, kLongestReason);
  }
  constexpr size_t kShown = 120;
  std::string text(body.substr(0, kShown));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c > '~'; }, ' ');
  return text.empty() ? "no explanation" : "'" + text + "'";
}

Error NotOurAnswer(const std::string& what) {
  return Error{ErrorKind::kUnavailable,
               "the answer is not a list of upstreams (" + what +
                   "); is the address that of the server block with autoscaled.control()?"};
}

std::optional<uint64_t> Whole(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<uint64_t>();
}

Result<EndpointLoad> ParsePeer(const Json& peer) {
  if (!peer.is_object()) return NotOurAnswer("a peer is not an object");
  const auto host = peer.find("host");
  const auto port = Whole(peer, "port");
  const auto in_flight = Whole(peer, "in_flight");
  if (host == peer.end() || !host->is_string() || !port || *port > 65535 || !in_flight) {
    return NotOurAnswer("a peer lacks host, port or in_flight");
  }
  constexpr uint64_t kMost = std::numeric_limits<int>::max();
  return EndpointLoad{
      .address = JoinAddress(host->get<std::string>(), static_cast<int>(*port)),
      .in_flight = static_cast<int>(std::min(*in_flight, kMost)),
  };
}

Result<UpstreamStatus> ParseUpstream(const Json& upstream) {
  if (!upstream.is_object()) return NotOurAnswer("an upstream is not an object");
  const auto name = upstream.find("name");
  const auto epoch = Whole(upstream, "epoch");
  const auto sequence = Whole(upstream, "seq");
  const auto peers = upstream.find("peers");
  if (name == upstream.end() || !name->is_string() || !epoch || !sequence ||
      peers == upstream.end() || !peers->is_array()) {
    return NotOurAnswer("an upstream lacks name, epoch, seq or peers");
  }
  UpstreamStatus status{.upstream = name->get<std::string>(),
                        .version = {.epoch = *epoch, .sequence = *sequence},
                        .endpoints = {}};
  for (const Json& peer : *peers) {
    Result<EndpointLoad> load = ParsePeer(peer);
    if (!load) return std::move(load).error();
    status.endpoints.push_back(std::move(load).value());
  }
  return status;
}

}  // namespace

Result<std::string> PushBody(const UpstreamList& list) {
  Json peers = Json::array();
  for (const Endpoint& endpoint : list.endpoints) {
    const std::optional<HostPort> address = SplitAddress(endpoint.address);
    if (!address) {
      return Error{ErrorKind::kInvalid,
                   "endpoint '" + OneLine(endpoint.address, 80) + "' is not of the form HOST:PORT"};
    }
    const bool draining = endpoint.state == Endpoint::State::kDraining;
    peers.push_back({{"host", address->host},
                     {"port", address->port},
                     {"weight", endpoint.weight},
                     {"state", draining ? "draining" : "serving"}});
  }
  Json body{{"epoch", list.version.epoch}, {"seq", list.version.sequence}, {"peers", peers}};
  if (list.may_be_empty) body["may_be_empty"] = true;
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::vector<UpstreamStatus>> ParseUpstreams(std::string_view body,
                                                   const std::vector<std::string>& upstreams) {
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) return NotOurAnswer("it is not JSON");
  if (!json.is_object() || !json.contains("upstreams") || !json["upstreams"].is_array()) {
    return NotOurAnswer("it has no \"upstreams\"");
  }
  std::map<std::string, UpstreamStatus> known;
  for (const Json& upstream : json["upstreams"]) {
    Result<UpstreamStatus> status = ParseUpstream(upstream);
    if (!status) return std::move(status).error();
    std::string name = status->upstream;
    known.insert_or_assign(std::move(name), std::move(status).value());
  }
  std::vector<UpstreamStatus> out;
  out.reserve(upstreams.size());
  for (const std::string& name : upstreams) {
    const auto found = known.find(name);
    out.push_back(found == known.end()
                      ? UpstreamStatus{.upstream = name, .version = {}, .endpoints = {}}
                      : found->second);
  }
  return out;
}

Status JudgePush(int http_status, std::string_view body) {
  const std::string code = std::to_string(http_status);
  switch (http_status) {
    case 200:
      return Ok{};
    case 409:
      return Error{ErrorKind::kConflict, Reason(body)};
    case 413:
      return Error{ErrorKind::kInvalid,
                   "refused with 413: the list is larger than client_max_body_size of its server "
                   "block allows"};
    case 400:
    case 422:
      return Error{ErrorKind::kInvalid, "refused with " + code + ": " + Reason(body)};
    case 404:
    case 405:
      return Error{ErrorKind::kUnavailable,
                   "answered " + code +
                       "; is the address that of the server block with autoscaled.control()?"};
    default:
      return Error{ErrorKind::kUnavailable, "answered " + code + ": " + Reason(body)};
  }
}

bool IsUpstreamName(std::string_view name) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && name.size() <= 128 && alphanumeric(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return alphanumeric(c) || c == '.' || c == '-'; });
}

}  // namespace autoscale::nginx
