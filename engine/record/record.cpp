#include "engine/record/record.h"

#include <utility>

#include "engine/model/text.h"
#include "engine/record/fields.h"

namespace autoscale {
namespace {

using nlohmann::json;

json OptionalNumber(const std::optional<float>& value) {
  return value ? NumberToJson(static_cast<double>(*value)) : json(nullptr);
}

json SampleToJson(const NamedSample& named) {
  const Sample& sample = named.sample;
  json instances = json::array();
  for (const InstanceSample& instance : sample.instances) {
    instances.push_back({{"id", BytesToJson(instance.instance)},
                         {"value", NumberToJson(instance.value)},
                         {"ready", instance.ready}});
  }
  json node = {{"name", TextToJson(named.name)},
               {"unit", ToString(named.unit)},
               {"value", NumberToJson(sample.value)},
               {"state", ToString(sample.state)},
               {"substituted", sample.substituted},
               {"age", OptionalNumber(sample.age_s)},
               {"coverage", OptionalNumber(sample.coverage)},
               {"instances", std::move(instances)},
               {"error", sample.error ? BytesToJson(*sample.error) : json(nullptr)}};
  if (named.spread) node["spread"] = true;
  return node;
}

std::optional<HoldCause> ParseHoldCause(std::string_view text) {
  for (int i = 0; i <= static_cast<int>(HoldCause::kFault); ++i) {
    if (ToString(static_cast<HoldCause>(i)) == text) return static_cast<HoldCause>(i);
  }
  return std::nullopt;
}

NamedSample ReadSample(Fields fields) {
  NamedSample named;
  named.name = fields.Text("name");
  named.unit = fields.Word("unit", ParseUnit);
  named.spread = fields.Has("spread");
  Sample& sample = named.sample;
  sample.value = fields.Number("value");
  sample.state = fields.Word("state", ParseSampleState);
  sample.substituted = fields.Bool("substituted");
  sample.age_s = fields.OptionalFloat("age");
  sample.coverage = fields.OptionalFloat("coverage");
  fields.Each("instances", [&](Fields instance) {
    sample.instances.push_back(
        {instance.Bytes("id"), instance.Number("value"), instance.Bool("ready")});
  });
  if (!fields.At("error").is_null()) {
    sample.error = std::make_shared<const std::string>(fields.Bytes("error"));
  }
  return named;
}

Proposal ReadProposal(Fields fields) {
  return {.kind = fields.Word("kind", ParseProposalKind),
          .cause = fields.Word("cause", ParseHoldCause),
          .capacity = fields.Integer<int>("capacity"),
          .reason = fields.Text("reason"),
          .at = fields.Text("at")};
}

StageRecord ReadStage(Fields fields) {
  const auto name = FindStageName(fields.Text("name"));
  if (!name) fields.Fail("name", "the name of a stage");
  return {.name = name.value_or(""),
          .before = fields.Integer<int>("before"),
          .after = fields.Integer<int>("after"),
          .reason = fields.Text("reason")};
}

Decision ReadDecision(Fields record) {
  Fields fields = record.Object("decision");
  Decision decision{.before = fields.Integer<int>("before"),
                    .desired = fields.Integer<int>("desired"),
                    .reason = fields.Text("reason"),
                    .stages = {}};
  record.Each("stages",
              [&](Fields stage) { decision.stages.push_back(ReadStage(std::move(stage))); });
  return decision;
}

DecisionRecord ReadRecord(Fields fields) {
  DecisionRecord record;
  record.id = fields.Integer<int64_t>("id");
  record.service = fields.Text("service");
  record.at = fields.Time("at");
  record.dry_run = fields.Bool("dry_run");
  record.paused = fields.Bool("paused");
  Fields capacity = fields.Object("capacity");
  record.capacity = {capacity.Integer<int>("desired"), capacity.Integer<int>("ready")};
  Fields bounds = fields.Object("bounds");
  record.bounds = {bounds.Integer<int>("min"), bounds.Integer<int>("max")};
  fields.Each("samples",
              [&](Fields sample) { record.samples.push_back(ReadSample(std::move(sample))); });
  record.policy = fields.Text("policy");
  record.proposal = ReadProposal(fields.Object("proposal"));
  record.decision = ReadDecision(fields);
  fields.Each("actions", [&](Fields action) {
    record.actions.push_back({action.Time("at"), action.Text("text")});
  });
  return record;
}

}  // namespace

json ToJson(const Proposal& proposal) {
  return {{"kind", ToString(proposal.kind)},
          {"capacity", proposal.capacity},
          {"reason", TextToJson(proposal.reason)},
          {"at", TextToJson(proposal.at)},
          {"cause", ToString(proposal.cause)}};
}

json ToJson(const Decision& decision) {
  return {{"before", decision.before},
          {"desired", decision.desired},
          {"reason", TextToJson(decision.reason)}};
}

json StagesToJson(const Decision& decision) {
  json stages = json::array();
  for (const StageRecord& stage : decision.stages) {
    stages.push_back({{"name", TextToJson(stage.name)},
                      {"before", stage.before},
                      {"after", stage.after},
                      {"reason", TextToJson(stage.reason)}});
  }
  return stages;
}

json ToJson(const DecisionRecord& record) {
  json samples = json::array();
  for (const NamedSample& sample : record.samples) samples.push_back(SampleToJson(sample));
  json actions = json::array();
  for (const ActionRecord& action : record.actions) {
    actions.push_back({{"at", ToUnixSeconds(action.at)}, {"text", TextToJson(action.text)}});
  }
  return {{"id", record.id},
          {"service", TextToJson(record.service)},
          {"at", ToUnixSeconds(record.at)},
          {"dry_run", record.dry_run},
          {"paused", record.paused},
          {"capacity", {{"desired", record.capacity.desired}, {"ready", record.capacity.ready}}},
          {"bounds", {{"min", record.bounds.min}, {"max", record.bounds.max}}},
          {"samples", std::move(samples)},
          {"policy", TextToJson(record.policy)},
          {"proposal", ToJson(record.proposal)},
          {"decision", ToJson(record.decision)},
          {"stages", StagesToJson(record.decision)},
          {"actions", std::move(actions)}};
}

namespace {

// Faults quote the text.
Error Refuse(const std::string& fault) {
  constexpr size_t kLongestMessage = 400;
  return {ErrorKind::kInvalid, OneLine("decision record: " + fault, kLongestMessage)};
}

}  // namespace

Result<DecisionRecord> RecordFromJson(std::string_view text) {
  json node;
  try {
    node = json::parse(text);
  } catch (const json::exception& error) {
    return Refuse(error.what());
  }
  std::string fault;
  DecisionRecord record = ReadRecord(Fields(node, "", fault));
  if (!fault.empty()) return Refuse(fault);
  return record;
}

}  // namespace autoscale
