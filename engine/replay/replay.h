// Replay: makes a recorded decision again, of what was recorded with it.
#pragma once

#include <string>
#include <vector>

#include "engine/model/decision.h"
#include "engine/model/result.h"
#include "engine/model/snapshot.h"
#include "engine/policy/host.h"
#include "engine/record/record.h"

namespace autoscale {

struct Replayed {
  Proposal proposal;
  Decision decision;
  std::string state;  // the policy's, from then on
};

// Why the record cannot be made again, as far as that can be known before it is tried.
Status CheckReplayable(const DecisionRecord& record);

// Evaluates the policy and decides on what the record says there was. A breaker or a pause lies
// over it as it did then. Needs a record that passed CheckReplayable.
Result<Replayed> Replay(PolicyHost& host, const PolicySource& policy, const Params& params,
                        const DecisionRecord& record);

// One thing that came out otherwise: "proposal.capacity", "7", "9".
struct Difference {
  std::string what;
  std::string recorded;
  std::string replayed;
};

// All that differs, in the order in which it comes about; empty: identical bit for bit.
std::vector<Difference> Compare(const DecisionRecord& record, const Replayed& replayed);

}  // namespace autoscale
