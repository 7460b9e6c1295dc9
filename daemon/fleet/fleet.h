// Fleet: all members, their reconciliation, and the calls out that follow from it.
//
// Tick thread only. Calls out run on the loop's thread and their answers come back as tasks of the
// tick thread; an answer for a member that has gone meanwhile is dropped.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "daemon/courier.h"
#include "daemon/fleet/member.h"
#include "daemon/fleet/reconcile.h"
#include "daemon/telemetry/telemetry.h"
#include "daemon/view.h"

namespace autoscale {

// The adapters by name, as main composed them. A service in dry run gets the ones that record.
struct Adapters {
  std::map<std::string, Provider*> providers;  // by type
  std::map<std::string, Gateway*> gateways;    // by configured name
};

struct FleetOptions {
  Courier& courier;
  const Clock& clock;
  Adapters live;
  Adapters recording;
  Counters& counters;
  uint64_t epoch = 1;
  int failures_allowed = 10;  // actions of a service in a row; as many open its breaker
  // One line of what happened to a service (empty: to all); called on the tick thread.
  std::function<void(const std::string& service, std::string text)> note;
};

class Fleet {
 public:
  explicit Fleet(FleetOptions options);
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Takes in a service, with the rows stored of it, or gives a present one a new specification.
  // The provider is asked what exists; until it has answered the member is not observed.
  // `desired` absent: nothing is stored of it, and what is found is its capacity.
  void Put(std::shared_ptr<const ServiceSpec> spec, std::optional<int> desired,
           std::vector<InstanceRow> rows);
  // Whether the gateway was there when the daemon was put together.
  [[nodiscard]] bool HasGateway(const std::string& gateway) const {
    return options_.live.gateways.contains(gateway);
  }
  [[nodiscard]] bool HasProvider(const std::string& type) const {
    return options_.live.providers.contains(type);
  }
  // Drains and stops its instances, empties its lists, then forgets it.
  void Remove(const std::string& service);
  // Who publishes the upstream, be it a service that is leaving; empty: nobody.
  [[nodiscard]] std::string OwnerOf(const std::string& gateway, const std::string& upstream) const;
  // A breaker as it was stored; after Put.
  void RestoreBreaker(const std::string& service, const ServiceRow& row);
  // What was known of its target's capacity before the start; after Put.
  void RestoreSize(const std::string& service, const SizeRow& size);
  void CloseBreaker(const std::string& service);
  // No scale-in takes the instance away until then; in the past: from now on any may. kNotFound
  // when there is none of that name, kConflict when it leaves already. Stored by the next
  // Reconcile.
  Status Protect(const std::string& service, const std::string& id, TimePoint until,
                 const std::string& reason);
  // Whoever has taken over its lists may not have published yet: drains last to the bound.
  void DrainBlindly(const std::string& service);
  [[nodiscard]] const Member* Find(const std::string& service) const;

  // A member in rehearsal goes back to what is observed: it recommends from there on each tick.
  void Anchor(const std::string& service);
  void SetDesired(const std::string& service, int desired);
  // A provider that watches saw an instance change.
  void OnInstance(const std::string& service, const ObservedInstance& observed);
  // Whether the service is at this provider now: it may have moved away from one that still
  // reports.
  [[nodiscard]] bool IsAt(const std::string& service, const std::string& provider) const;
  // A provider that watches saw a target change that has a capacity.
  void OnTarget(const Observation& observation);

  // Nothing ran between the two: patience with instances that began before goes on where it was,
  // and all is observed anew.
  void Forgive(TimePoint from, TimePoint to);

  // Reconciles every member that something happened to, or whose time has come; what must be stored
  // goes into the batch.
  void Reconcile(TimePoint now, StoreBatch& batch);
  // While frozen a phase that nobody has acted on does not go on to the next: a drain that was
  // never begun does not end, and can be taken back. For as long as batches cannot be committed.
  void Freeze(bool frozen);
  // Makes the calls that follow. Only after the batch was committed.
  void Act(TimePoint now);
  // While frozen: publishes lists that only lost who fails or is gone.
  void PublishLosses(TimePoint now);
  // When to reconcile next though nothing is reported.
  [[nodiscard]] std::optional<TimePoint> NextLook(TimePoint now) const;
  // Whether the member is as it ought to be: instances, lists and all.
  [[nodiscard]] bool IsSettled(const std::string& service) const;

  // The removed services that are finished since the last call.
  std::vector<std::string> TakeLeft();
  // The services whose breaker has opened or closed since the last call.
  std::vector<std::string> TakeBreakers();

  // The services of which Sizing::stored has changed since the last call: to be stored before Act.
  std::vector<std::string> TakeSizes();

  // Adds what the fleet knows to a view of the service.
  void Describe(const std::string& service, ServiceView& view) const;

 private:
  struct Channel;  // one gateway, shared by all its links

  Member* FindMember(const std::string& service);
  void Touch(const std::string& service) { touched_.insert(service); }
  void Observe(const std::vector<Member*>& members);
  void TakeObservations(const std::vector<TargetRef>& asked, TimePoint sent,
                        const Result<std::vector<Observation>>& answer);
  void TakeTarget(const Observation& observation, TimePoint sent);
  bool TakeSizing(Member& member, const Observation& observation, TimePoint sent);
  void BeginSizing(Member& member, int capacity, TimePoint sent);
  void TakeHeld(Member& member, TimePoint sent);
  void TakeShortage(Member& member, const Observation& observation);
  void TakeFault(Member& member, const Observation& observation);
  void TakeChange(Member& member, int capacity);
  static int CountFound(const Member& member);
  void KeepFound(Member& member, size_t found);
  void BuildLinks(Member& member, std::vector<Link> old_links);
  void DropLinks(const Member& member, const std::vector<Link>& links);
  void Launch(Member& member, TimePoint now);
  void Settle(Member& member);
  void TakeLaunch(const std::string& service, const std::vector<std::string>& ids,
                  const std::vector<Status>& answers);
  void Terminate(Member& member, TimePoint now);
  [[nodiscard]] bool HasLeft(const Member& member) const;
  void TakeTermination(const std::string& service, const std::vector<std::string>& ids,
                       const std::vector<Status>& answers);
  void Resize(Member& member, TimePoint now);
  void TakeResize(const std::string& service, const CapacityWish& wish, const Status& answer);
  void PublishDue(Member& member, TimePoint now);
  void Publish(Member& member, size_t link, TimePoint now);
  void TakeConfirmation(Member& member, Link& link, uint64_t sequence, TimePoint sent,
                        const Status& status);
  void Inspect(TimePoint now);
  void TakeInspection(Channel& channel, TimePoint sent,
                      const Result<std::vector<UpstreamStatus>>& answer);
  void TakeStatus(Member& member, Link& link, const UpstreamStatus& status, TimePoint sent);
  void Watch(const Member& member, TimePoint now);
  void Note(const Member& member, std::string text);

  FleetOptions options_;
  std::unordered_map<std::string, std::unique_ptr<Member>> members_;
  std::unordered_set<std::string> touched_;             // reconciled at the next opportunity
  std::unordered_map<std::string, TimePoint> waiting_;  // reconciled at that time
  std::unordered_set<std::string> to_act_;
  std::unordered_set<std::string> to_watch_;  // with draining instances: gateways are asked often
  std::vector<std::string> left_;
  std::vector<std::string> breakers_;
  std::vector<std::string> sizes_;
  std::map<std::pair<std::string, bool>, std::unique_ptr<Channel>>
      channels_;  // by name and rehearsal
  bool frozen_ = false;
  uint64_t last_id_ = 0;
  uint64_t last_sizing_ = 0;
  TimePoint next_resync_;
};

}  // namespace autoscale
