// From a list and what a backend holds to the commands that make them agree. Pure; tested by
// itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateways/gateway.h"
#include "gateways/haproxy/messages.h"

namespace autoscale::haproxy {

// Servers of this name, and of an address, are ours; all others are left alone.
constexpr std::string_view kOurPrefix = "autoscaled-";

struct ServerAddress {
  std::string host;  // an IP address in its usual form, IPv6 without brackets
  int port = 0;
};
// "10.0.0.5:80", "[fd00::1]:80"; nothing: it is not an IP address with a port.
std::optional<ServerAddress> ParseServerAddress(std::string_view text);
std::string ToText(const ServerAddress& address);
std::string ServerName(const ServerAddress& address);
bool IsOurs(const BackendServer& server);

// Why HAProxy could not be given this list.
Status CheckList(const UpstreamList& list);

// Commands in their order. `up` adds and raises, and must have succeeded before `down` may take
// away; each is empty where there is nothing to do. For lists that CheckList has passed.
struct BackendPlan {
  std::vector<std::string> up;
  std::vector<std::string> down;
};
BackendPlan PlanBackend(const UpstreamList& list, const Backend& backend);

// What keeps the backend from being the list, e.g. "autoscaled-10.0.0.5:80 is missing"; empty:
// nothing. Servers in maintenance that are not in the list do not count: they take no requests.
std::string Difference(const UpstreamList& list, const Backend& backend);

// Of ours, in maintenance and not in the list: what may be deleted once nothing is connected to it.
std::vector<std::string> Leftovers(const UpstreamList& list, const Backend& backend);

}  // namespace autoscale::haproxy
