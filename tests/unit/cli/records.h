// Records as the daemon would send them, for the texts made of them.
#pragma once

#include <google/protobuf/util/time_util.h>

#include <string>

#include "autoscale/v1/control.pb.h"
#include "cli/text.h"

namespace autoscale::cli {

// 2026-01-02 03:12:07 UTC, and four seconds later the reader's moment.
inline constexpr int64_t kDecidedAt = 1767323527;
inline Style TestStyle() {
  return {.now = TimePoint(std::chrono::seconds(kDecidedAt + 4)), .width = 100};
}

inline void SetTime(google::protobuf::Timestamp* out, int64_t millis_after_decision) {
  *out = google::protobuf::util::TimeUtil::MillisecondsToTimestamp(kDecidedAt * 1000 +
                                                                   millis_after_decision);
}

inline v1::Metric* AddMetric(v1::Record& record, const std::string& name, v1::Unit unit,
                             v1::SampleState state, double value) {
  v1::Metric* metric = record.add_metrics();
  metric->set_name(name);
  metric->set_unit(unit);
  metric->set_state(state);
  metric->set_value(value);
  return metric;
}

inline void AddStage(v1::Record& record, const std::string& name, int before, int after,
                     const std::string& reason) {
  v1::Stage* stage = record.add_stages();
  stage->set_name(name);
  stage->set_before(before);
  stage->set_after(after);
  stage->set_reason(reason);
}

// web stays at 2; each test changes what it is about.
inline v1::Record HeldRecord(v1::HoldCause cause, const std::string& reason) {
  v1::Record record;
  record.set_service("web");
  SetTime(record.mutable_at(), 0);
  record.mutable_capacity()->set_desired(2);
  record.mutable_capacity()->set_ready(2);
  record.mutable_bounds()->set_min(1);
  record.mutable_bounds()->set_max(8);
  record.set_policy("/etc/autoscaled/policies/web.lua");
  record.mutable_proposal()->set_kind(v1::PROPOSAL_KIND_HOLD);
  record.mutable_proposal()->set_cause(cause);
  record.mutable_proposal()->set_capacity(2);
  record.mutable_proposal()->set_reason(reason);
  record.mutable_proposal()->set_at("web.lua:7");
  record.mutable_decision()->set_before(2);
  record.mutable_decision()->set_desired(2);
  record.mutable_decision()->set_reason(reason);
  for (const char* name : {"stabilization", "rate", "cooldown", "bounds"}) {
    AddStage(record, name, 2, 2, "");
  }
  return record;
}

}  // namespace autoscale::cli
