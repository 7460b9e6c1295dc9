#include "gateways/gateway.h"
#include "gateways/nginx/nginx_gateway.h"

namespace autoscale {

const std::vector<GatewayType>& GatewayTypes() {
  static const std::vector<GatewayType> types = {
      {.name = "nginx", .parse = ParseNginxOptions, .create = CreateNginxGateway},
  };
  return types;
}

}  // namespace autoscale
