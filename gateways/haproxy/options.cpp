// The gateway's section of the configuration.
#include <utility>

#include "gateways/haproxy/haproxy_gateway.h"
#include "gateways/haproxy/plan.h"

namespace autoscale {
namespace {

bool ParseSocket(Section& section, HaproxyOptions& options) {
  options.address.unix_socket = section.Path("socket");
  options.shown = options.address.unix_socket;
  if (options.shown.empty()) return false;  // told by Path
  return section.FitsSocket("socket", options.shown);
}

bool ParseTcp(Section& section, HaproxyOptions& options) {
  const std::string text = section.String("address");
  const auto address = haproxy::ParseServerAddress(text);
  if (!address) {
    section.Fault("address", "'" + text +
                                 "' is not an IP address with a port: write 127.0.0.1:9999, or "
                                 "socket: /run/haproxy/admin.sock");
    return false;
  }
  options.address.host = address->host;
  options.address.port = static_cast<uint16_t>(address->port);
  options.shown = haproxy::ToText(*address);
  return true;
}

bool ParseWhere(Section& section, HaproxyOptions& options) {
  const bool by_socket = section.Has("socket"), by_address = section.Has("address");
  if (by_socket == by_address) {
    section.Fault(by_address ? "address" : "",
                  by_socket ? "socket and address exclude each other; remove one"
                            : "lacks 'socket', the path of HAProxy's stats socket (or 'address', "
                              "its IP address and port)");
    static_cast<void>(section.String("socket"));
    static_cast<void>(section.String("address"));
    return false;
  }
  return by_socket ? ParseSocket(section, options) : ParseTcp(section, options);
}

}  // namespace

std::shared_ptr<const GatewayOptions> ParseHaproxyOptions(Section& section, const std::string&) {
  using std::chrono::milliseconds;
  using std::chrono::minutes;
  auto options = std::make_shared<HaproxyOptions>();
  const bool usable = ParseWhere(section, *options);
  options->timeout =
      section.Duration("timeout", options->timeout, {.min = milliseconds(10), .max = minutes(1)});
  options->settle =
      section.Duration("settle", options->settle, {.min = milliseconds(0), .max = minutes(1)});
  options->reload_grace = section.Duration("reload_grace", options->reload_grace,
                                           {.min = milliseconds(0), .max = minutes(60)});
  if (!usable) return nullptr;
  return options;
}

}  // namespace autoscale
