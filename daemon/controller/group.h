// Group: what ticks together.
#pragma once

#include <map>
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
  // One way in which queries of the tick failed.
  struct Fault {
    std::string metric;  // one that met it
    std::string error;
    int64_t queries = 0;
  };
  std::vector<Fault> faults;
  std::vector<Fault> told;                  // what the log was told last; empty: all is well
  std::map<std::string, ToldSeldom> lines;  // by metric
};

}  // namespace autoscale
