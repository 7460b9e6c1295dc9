// Where a service manager listens.
#pragma once

#include <functional>
#include <string>

namespace autoscale {

struct BusAddress {
  std::string address;  // "unix:path=..."
  bool broker = false;  // a D-Bus with the manager on it; else the manager itself
  bool operator==(const BusAddress&) const = default;
};

// Where a target's bus ("system", "user" or an address) is for the user with this id. The manager's
// own socket is taken wherever we may: it needs no D-Bus daemon. `environment` may answer null.
BusAddress ChooseBusAddress(const std::string& bus, unsigned uid,
                            const std::function<const char*(const char*)>& environment);

}  // namespace autoscale
