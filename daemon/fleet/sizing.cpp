#include "daemon/fleet/sizing.h"

#include <algorithm>
#include <utility>

namespace autoscale {
namespace {

bool IsEnding(const Instance& instance) {
  return instance.state == InstanceState::kStopping || instance.state == InstanceState::kGone;
}

// Those that stay. A rolling update may have more of them for a while than the capacity says.
int CountStaying(const Member& member) {
  return static_cast<int>(
      std::count_if(member.instances.begin(), member.instances.end(),
                    [](const Instance& i) { return Counts(i) && !IsEnding(i); }));
}

// Of the capacity as it is set: what is not about to be given up. For a victim that is asked for
// once more the capacity has fallen before.
int Kept(const Member& member) {
  const auto leaving = static_cast<int>(
      std::count_if(member.instances.begin(), member.instances.end(), [](const Instance& i) {
        return i.phase == InstancePhase::kStopping && !i.asked && !IsEnding(i);
      }));
  const int rest = member.sizing->capacity - CountDraining(member);
  return rest - std::clamp(rest - CountStaying(member), 0, leaving);
}

bool IsOurs(const Member& member) {
  return member.spec->owner != CapacityOwner::kExternal && member.sizing->blocked.empty() &&
         !member.contested;
}

// What it ought to be set to. Instances that may not be taken away, as they are protected, keep it
// up.
int Wanted(const Member& member) {
  if (!member.sizing->abilities.ends_exactly) return member.desired;
  const int staying = std::min(CountStaying(member), Kept(member));
  return std::max(member.desired, staying) + CountDraining(member);
}

bool HasVictims(const Member& member) {
  return member.sizing->abilities.ends_exactly &&
         std::any_of(member.instances.begin(), member.instances.end(), [](const Instance& i) {
           return i.phase == InstancePhase::kStopping && !i.asked;
         });
}

bool HasWish(const Member& member) {
  return IsOurs(member) && !member.sizing->busy &&
         (Wanted(member) != member.sizing->capacity || HasVictims(member));
}

}  // namespace

int CountDraining(const Member& member) {
  return static_cast<int>(std::count_if(
      member.instances.begin(), member.instances.end(),
      [](const Instance& i) { return i.phase == InstancePhase::kDraining && !IsEnding(i); }));
}

bool IsSpared(const Member& member, const Instance& victim) {
  const auto present = std::count_if(member.instances.begin(), member.instances.end(),
                                     [](const Instance& i) { return !IsEnding(i); });
  return !IsEnding(victim) && present <= member.sizing->capacity;
}

int Surplus(const Member& member) {
  if (!IsOurs(member) || !member.sizing->abilities.ends_exactly) return 0;
  return std::min(CountStaying(member), Kept(member)) - member.desired;
}

int Missing(const Member& member) { return member.desired - Kept(member); }

std::optional<CapacityWish> WishFor(const Member& member, TimePoint now) {
  const Sizing& sizing = *member.sizing;
  if (!HasWish(member) || now < sizing.retry_at) return std::nullopt;
  CapacityWish wish{
      .capacity = Wanted(member), .victims = {}, .seen = sizing.capacity, .intent = {}};
  if (!sizing.abilities.ends_exactly) return wish;
  for (const Instance& instance : member.instances) {
    if (instance.phase == InstancePhase::kStopping && !instance.asked) {
      wish.victims.push_back(instance.id);
    }
  }
  return wish;
}

bool HasNewSize(Member& member, TimePoint now) {
  if (!member.sizing || member.rehearsal) return false;
  Sizing& sizing = *member.sizing;
  const auto wish = WishFor(member, now);
  const SizeRow size{.capacity = sizing.capacity,
                     .asked = wish          ? wish->capacity
                              : sizing.ours ? -1
                                            : sizing.wished};
  return std::exchange(sizing.stored, size) != size;
}

bool IsDueToBeSeen(Member& member, TimePoint now) {
  if (!member.sizing || member.sizing->abilities.poll <= Millis(0)) return false;
  Sizing& sizing = *member.sizing;
  if (now < sizing.look_at) return false;
  // At common times, so that many are asked for at once.
  const Millis since = now.time_since_epoch();
  sizing.look_at = TimePoint((since / sizing.abilities.poll + 1) * sizing.abilities.poll);
  return true;
}

std::optional<TimePoint> LookAtSizing(const Member& member) {
  const Sizing& sizing = *member.sizing;
  std::optional<TimePoint> next;
  if (sizing.abilities.poll > Millis(0)) next = sizing.look_at;
  if (HasWish(member)) next = next ? std::min(*next, sizing.retry_at) : sizing.retry_at;
  return next;
}

}  // namespace autoscale
