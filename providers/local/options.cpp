#include "providers/local/options.h"

#include <arpa/inet.h>

#include <charconv>
#include <string_view>

namespace autoscale {
namespace {

template <typename T>
bool ParseNumber(std::string_view text, T& value) {
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  return fault == std::errc() && end == text.data() + text.size();
}

}  // namespace

void ParsePorts(Section& section, int& first, int& last) {
  if (!section.Has("ports")) {
    section.Fault("", "ports is missing: give a range for the instances, such as 20000-20099");
    return;
  }
  const std::string text = section.String("ports");
  const size_t dash = text.find('-');
  const std::string_view view(text);
  const bool parsed =
      dash == std::string::npos
          ? ParseNumber(view, first) && ParseNumber(view, last)
          : ParseNumber(view.substr(0, dash), first) && ParseNumber(view.substr(dash + 1), last);
  if (!parsed || first < 1 || last > 65535 || first > last) {
    section.Fault("ports", "ports must be a range within 1-65535, such as 20000-20099");
  }
}

std::string ParseHost(Section& section, const std::string& fallback) {
  std::string host = section.String("host", fallback);
  in_addr address{};
  if (inet_pton(AF_INET, host.c_str(), &address) != 1 || address.s_addr == INADDR_ANY) {
    section.Fault("host",
                  "host must be an IPv4 address of this machine at which gateways reach "
                  "the instances, such as 127.0.0.1");
  }
  return host;
}

HealthOptions ParseHealth(Section& section) {
  HealthOptions options;
  auto health = section.Child("health");
  if (!health) return options;  // a TCP connection
  options.path = health->String("http");
  const bool tcp = health->Bool("tcp", options.path.empty());
  if (!options.path.empty() && options.path.front() != '/') {
    health->Fault("http", "http must be a path, such as /healthz");
  }
  if (tcp == !options.path.empty()) {
    health->Fault("tcp", "say one of http: PATH and tcp: true");
  }
  options.interval = health->Duration("interval", options.interval,
                                      {.min = Millis(50), .max = std::chrono::hours(1)});
  options.timeout = health->Duration("timeout", options.timeout,
                                     {.min = Millis(10), .max = std::chrono::minutes(5)});
  options.healthy_after = static_cast<int>(
      health->Int("healthy_after", options.healthy_after, {.min = 1, .max = 1000}));
  options.unhealthy_after = static_cast<int>(
      health->Int("unhealthy_after", options.unhealthy_after, {.min = 1, .max = 1000}));
  health->Finish();
  return options;
}

}  // namespace autoscale
