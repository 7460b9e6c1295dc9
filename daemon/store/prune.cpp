#include "daemon/store/prune.h"

#include <cstdint>
#include <utility>

namespace autoscale {
namespace {

constexpr int kServicesAStep = 5;
constexpr int64_t kDroppedAtOnce = 2000;

}  // namespace

Pruner::Pruner(Database& database, const PruneLimits& limits)
    : database_(database),
      limits_(limits),
      next_service_(database,
                    "SELECT service FROM decisions WHERE service > ? ORDER BY service LIMIT 1"),
      is_known_(database, "SELECT 1 FROM services WHERE name = ?"),
      // Both by the index alone: what is kept is not read.
      find_excess_(database,
                   "SELECT id FROM decisions WHERE service = ? ORDER BY id DESC LIMIT 1 OFFSET ?"),
      drop_to_(database,
               "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE service = ? AND "
               "id <= ? ORDER BY id LIMIT ?)"),
      find_newest_(database, "SELECT at FROM decisions WHERE service = ? ORDER BY id DESC LIMIT 1"),
      drop_oldest_(database,
                   "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions ORDER BY id LIMIT "
                   "?)") {}

Status Pruner::Step(TimePoint now) {
  for (int i = 0; i < kServicesAStep; ++i) {
    Statement& next = next_service_.Reset().Bind(last_);
    auto found = next.Step();
    if (!found) return std::move(found).error();
    last_ = *found ? next.Text() : "";
    next.Reset();
    if (last_.empty()) break;  // from the first again at the next call
    if (auto done = DropOf(last_, now); !done) return done;
  }
  return DropOldest();
}

Status Pruner::DropOf(const std::string& service, TimePoint now) {
  auto known = is_known_.Reset().Bind(service).First();
  if (!known) return std::move(known).error();
  if (*known) {
    auto excess =
        find_excess_.Reset().Bind(service).Bind(int64_t{limits_.kept + limits_.slack}).First();
    if (!excess) return std::move(excess).error();
    if (!*excess) return Ok{};
    auto last = find_excess_.Reset().Bind(service).Bind(int64_t{limits_.kept}).First();
    if (!last) return std::move(last).error();
    return drop_to_.Reset().Bind(service).Bind(**last).Bind(kDroppedAtOnce).Run();
  }
  auto newest = find_newest_.Reset().Bind(service).First();
  if (!newest) return std::move(newest).error();
  if (!*newest || TimePoint(Millis(**newest)) > now - limits_.gone_kept) return Ok{};
  return drop_to_.Reset().Bind(service).Bind(INT64_MAX).Bind(kDroppedAtOnce).Run();
}

Status Pruner::DropOldest() {
  int64_t bytes = 0;
  for (const auto& [sql, sign] :
       {std::pair{"PRAGMA page_count", 1}, {"PRAGMA freelist_count", -1}}) {
    auto pages = database_.ReadInteger(sql);
    if (!pages) return std::move(pages).error();
    bytes += sign * *pages;
  }
  auto page = database_.ReadInteger("PRAGMA page_size");
  if (!page) return std::move(page).error();
  if (bytes * *page <= limits_.bytes) return Ok{};
  return drop_oldest_.Reset().Bind(kDroppedAtOnce).Run();
}

}  // namespace autoscale
