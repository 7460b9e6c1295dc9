// Controller: the tick, and what people ask of the daemon.
//
// collect -> evaluate -> decide -> journal -> reconcile -> publish, on one thread that passes
// values. Services of one interval tick together. A tick waits for its answers without blocking the
// others: it ends when they are in, or at its deadline.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "config/loader.h"
#include "daemon/api/control_surface.h"
#include "daemon/controller/ledger.h"
#include "daemon/controller/service.h"
#include "daemon/courier.h"
#include "daemon/fleet/fleet.h"
#include "daemon/metrics/collect.h"
#include "daemon/metrics/derived.h"
#include "daemon/metrics/plan.h"
#include "daemon/metrics/source.h"
#include "daemon/store/store.h"
#include "daemon/telemetry/telemetry.h"
#include "engine/policy/evaluator.h"

namespace autoscale {

struct ControllerOptions {
  const Clock& clock;
  Courier& courier;
  Evaluator& evaluator;
  Store& store;
  MetricSource& metrics;
  ModelSource* models = nullptr;  // for predicted metrics
  Fleet& fleet;
  Counters& counters;
  Millis query_timeout{5000};
  bool dry_run = false;           // of the whole daemon: nothing is acted on
  PolicyLimits policy_limits;     // those of the evaluator
  int changes_per_minute = 1000;  // instances that decisions may add or remove, over all services
  double cost_per_hour = 0;       // of all instances, beyond which none is added; 0: any
  // Loads and checks the configuration anew; called on the thread that asks for a reload.
  std::function<LoadResult()> load;
};

class Controller final : public ControlSurface {
 public:
  explicit Controller(ControllerOptions options);
  ~Controller() override;

  // Takes up the services with what is stored of them. Once, before the first Step.
  Status Start(const std::vector<ServiceSpec>& services);

  // One pass over all that is due; the tick thread calls it whenever something has arrived, and at
  // the latest after Patience().
  void Step();
  [[nodiscard]] Millis Patience() const;

  // Stores what is still open; the last call before the end.
  void Finish();

  // Something that happened to a service, for its decision's record and the log. Tick thread.
  void Note(const std::string& service, std::string text);

  // ControlSurface; on any thread but the tick thread.
  Result<std::vector<ServiceView>> ReadServices(std::optional<std::string> service) override;
  Result<DecisionRecord> Explain(const std::string& service) override;
  Result<DecisionRecord> ExplainDecision(int64_t id) override;
  Result<DecisionRecord> Inputs(const std::string& service) override;
  Result<DecisionRecord> InputsOfDecision(int64_t id) override;
  Result<ShadowView> ReadShadow(const std::string& service) override;
  Result<std::vector<DecisionRecord>> History(const std::string& service, int limit) override;
  Status Pause(const std::string& service, const std::string& reason) override;
  Status Resume(const std::string& service) override;
  Status Protect(const std::string& service, const std::string& instance,
                 std::optional<Millis> duration, const std::string& reason) override;
  Result<ReloadReport> Reload(bool may_remove_all) override;

  // For telemetry; on any thread but the tick thread. Empty when the tick thread does not answer in
  // time.
  std::vector<ServiceGauges> Gauges();
  std::string Unready();    // what it still waits for; empty: it is deciding
  std::string Unhealthy();  // what is wrong with the daemon itself; empty: nothing

 private:
  struct Group;
  struct Case;
  struct StoredService {
    ServiceRow row;
    std::vector<InstanceRow> instances;
  };

  // What is known of a service before it is given another specification.
  struct Former {
    TargetRow target;
    bool acts = false;  // it is acted on now, not only stored
    bool has_capacity = false;
    int instances = 0;
  };

  // The tick, stage by stage.
  [[nodiscard]] std::vector<Group*> CompleteGroups(TimePoint now) const;
  void Begin(Group& group, TimePoint now);  // collect: ask
  [[nodiscard]] bool IsComplete(const Group& group, TimePoint now) const;
  std::vector<Case> Collect(Group& group, TimePoint now);  // collect: samples
  void Distribute(Group& group, size_t query, TimePoint now);
  // All of these; false: it took so long that nobody acts on it.
  bool Work(Group& group, TimePoint now);
  void Evaluate(std::vector<Case>& cases, TimePoint now);
  void Foresee(std::vector<Case>& cases, TimePoint now);  // ask again before a scale-in
  void Deal(std::vector<Case>& cases, TimePoint now);     // share what is left of the budgets
  void Settle(Case& one, TimePoint now);                  // decide
  void Journal(TimePoint now);                            // then reconcile and publish
  void TryShadows(const std::vector<Service*>& services, TimePoint now);
  void PutShadow(Service& service, const ShadowRow* row);
  void StoreShadows();
  void Conclude();
  void SkipGap(TimePoint now);

  static void Decide(Case& one, TimePoint now);
  [[nodiscard]] bool IsHeld(const Service& service) const;
  [[nodiscard]] double CostLeft() const;
  void UndoUnstored(Service& service);
  void DealCost(std::vector<Case>& cases, TimePoint now);
  void DealChanges(std::vector<Case>& cases, TimePoint now);
  static void Await(Service& service, Wish wish, TimePoint now);
  void OverrideAll(Service& service);
  void Apply(Service& service, int delta, TimePoint now);
  void Keep(Service& service, bool gather);
  void KeepEvent(Service& service, const std::string& text);
  void Close(Service& service);
  void StoreActions();
  void TakeBreakers();
  void TakeSizes();
  void TellStore(const std::string& problem);
  static void NoteFault(Group& group, const std::string& metric, const std::string& error);
  static void TellOutage(Group& group, TimePoint now);
  static void TellSamples(Service& service, TimePoint now);
  void Regroup(TimePoint now);
  void Put(std::shared_ptr<const ServiceSpec> spec, const ServiceRow* row,
           std::vector<InstanceRow> instances);
  void TakeUp(std::shared_ptr<const ServiceSpec> spec, StoredService stored, TimePoint now);
  void TakeUpRemoval(const ServiceRow& row, std::vector<InstanceRow> instances);
  void FinishLeaving(ServiceSpec spec, std::vector<InstanceRow> instances);
  void DropUpstreams(const ServiceSpec& before, const ServiceSpec& now);
  void Leave(const ServiceSpec& spec, const ServiceRow& row);
  void Replace(ServiceSpec spec, ReloadReport& report);
  Result<ReloadReport> ReplaceAll(std::vector<ServiceSpec> specs, bool may_remove_all);
  Service* FindService(const std::string& name);
  bool TakeTarget(Service& service);
  Result<Former> FindFormer(const std::string& service) const;
  Status RefuseMoves(const std::vector<ServiceSpec>& specs) const;
  [[nodiscard]] std::optional<Error> FindUnknownAdapter(
      const std::vector<ServiceSpec>& specs) const;
  [[nodiscard]] std::optional<Error> FindTakenUpstream(const std::vector<ServiceSpec>& specs) const;
  [[nodiscard]] Error NoSuchService(const std::string& name) const;
  [[nodiscard]] ServiceView ViewOf(const Service& service) const;
  Result<DecisionRecord> ReadLast(const std::string& service);
  Result<DecisionRecord> ReadById(int64_t id);
  [[nodiscard]] Error NotStoredYet() const;
  Status SetPaused(const std::string& service, bool paused, const std::string& reason);

  // Runs the function on the tick thread and waits a bounded time for its result.
  template <typename T>
  Result<T> OnTickThread(std::function<Result<T>()> function);

  ControllerOptions options_;
  std::vector<std::unique_ptr<Service>> services_;  // by name
  std::unordered_map<std::string, Service*> by_name_;
  std::map<std::string, StoredService> absent_;  // stored, and not configured: by name
  std::map<std::string, ServiceRow> leaving_;    // removed, and not gone yet: by name
  std::vector<std::unique_ptr<Group>> groups_;
  uint64_t generation_ = 0;  // of groups_: answers of an older one are dropped
  int64_t last_decision_ = 0;
  StoreBatch batch_;  // what has changed and is not stored yet; nothing is acted on before
  TimePoint store_retry_;
  std::string store_problem_, store_told_;
  ChangeLedger ledger_;
  DerivedMetrics derived_;
  std::unordered_set<Service*> open_;   // services with an open decision
  std::unordered_set<Service*> noted_;  // those of them with actions that are not stored yet
  TimePoint next_tidy_;
  bool ticked_ = false;
  std::mutex reloading_;                 // held by the thread that reloads
  std::optional<TimePoint> idle_since_;  // when the last pass ended
};

}  // namespace autoscale
