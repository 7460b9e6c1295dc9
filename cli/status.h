// The text of `status`. Pure.
#pragma once

#include <string>

#include "autoscale/v1/control.pb.h"
#include "cli/text.h"

namespace autoscale::cli {

std::string RenderServices(const v1::GetServicesResponse& services, const Style& style);
// One service with its instances and gateways.
std::string RenderService(const v1::Service& service, const Style& style);

}  // namespace autoscale::cli
