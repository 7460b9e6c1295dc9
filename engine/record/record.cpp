#include "engine/record/record.h"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace autoscale {
namespace {

using nlohmann::json;

// A policy may put any bytes into a reason, JSON carries UTF-8 only: the rest becomes U+FFFD.
json Text(std::string_view text) {
  json value(text);
  const auto ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), ascii)) return value;
  return json::parse(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

json Number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json OptionalNumber(const std::optional<float>& value) {
  return value ? Number(static_cast<double>(*value)) : json(nullptr);
}

json SampleToJson(const NamedSample& named) {
  const Sample& sample = named.sample;
  json instances = json::array();
  for (const InstanceSample& instance : sample.instances) {
    instances.push_back({{"id", Text(instance.instance)},
                         {"value", Number(instance.value)},
                         {"ready", instance.ready}});
  }
  return {{"name", Text(named.name)},
          {"unit", ToString(named.unit)},
          {"value", Number(sample.value)},
          {"state", ToString(sample.state)},
          {"substituted", sample.substituted},
          {"age", OptionalNumber(sample.age_s)},
          {"coverage", OptionalNumber(sample.coverage)},
          {"instances", std::move(instances)},
          {"error", sample.error ? Text(*sample.error) : json(nullptr)}};
}

// Reads the members of one JSON object. The first fault of the whole record is kept, with where it
// is; after it every answer is a default that nobody uses.
class Fields {
 public:
  Fields(const json& node, std::string where, std::string& fault)
      : node_(node), where_(std::move(where)), fault_(fault) {
    if (!node_.is_object()) Fail("", "an object");
  }

  // Null when the member is missing, which is a fault.
  const json& At(const char* key) {
    static const json kNull;
    if (!node_.is_object()) return kNull;
    const auto found = node_.find(key);
    if (found != node_.end()) return *found;
    if (fault_.empty()) fault_ = Path(key) + " is missing";
    return kNull;
  }

  std::string Text(const char* key) {
    const json& value = At(key);
    if (value.is_string()) return value.get<std::string>();
    Fail(key, "a text");
    return {};
  }

  bool Bool(const char* key) {
    const json& value = At(key);
    if (value.is_boolean()) return value.get<bool>();
    Fail(key, "true or false");
    return false;
  }

  template <std::integral T>
  T Integer(const char* key) {
    const json& value = At(key);
    if (value.is_number_unsigned()) {
      const auto number = value.get<uint64_t>();
      if (std::in_range<T>(number)) return static_cast<T>(number);
    } else if (value.is_number_integer()) {
      const auto number = value.get<int64_t>();
      if (std::in_range<T>(number)) return static_cast<T>(number);
    }
    Fail(key, "a whole number in range");
    return 0;
  }

  // NaN when null.
  double Number(const char* key) {
    const json& value = At(key);
    if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
    if (value.is_number()) return value.get<double>();
    Fail(key, "a number or null");
    return 0;
  }

  std::optional<float> OptionalFloat(const char* key) {
    const double value = Number(key);
    if (std::isnan(value)) return std::nullopt;
    if (std::abs(value) <= std::numeric_limits<float>::max()) return static_cast<float>(value);
    Fail(key, "a number of a sensible size");
    return std::nullopt;
  }

  TimePoint Time(const char* key) {
    constexpr double kLatest = 253402300799;  // the end of the year 9999
    const double seconds = Number(key);
    if (seconds >= -kLatest && seconds <= kLatest) return FromUnixSeconds(seconds);
    Fail(key, "a time in unix seconds");
    return {};
  }

  template <typename E>
  E Word(const char* key, std::optional<E> (*parse)(std::string_view)) {
    const std::string text = Text(key);
    if (const auto word = parse(text)) return *word;
    Fail(key, "a word that autoscaled knows, but it is \"" + text + "\"");
    return {};
  }

  // Calls read(Fields) for each object of the array.
  template <typename F>
  void Each(const char* key, F read) {
    const json& list = At(key);
    if (!list.is_array()) return Fail(key, "a list");
    for (size_t i = 0; i < list.size() && fault_.empty(); ++i) {
      read(Fields(list[i], Path(key) + "[" + std::to_string(i) + "]", fault_));
    }
  }

  Fields Object(const char* key) { return {At(key), Path(key), fault_}; }

  void Fail(const std::string& key, const std::string& expected) {
    if (fault_.empty()) fault_ = Path(key) + " must be " + expected;
  }

 private:
  std::string Path(const std::string& key) const {
    if (key.empty()) return where_.empty() ? "the record" : where_;
    return where_.empty() ? key : where_ + "." + key;
  }

  const json& node_;
  std::string where_;
  std::string& fault_;
};

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
  Sample& sample = named.sample;
  sample.value = fields.Number("value");
  sample.state = fields.Word("state", ParseSampleState);
  sample.substituted = fields.Bool("substituted");
  sample.age_s = fields.OptionalFloat("age");
  sample.coverage = fields.OptionalFloat("coverage");
  fields.Each("instances", [&](Fields instance) {
    sample.instances.push_back(
        {instance.Text("id"), instance.Number("value"), instance.Bool("ready")});
  });
  if (!fields.At("error").is_null()) {
    sample.error = std::make_shared<const std::string>(fields.Text("error"));
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
          {"reason", Text(proposal.reason)},
          {"at", Text(proposal.at)},
          {"cause", ToString(proposal.cause)}};
}

json ToJson(const Decision& decision) {
  return {{"before", decision.before},
          {"desired", decision.desired},
          {"reason", Text(decision.reason)}};
}

json StagesToJson(const Decision& decision) {
  json stages = json::array();
  for (const StageRecord& stage : decision.stages) {
    stages.push_back({{"name", Text(stage.name)},
                      {"before", stage.before},
                      {"after", stage.after},
                      {"reason", Text(stage.reason)}});
  }
  return stages;
}

json ToJson(const DecisionRecord& record) {
  json samples = json::array();
  for (const NamedSample& sample : record.samples) samples.push_back(SampleToJson(sample));
  json actions = json::array();
  for (const ActionRecord& action : record.actions) {
    actions.push_back({{"at", ToUnixSeconds(action.at)}, {"text", Text(action.text)}});
  }
  return {{"id", record.id},
          {"service", Text(record.service)},
          {"at", ToUnixSeconds(record.at)},
          {"dry_run", record.dry_run},
          {"paused", record.paused},
          {"capacity", {{"desired", record.capacity.desired}, {"ready", record.capacity.ready}}},
          {"bounds", {{"min", record.bounds.min}, {"max", record.bounds.max}}},
          {"samples", std::move(samples)},
          {"policy", Text(record.policy)},
          {"proposal", ToJson(record.proposal)},
          {"decision", ToJson(record.decision)},
          {"stages", StagesToJson(record.decision)},
          {"actions", std::move(actions)}};
}

Result<DecisionRecord> RecordFromJson(std::string_view text) {
  json node;
  try {
    node = json::parse(text);
  } catch (const json::exception& error) {
    return Error{ErrorKind::kInvalid, std::string("decision record: ") + error.what()};
  }
  std::string fault;
  DecisionRecord record = ReadRecord(Fields(node, "", fault));
  if (!fault.empty()) return Error{ErrorKind::kInvalid, "decision record: " + fault};
  return record;
}

}  // namespace autoscale
