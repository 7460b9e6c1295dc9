// The text of `explain`: one decision, for a person at three in the morning. Pure.
#pragma once

#include <string>

#include "autoscale/v1/control.pb.h"
#include "cli/text.h"

namespace autoscale::cli {

std::string RenderExplain(const v1::Record& record, const Style& style);

}  // namespace autoscale::cli
