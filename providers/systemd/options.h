// What a service says of its units. See docs/providers/systemd.md.
#pragma once

#include <memory>
#include <string>

#include "config/loader.h"
#include "providers/local/options.h"
#include "providers/systemd/unit.h"

namespace autoscale {

struct SystemdTarget final : ProviderTarget {
  UnitTemplate unit;
  // Where the manager listens: "system", "user", or an address of a D-Bus or of a manager itself.
  std::string bus;
  std::string host = "127.0.0.1";  // an IPv4 address of this machine
  int first_port = 0;
  int last_port = 0;
  HealthOptions health;
  Millis stop_timeout{0};  // then SIGKILL; 0: when the unit itself says so (TimeoutStopSec=)

  // The template at its manager: two services may not share one.
  [[nodiscard]] std::string identity() const override;
  [[nodiscard]] std::string place() const override { return {}; }  // by records of its own
  [[nodiscard]] PortRange ports() const override { return {host, first_port, last_port}; }
  [[nodiscard]] std::string Endpoint(int port) const { return host + ":" + std::to_string(port); }
  // The port of the unit when it is one of these; 0: it is not.
  [[nodiscard]] int PortOf(const std::string& name) const;
};

// A TargetParser. Faults go to the section; then the answer may be null.
std::shared_ptr<const ProviderTarget> ParseSystemdTarget(Section& section,
                                                         const std::string& service);

}  // namespace autoscale
