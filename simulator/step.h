// Step: one evaluation to a decision, as the daemon makes it: judge the samples, evaluate the
// policy, decide. Everything that replays or tries a decision does it here.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/spec.h"
#include "engine/decision/decide.h"
#include "engine/decision/history.h"
#include "engine/model/decision.h"
#include "engine/model/metric.h"
#include "engine/model/snapshot.h"
#include "engine/policy/host.h"

namespace autoscale {

// What the daemon knows of one service when a tick begins.
struct StepInput {
  TimePoint now;
  Capacity capacity;
  std::map<std::string, Sample> metrics;  // as collected, not judged; one that is absent is empty
  History history;                        // before this tick
  std::string state;                      // the policy's, as encoded; empty: none yet
  Conditions conditions;                  // what stands beside the proposal
};

struct StepOutcome {
  std::vector<Sample> samples;  // judged; parallel to the service's declared metrics
  Proposal proposal;
  Conditions conditions;  // under which it was decided: errors, projections
  Decision decision;
  History history;    // with this proposal, and with the change if there is one
  std::string state;  // the policy's, from now on
};

// A faulty policy is a hold with cause kFault, as in the daemon.
StepOutcome Step(PolicyHost& host, const ServiceSpec& service, StepInput input);

}  // namespace autoscale
