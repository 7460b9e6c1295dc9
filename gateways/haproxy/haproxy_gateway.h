// Gateway haproxy: keeps the servers of HAProxy's backends by its Runtime API, 2.6 and later.
//
//   gateways:
//     edge:
//       type: haproxy
//       socket: /run/haproxy/admin.sock   # or address: 127.0.0.1:9999
//       timeout: 2s                       # of one question
//       settle: 50ms                      # after a push a thread may be at its choice still
//       reload_grace: 30s                 # the process before a reload may have requests so long
#pragma once

#include <memory>
#include <string>

#include "gateways/gateway.h"
#include "gateways/haproxy/runtime_api.h"

namespace autoscale {

struct HaproxyOptions : GatewayOptions {
  haproxy::RuntimeAddress address;
  std::string shown;  // the address as messages show it
  Millis timeout{2000};
  Millis settle{50};
  Millis reload_grace{30'000};
};

// Reads the section; a relative socket path counts from the folder of the file that names it. Null
// with faults in the section's diagnostics when there is no usable address.
std::shared_ptr<const GatewayOptions> ParseHaproxyOptions(Section& section,
                                                          const std::string& name);

Result<std::unique_ptr<Gateway>> CreateHaproxyGateway(const GatewayContext& context);

}  // namespace autoscale
