#include "daemon/worker/blame.h"

#include "engine/policy/host.h"

namespace autoscale {

std::optional<uint32_t> Blame::Find(std::optional<uint32_t> running, Loss loss,
                                    std::span<const uint32_t> batch) {
  if (!running || *running >= batch.size()) return std::nullopt;
  if (loss != Loss::kHung && loss != Loss::kDied) return std::nullopt;
  const uint32_t index = batch[*running];
  if (loss == Loss::kHung) return index;
  // It may have been killed from outside: only who runs when it dies again is to blame.
  if (suspect_ == index) return index;
  suspect_ = index;
  return std::nullopt;
}

std::string DescribeLoss(Loss loss, const Snapshot& snapshot, Millis wall) {
  if (loss != Loss::kHung) return "the process running it crashed, twice";
  const LimitName name("wall", snapshot.limits.wall.has_value(), snapshot.service);
  return "did not come back within " + std::to_string(wall.count()) +
         " ms, and the process running it was killed (" + name.text + ")";
}

}  // namespace autoscale
