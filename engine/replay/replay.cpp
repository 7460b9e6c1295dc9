#include "engine/replay/replay.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/decision/decide.h"
#include "engine/decision/override.h"
#include "engine/decision/project.h"
#include "engine/model/text.h"

namespace autoscale {
namespace {

using nlohmann::json;

// As what came of an evaluation reads after its way from the worker process to the record.
constexpr size_t kLongestReason = 1000;

Proposal AsRecorded(Proposal proposal) {
  proposal.reason = OneLine(proposal.reason, kLongestReason);
  proposal.at = OneLine(proposal.at, kLongestReason);
  return proposal;
}

std::string Shown(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void CompareMembers(const std::string& where, const json& recorded, const json& replayed,
                    std::vector<Difference>& out) {
  for (const auto& [key, value] : recorded.items()) {
    if (value != replayed.at(key)) {
      out.push_back({where + key, Shown(value), Shown(replayed.at(key))});
    }
  }
}

std::string InWords(const json& stage) {
  std::string text = Shown(stage.at("before")) + " -> " + Shown(stage.at("after"));
  const std::string reason = Shown(stage.at("reason"));
  return reason.empty() ? text : text + " (" + reason + ")";
}

// Each stage by its name: another policy may pass through others.
void CompareStages(const json& recorded, const json& replayed, std::vector<Difference>& out) {
  std::vector<std::string> names;
  const auto find = [](const json& stages, const std::string& name) -> std::string {
    for (const json& stage : stages) {
      if (stage.at("name") == name) return InWords(stage);
    }
    return "not reached";
  };
  for (const json* stages : {&recorded, &replayed}) {
    for (const json& stage : *stages) {
      const auto name = stage.at("name").get<std::string>();
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  const size_t known = out.size();
  for (const std::string& name : names) {
    std::string before = find(recorded, name);
    std::string after = find(replayed, name);
    if (before != after) out.push_back({name, std::move(before), std::move(after)});
  }
  if (out.size() == known && recorded != replayed) {
    out.push_back({"stages", recorded.dump(), replayed.dump()});
  }
}

}  // namespace

Status CheckReplayable(const DecisionRecord& record) {
  const auto refuse = [](std::string why) {
    return Error{ErrorKind::kInvalid, "cannot be replayed: " + std::move(why)};
  };
  if (!record.inputs) {
    return refuse(record.proposal.at.empty() && record.decision.stages.empty()
                      ? "nothing was decided, something happened; or it was stored by an older "
                        "version"
                      : "stored by an older version, without its inputs");
  }
  if (record.inputs->outside) {
    return refuse("no evaluation led to it: " + record.proposal.reason);
  }
  const Basis& basis = record.inputs->basis;
  if (!basis.policy || !basis.params || !basis.rules) {
    return refuse("what it depends on is not stored any more");
  }
  return Ok{};
}

Result<Replayed> Replay(PolicyHost& host, const PolicySource& policy, const Params& params,
                        const DecisionRecord& record) {
  const DecisionInputs& inputs = *record.inputs;
  const ScalingRules& rules = *inputs.basis.rules;
  auto history = History::Decode(inputs.history);
  if (!history) return std::move(history).error();
  std::vector<DeclaredMetric> declared;
  std::vector<Sample> samples;
  for (const NamedSample& named : record.samples) {
    declared.push_back({.name = named.name, .unit = named.unit, .spread = named.spread});
    samples.push_back(named.sample);
  }
  const Snapshot snapshot{.service = record.service,
                          .now = record.at,
                          .capacity = record.capacity,
                          .bounds = rules.bounds,
                          .metrics = declared,
                          .samples = samples,
                          .params = &params,
                          .zones = inputs.basis.zones,
                          .state = inputs.state,
                          .limits = inputs.basis.own_limits};
  Evaluation evaluation = host.Evaluate(policy, snapshot);
  Replayed out;
  out.proposal = AsRecorded(std::move(evaluation.proposal));
  out.state = evaluation.state ? *std::move(evaluation.state) : inputs.state;
  history->AddProposal(record.at, out.proposal.capacity);
  if (&policy == inputs.basis.policy.get() && params == *inputs.basis.params) {
    out.decision =
        Decide(rules, out.proposal, record.capacity, record.at, *history, inputs.conditions);
  } else {  // what the recorded policy would have said after a scale-in is not what this one would
    Conditions conditions = inputs.conditions;
    out.decision = DecideWithProjections(
        rules, out.proposal, snapshot, *history, conditions,
        [&](const Snapshot& then) { return AnswerOf(host.Evaluate(policy, then)); });
  }
  for (const StageRecord& stage : record.decision.stages) {
    if (stage.name != kBreaker && stage.name != kPause && stage.name != kStore) continue;
    Override(out.decision, stage.name, stage.after, stage.reason);
  }
  return out;
}

std::vector<Difference> Compare(const DecisionRecord& record, const Replayed& replayed) {
  std::vector<Difference> out;
  CompareMembers("proposal.", ToJson(record.proposal), ToJson(replayed.proposal), out);
  CompareStages(StagesToJson(record.decision), StagesToJson(replayed.decision), out);
  CompareMembers("decision.", ToJson(record.decision), ToJson(replayed.decision), out);
  const std::string& state =
      record.inputs->new_state ? *record.inputs->new_state : record.inputs->state;
  if (state != replayed.state) out.push_back({"state", state, replayed.state});
  return out;
}

}  // namespace autoscale
