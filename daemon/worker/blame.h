// Blame: which request, if any, the loss of a worker is put down to.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "daemon/worker/process.h"
#include "engine/model/snapshot.h"

namespace autoscale {

// Of one call, in which several workers may be lost.
class Blame {
 public:
  // `running` is the place in the batch of what the lost worker ran.
  std::optional<uint32_t> Find(std::optional<uint32_t> running, Loss loss,
                               std::span<const uint32_t> batch);

 private:
  std::optional<uint32_t> suspect_;  // was running when a worker died
};

// What the one to blame is told; `wall` was its limit.
std::string DescribeLoss(Loss loss, const Snapshot& snapshot, Millis wall);

}  // namespace autoscale
