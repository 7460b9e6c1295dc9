// Reconcile: from the rows and what is observed to the next phases. Level-triggered: it asks what
// is, never what happened, so that kill -9 is just another tick.
#pragma once

#include <functional>
#include <string>

#include "daemon/fleet/member.h"

namespace autoscale {

enum class NoteKind {
  kNews,
  kTrouble,  // a warning in the log: somebody may have to look
};

struct ReconcileContext {
  TimePoint now;
  std::function<std::string(const Member&)> new_id;
  // One line about what happened to the service, for `explain` and the log.
  std::function<void(const Member&, NoteKind, std::string)> note;
  std::function<void(const Member&)> lost;  // a serving instance ended by itself
  bool frozen = false;                      // no phase goes on but to follow `desired`
};

// Changes the member's phases and its list, and puts what must be stored into the batch. Calls
// nobody: the effects follow from the new phases once the batch is committed.
// Precondition: member.observed.
void Reconcile(Member& member, const ReconcileContext& context, StoreBatch& batch);

// Takes over what the provider reports of one instance.
void TakeObservation(Member& member, const ObservedInstance& observed, TimePoint now);

// Takes over a state, once the one before has proven what it could.
void TakeState(Instance& instance, InstanceState state, TimePoint now);
void Prove(Instance& instance, TimePoint now);

// One that was stored: how it was checked before is not known, how long it has served is.
void TakeUp(Instance& instance, TimePoint now);

// The provider accepted the launch: kRequested -> kStarting, with its deadline.
void MarkLaunched(Instance& instance, const ServiceSpec& spec, TimePoint now);

// While the breaker is open one start is tried so often, also over restarts of the daemon.
inline constexpr Millis kProbeEvery = std::chrono::minutes(5);

// A start or stop has failed; too many in a row open the breaker.
void CountFailure(Member& member, TimePoint now, std::string why);

// A start has failed: the next one waits, twice as long each time (0.5 s to a minute), and while
// the breaker is open five minutes.
void BackOff(Member& member, TimePoint now, std::string why);

// Somebody else has changed a capacity that is ours ("from 3 to 7"): it is set back later each
// time, and when that has happened too often, not any more. Precondition: member.sizing.
void CountContest(Member& member, TimePoint now, const std::string& change);

// What failed is over: it is acted on at once. A breaker that contests opened stays open.
void EndRowOfFailures(Member& member);

// Acts again at once, as if nothing had failed and nobody had contested anything.
void CloseBreaker(Member& member);

// When the member must be looked at again though nothing is reported; absent: it is as it should
// be.
std::optional<TimePoint> NextLook(const Member& member, TimePoint now);

}  // namespace autoscale
