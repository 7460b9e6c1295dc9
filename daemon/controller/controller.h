// Controller: the tick, and what people ask of the daemon.
//
// collect -> evaluate -> decide -> journal -> reconcile -> publish, on one thread that passes
// values. Services of one interval tick together. A tick waits for its answers without blocking the
// others: it ends when they are in, or at its deadline.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "config/loader.h"
#include "daemon/api/control_surface.h"
#include "daemon/controller/service.h"
#include "daemon/courier.h"
#include "daemon/fleet/fleet.h"
#include "daemon/metrics/collect.h"
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
  Fleet& fleet;
  Counters& counters;
  Millis query_timeout{5000};
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
  Result<std::vector<DecisionRecord>> History(const std::string& service, int limit) override;
  Status Pause(const std::string& service, const std::string& reason) override;
  Status Resume(const std::string& service) override;
  Result<ReloadReport> Reload() override;

  // For telemetry; on any thread but the tick thread. Empty when the tick thread does not answer in
  // time.
  std::vector<ServiceGauges> Gauges();
  std::string Unready();    // what it still waits for; empty: it is deciding
  std::string Unhealthy();  // what is wrong with the daemon itself; empty: nothing

 private:
  struct Group;
  struct Case;

  // The tick, stage by stage.
  void Begin(Group& group, TimePoint now);  // collect: ask
  [[nodiscard]] bool IsComplete(const Group& group, TimePoint now) const;
  std::vector<Case> Collect(Group& group, TimePoint now);  // collect: samples
  void Distribute(Group& group, size_t query, TimePoint now);
  void Evaluate(std::vector<Case>& cases, TimePoint now);
  void Decide(Case& one, TimePoint now);
  void Journal(TimePoint now);  // then reconcile and publish
  void Conclude();

  void Apply(Service& service, int delta, TimePoint now);
  void Keep(Service& service, bool gather);
  void KeepEvent(Service& service, const std::string& text);
  void Close(Service& service);
  void TellOutage(Group& group);
  void Regroup(TimePoint now);
  void Put(std::shared_ptr<const ServiceSpec> spec, const ServiceRow* row,
           std::vector<InstanceRow> instances);
  ReloadReport Replace(std::vector<ServiceSpec> specs);
  Service* FindService(const std::string& name);
  [[nodiscard]] std::optional<Error> FindUnknownGateway(
      const std::vector<ServiceSpec>& specs) const;
  [[nodiscard]] Error NoSuchService(const std::string& name) const;
  [[nodiscard]] ServiceView ViewOf(const Service& service) const;
  Result<DecisionRecord> ReadLast(const std::string& service);
  Status SetPaused(const std::string& service, bool paused, const std::string& reason);

  // Runs the function on the tick thread and waits a bounded time for its result.
  template <typename T>
  Result<T> OnTickThread(std::function<Result<T>()> function);

  ControllerOptions options_;
  std::vector<std::unique_ptr<Service>> services_;  // by name
  std::unordered_map<std::string, Service*> by_name_;
  std::vector<std::unique_ptr<Group>> groups_;
  uint64_t generation_ = 0;  // of groups_: answers of an older one are dropped
  int64_t last_decision_ = 0;
  StoreBatch batch_;  // what has changed and is not stored yet; nothing is acted on before
  TimePoint store_retry_;
  std::string store_problem_;
  std::unordered_set<Service*> open_;  // services with an open decision
  TimePoint next_prune_;
  bool ticked_ = false;
};

}  // namespace autoscale
