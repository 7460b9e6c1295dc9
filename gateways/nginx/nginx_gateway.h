// Gateway nginx: pushes lists to the Lua that runs inside nginx or OpenResty (autoscaled.lua).
//
//   gateways:
//     edge:
//       type: nginx
//       address: unix:run/nginx-control.sock   # or http://127.0.0.1:8081
//       timeout: 2s                            # of one push or look
//       settle: 50ms                           # after a push a worker may choose by the old list
#pragma once

#include <memory>
#include <string>

#include "gateways/gateway.h"

namespace autoscale {

struct NginxOptions : GatewayOptions {
  std::string address;      // as messages show it: "unix:/run/x.sock" or "http://127.0.0.1:8081"
  std::string url;          // without a trailing slash
  std::string unix_socket;  // absolute path; empty: TCP
  Millis timeout{2000};
  Millis settle{50};
};

// Reads the section; a relative socket path counts from the folder of the file that names it. Null
// with faults in the section's diagnostics when the address is not usable.
std::shared_ptr<const GatewayOptions> ParseNginxOptions(Section& section, const std::string& name);

Result<std::unique_ptr<Gateway>> CreateNginxGateway(const GatewayContext& context);

}  // namespace autoscale
