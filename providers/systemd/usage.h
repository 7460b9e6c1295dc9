// What the units of instances use, asked of their managers.
#pragma once

#include <functional>
#include <vector>

#include "providers/provider.h"
#include "providers/systemd/unit_bus.h"

namespace autoscale {

// One instance and whom to ask of its unit.
struct UsageQuestion {
  UnitBus* bus = nullptr;
  std::string unit;
  InstanceUsage usage;  // with its names; the numbers are filled in
};

// Asks all at once; `done` is called once all are answered, with those of whom anything is known.
// On the loop's thread; not before it returned, unless there is nothing to ask.
void AskForUsage(std::vector<UsageQuestion> questions,
                 std::function<void(std::vector<InstanceUsage>)> done);

}  // namespace autoscale
