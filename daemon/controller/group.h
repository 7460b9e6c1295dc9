// Group: what ticks together.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/controller/controller.h"

namespace autoscale {

// Services of one interval, their queries, and the tick under way.
struct Controller::Group {
  Millis interval{0};
  TimePoint next;
  std::vector<Service*> services;
  std::vector<PlannedQuery> plan;
  // Of the tick under way, parallel to services; null: not part of it.
  std::vector<const Member*> members;

  bool running = false;
  uint64_t round = 0;  // of the tick under way: an answer that comes later than its tick is dropped
  TimePoint deadline;
  size_t outstanding = 0;
  std::vector<std::optional<Result<Answer>>> answers;  // parallel to plan
  size_t failed = 0;                                   // queries of the tick
  std::string error;                                   // of the last of them
  std::string told;  // what the log was told last; empty: all is well
};

}  // namespace autoscale
