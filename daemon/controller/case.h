// Case: one service in one tick, on its way from the samples to the decision.
#pragma once

#include "daemon/controller/controller.h"
#include "engine/decision/deal.h"

namespace autoscale {

struct Controller::Case {
  Service* service = nullptr;
  Evaluation evaluation;
  bool new_run = false;  // its proposal is another than the last one
  Conditions conditions;
  // Under these conditions; before Deal without cost and budget, which are shared.
  Decision decision;
  Wish wish;  // of the budget of changes
};

}  // namespace autoscale
