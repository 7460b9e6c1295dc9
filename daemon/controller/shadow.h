// Shadow: a policy that is tried beside a service's live one, on the same snapshots, and never
// acts. Its policy sees the real capacity; what its decisions have come to, its state, windows and
// cooldowns are its own, as if it had acted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/spec.h"
#include "daemon/controller/service.h"
#include "daemon/store/store.h"
#include "daemon/telemetry/telemetry.h"
#include "daemon/view.h"
#include "engine/decision/project.h"
#include "engine/policy/evaluator.h"

namespace autoscale {

class Shadow {
 public:
  // Goes on with `row` where that is of the same policies and parameters, else begins anew.
  Shadow(const ServiceSpec& spec, const ShadowRow* row, TimePoint now);

  // Which policies and parameters are compared: with others the comparison begins anew.
  static uint64_t IdentityOf(const ServiceSpec& spec);
  [[nodiscard]] uint64_t identity() const { return row_.identity; }

  // What is to be evaluated for it; refers to the service and to this.
  [[nodiscard]] EvaluationRequest Request(const Service& service) const;
  // Decides on the evaluation as the service just did on its own, and keeps account of both; `ask`
  // evaluates its policy once more.
  void Decide(const Service& service, Evaluation evaluation, TimePoint now, const AskPolicy& ask);

  // The row, when what is stored of it is older than a minute, or `now` is absent, and not the
  // same.
  std::optional<ShadowRow> TakeRow(std::optional<TimePoint> now);
  void Gauge(ServiceGauges& gauges) const;
  [[nodiscard]] ShadowView View(const Service& service) const;

 private:
  void Account(const Decision& live, const Decision& other, TimePoint now);

  ShadowRow row_;
  bool agreed_ = true;  // in the tick before
  bool dirty_ = true;
  TimePoint stored_at_;
};

}  // namespace autoscale
