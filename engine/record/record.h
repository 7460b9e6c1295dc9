// DecisionRecord: one decision with everything that led to it and what came of it, as `explain` and
// `history` show it and the store keeps it.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/decision.h"
#include "engine/model/result.h"
#include "engine/record/inputs.h"

namespace autoscale {

struct NamedSample {
  std::string name;
  Unit unit = Unit::kRatio;
  Sample sample;
  bool spread = false;  // as DeclaredMetric::spread
};

// Something that was done because of the decision, or observed of it: "started i-7 at
// 127.0.0.1:20003", "gateway edge confirmed list 3.14 in 2 ms".
struct ActionRecord {
  TimePoint at;
  std::string text;
};

struct DecisionRecord {
  int64_t id = 0;  // rising over all services; 0: not stored because nothing changed
  std::string service;
  TimePoint at;
  bool dry_run = false;
  bool paused = false;
  Capacity capacity;  // when the tick began
  Bounds bounds;
  std::vector<NamedSample> samples;
  std::string policy;  // path of the policy file
  Proposal proposal;
  Decision decision;
  std::vector<ActionRecord> actions;  // oldest first
  // What it was made of; stored beside the record. Null: nothing was decided, or an older version
  // stored it.
  std::shared_ptr<const DecisionInputs> inputs;
};

// Proposal, stages and decision as `policy eval` prints them:
// {"proposal":{"kind","capacity","reason","at","cause"},"decision":{"before","desired","reason"},
//  "stages":[{"name","before","after","reason"}]}.
nlohmann::json ToJson(const Proposal& proposal);
nlohmann::json ToJson(const Decision& decision);
nlohmann::json StagesToJson(const Decision& decision);

// The whole record but its inputs; FromJson refuses text that ToJson did not write, with a sentence
// saying where.
nlohmann::json ToJson(const DecisionRecord& record);
Result<DecisionRecord> RecordFromJson(std::string_view text);

}  // namespace autoscale
