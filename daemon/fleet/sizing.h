// Sizing: how a target that has a capacity is brought to what is desired, drain by drain.
//
// Its capacity stays `desired` and those that drain; with each one that is drained it falls by one,
// and that one is named as the victim. What is missing is the capacity's affair: the target names
// the instances that follow from it, and they are taken in as they are found.
#pragma once

#include <optional>

#include "daemon/fleet/member.h"

namespace autoscale {

// How many instances that are there have to begin their drain; and how many that drain may be taken
// back. Preconditions of all here: member.sizing.
int Surplus(const Member& member);
int Missing(const Member& member);

// Those that drain and are not gone.
int CountDraining(const Member& member);
// Whether a victim that the target was asked to end is one of those that it keeps: it has no more
// than its capacity, having ended another, or having had it raised again.
bool IsSpared(const Member& member, const Instance& victim);

// What the target is to be asked for now; absent: nothing, or not before retry_at.
std::optional<CapacityWish> WishFor(const Member& member, TimePoint now);

// Whether what is to be stored of the capacity has changed since the last call: what it is known to
// be, and what WishFor says that it is about to be asked for. To be called before that is asked.
bool HasNewSize(Member& member, TimePoint now);

// Whether it is to be observed now, though nothing has happened; the next time follows from it.
bool IsDueToBeSeen(Member& member, TimePoint now);

// When there is something to ask for, or to observe.
std::optional<TimePoint> LookAtSizing(const Member& member);

}  // namespace autoscale
