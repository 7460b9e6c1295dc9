#include "gateways/gateway.h"
#include "gateways/haproxy/haproxy_gateway.h"
#include "gateways/nginx/nginx_gateway.h"

namespace autoscale {

const std::vector<GatewayType>& GatewayTypes() {
  static const std::vector<GatewayType> types = {
      {.name = "haproxy", .parse = ParseHaproxyOptions, .create = CreateHaproxyGateway},
      {.name = "nginx", .parse = ParseNginxOptions, .create = CreateNginxGateway},
  };
  return types;
}

}  // namespace autoscale
