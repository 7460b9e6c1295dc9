// `shadow` for people.
#pragma once

#include <string>

#include "autoscale/v1/control.pb.h"
#include "cli/text.h"

namespace autoscale::cli {

std::string RenderShadow(const v1::Shadow& shadow, const Style& style);

}  // namespace autoscale::cli
