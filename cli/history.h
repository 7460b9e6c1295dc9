// The text of `history`. Pure.
#pragma once

#include <string>

#include "autoscale/v1/control.pb.h"
#include "cli/text.h"

namespace autoscale::cli {

std::string RenderHistory(const v1::HistoryResponse& history, const Style& style);

}  // namespace autoscale::cli
