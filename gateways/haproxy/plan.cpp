#include "gateways/haproxy/plan.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "engine/model/text.h"

namespace autoscale::haproxy {
namespace {

// Consistent hashing and `balance random` place a server by its id, times 4096 in 32 bits
// (SRV_EWGHT_RANGE in HAProxy's sources): from 2^20 on, places of two ids would be the same ones.
// The lower half is left to servers of the configuration, which count from 1.
constexpr uint32_t kFirstId = 1U << 19;
constexpr uint32_t kIds = 1U << 19;

bool Serves(const Endpoint& endpoint) { return endpoint.state == Endpoint::State::kServing; }

// FNV-1a: the same on every machine and in every version of ours.
uint32_t Hash(std::string_view text) {
  uint32_t hash = 2166136261U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash;
}

// The id that its address has everywhere, or the next that is free here.
uint32_t TakeId(const std::string& name, std::set<uint32_t>& taken) {
  uint32_t offset = Hash(name) % kIds;
  while (!taken.insert(kFirstId + offset).second) offset = (offset + 1) % kIds;
  return kFirstId + offset;
}

struct Wanted {
  ServerAddress address;
  const Endpoint* endpoint;
};

// By the server's name. A text that is no address is passed over; see CheckList.
std::map<std::string, Wanted> ByName(const UpstreamList& list) {
  std::map<std::string, Wanted> wanted;
  for (const Endpoint& endpoint : list.endpoints) {
    if (const auto address = ParseServerAddress(endpoint.address)) {
      wanted.emplace(ServerName(*address), Wanted{.address = *address, .endpoint = &endpoint});
    }
  }
  return wanted;
}

std::map<std::string, const BackendServer*> OursByName(const Backend& backend) {
  std::map<std::string, const BackendServer*> ours;
  for (const BackendServer& server : backend.servers) {
    if (IsOurs(server)) ours.emplace(server.name, &server);
  }
  return ours;
}

bool IsAt(const BackendServer& server, const ServerAddress& address) {
  return server.host == address.host && server.port == address.port;
}

// One that drains, as HAProxy calls it, still gets the requests of clients that stick to it: only
// one in maintenance gets none. What it has goes on in both.
bool IsOut(const BackendServer& server) { return (server.admin & kMaint) != 0; }
bool IsReady(const BackendServer& server) { return (server.admin & (kMaint | kDrain)) == 0; }

void RaiseServer(const std::string& path, const Wanted& wanted, const BackendServer& server,
                 std::vector<std::string>& commands) {
  if (!IsAt(server, wanted.address)) {
    commands.push_back("set server " + path + " addr " + wanted.address.host + " port " +
                       std::to_string(wanted.address.port));
  }
  if (server.weight != wanted.endpoint->weight) {
    commands.push_back("set server " + path + " weight " + std::to_string(wanted.endpoint->weight));
  }
  if (!IsReady(server)) commands.push_back("set server " + path + " state ready");
}

}  // namespace

std::optional<ServerAddress> ParseServerAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  ServerAddress address;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port < 1 ||
      address.port > 65535) {
    return std::nullopt;
  }
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const int family = brackets ? AF_INET6 : AF_INET;
  unsigned char bytes[sizeof(in6_addr)];
  char written[INET6_ADDRSTRLEN];
  if (inet_pton(family, std::string(host).c_str(), bytes) != 1 ||
      inet_ntop(family, bytes, written, sizeof written) == nullptr) {
    return std::nullopt;
  }
  address.host = written;
  return address;
}

std::string ToText(const ServerAddress& address) {
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

std::string ServerName(const ServerAddress& address) {
  return std::string(kOurPrefix) + address.host + ":" + std::to_string(address.port);
}

bool IsOurs(const BackendServer& server) {
  const std::string_view name = server.name;
  return name.starts_with(kOurPrefix) &&
         name.find_first_not_of("0123456789abcdef.:", kOurPrefix.size()) == std::string_view::npos;
}

Status CheckList(const UpstreamList& list) {
  const auto invalid = [](std::string message) {
    return Error{ErrorKind::kInvalid, std::move(message)};
  };
  if (list.endpoints.empty() && !list.may_be_empty) return invalid("the list is empty");
  std::set<std::string> names;
  for (const Endpoint& endpoint : list.endpoints) {
    const std::string shown = "endpoint '" + OneLine(endpoint.address, 80) + "'";
    const auto address = ParseServerAddress(endpoint.address);
    if (!address) {
      return invalid(shown +
                     " is not an IP address with a port, which is all that HAProxy's new "
                     "servers can have: 10.0.0.5:80 or [fd00::1]:80");
    }
    if (!names.insert(ServerName(*address)).second) return invalid(shown + " is listed twice");
    if (Serves(endpoint) && (endpoint.weight < 1 || endpoint.weight > 256)) {
      return invalid(shown + " has the weight " + std::to_string(endpoint.weight) +
                     ", and HAProxy takes 1 to 256");
    }
  }
  return Ok{};
}

BackendPlan PlanBackend(const UpstreamList& list, const Backend& backend) {
  const auto wanted = ByName(list);
  const auto ours = OursByName(backend);
  std::set<uint32_t> taken;
  for (const BackendServer& server : backend.servers) taken.insert(server.id);
  const std::string folder = backend.name + "/";
  BackendPlan plan;
  std::vector<std::string> raises;
  for (const auto& [name, each] : wanted) {
    const auto found = ours.find(name);
    if (!Serves(*each.endpoint)) {
      // One that is not there needs no draining: this process never sent it anything.
      if (found != ours.end() && !IsOut(*found->second)) {
        plan.down.push_back("set server " + folder + name + " state maint");
      }
    } else if (found == ours.end()) {
      plan.up.push_back("add server " + folder + name + " " + ToText(each.address) + " weight " +
                        std::to_string(each.endpoint->weight) + " id " +
                        std::to_string(TakeId(name, taken)));
      plan.up.push_back("set server " + folder + name + " state ready");
    } else {
      RaiseServer(folder + name, each, *found->second, raises);
    }
  }
  plan.up.insert(plan.up.end(), raises.begin(), raises.end());
  for (const auto& [name, server] : ours) {
    if (wanted.contains(name)) continue;
    if (!IsOut(*server)) plan.down.push_back("set server " + folder + name + " state maint");
    plan.down.push_back("del server " + folder + name);
  }
  return plan;
}

std::string Difference(const UpstreamList& list, const Backend& backend) {
  const auto wanted = ByName(list);
  const auto ours = OursByName(backend);
  for (const auto& [name, each] : wanted) {
    const auto found = ours.find(name);
    if (!Serves(*each.endpoint)) {
      if (found != ours.end() && !IsOut(*found->second)) return name + " is not draining";
      continue;
    }
    if (found == ours.end()) return name + " is missing";
    const BackendServer& server = *found->second;
    if (!IsAt(server, each.address)) return name + " has another address";
    if (server.weight != each.endpoint->weight) {
      return name + " has the weight " + std::to_string(server.weight);
    }
    if (!IsReady(server)) return name + " is not ready";
  }
  for (const auto& [name, server] : ours) {
    if (!wanted.contains(name) && !IsOut(*server)) return name + " is still there";
  }
  return {};
}

std::vector<std::string> Leftovers(const UpstreamList& list, const Backend& backend) {
  const auto wanted = ByName(list);
  std::vector<std::string> names;
  for (const BackendServer& server : backend.servers) {
    if (IsOurs(server) && IsOut(server) && !wanted.contains(server.name)) {
      names.push_back(server.name);
    }
  }
  return names;
}

}  // namespace autoscale::haproxy
