#include "engine/record/inputs.h"

#include <array>
#include <utility>

#include "engine/model/text.h"
#include "engine/record/fields.h"

namespace autoscale {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 2> kLimitKinds = {"instances", "percent"};
constexpr std::array<std::string_view, 3> kSelects = {"max", "min", "disabled"};

template <typename E, size_t N>
E ReadWord(Fields& fields, const char* key, const std::array<std::string_view, N>& words) {
  const std::string text = fields.Text(key);
  for (size_t i = 0; i < N; ++i) {
    if (words.at(i) == text) return static_cast<E>(i);
  }
  fields.Fail(key, "a word that autoscaled knows");
  return {};
}

json ParamsToJson(const Params& params) {
  json all = json::object();
  for (const auto& [name, value] : params) {
    if (const auto* number = std::get_if<double>(&value)) {
      all[name] = {{"number", NumberToJson(*number)}};
    } else if (const auto* flag = std::get_if<bool>(&value)) {
      all[name] = {{"flag", *flag}};
    } else {
      all[name] = {{"text", BytesToJson(*std::get_if<std::string>(&value))}};
    }
  }
  return all;
}

Params ReadParams(Fields all) {
  Params params;
  for (const std::string& name : all.Names()) {
    Fields one = all.Object(name.c_str());
    if (one.Has("number")) {
      params[name] = one.Number("number");
    } else if (one.Has("flag")) {
      params[name] = one.Bool("flag");
    } else {
      params[name] = one.Bytes("text");
    }
  }
  return params;
}

json ToJson(const DirectionRules& rules) {
  json limits = json::array();
  for (const RateLimit& limit : rules.limits) {
    limits.push_back({{"kind", kLimitKinds.at(static_cast<size_t>(limit.kind))},
                      {"value", limit.value},
                      {"period", limit.period.count()}});
  }
  return {{"stabilization", rules.stabilization.count()},
          {"cooldown", rules.cooldown.count()},
          {"select", kSelects.at(static_cast<size_t>(rules.select))},
          {"limits", std::move(limits)},
          {"max_step_percent", rules.max_step_percent}};
}

DirectionRules ReadDirection(Fields fields) {
  DirectionRules rules;
  rules.stabilization = Millis(fields.Integer<int64_t>("stabilization"));
  rules.cooldown = Millis(fields.Integer<int64_t>("cooldown"));
  rules.select = ReadWord<RateSelect>(fields, "select", kSelects);
  fields.Each("limits", [&](Fields limit) {
    rules.limits.push_back({.kind = ReadWord<RateLimit::Kind>(limit, "kind", kLimitKinds),
                            .value = limit.Integer<int>("value"),
                            .period = Millis(limit.Integer<int64_t>("period"))});
  });
  rules.max_step_percent = fields.Integer<int>("max_step_percent");
  return rules;
}

json ToJson(const PolicyLimits& limits) {
  return {{"instructions", limits.instructions},
          {"memory", limits.memory_bytes},
          {"wall", limits.wall.count()},
          {"state", limits.state_bytes},
          {"source", limits.source_bytes}};
}

PolicyLimits ReadLimits(Fields fields) {
  return {.instructions = fields.Integer<int>("instructions"),
          .memory_bytes = fields.Integer<size_t>("memory"),
          .wall = Millis(fields.Integer<int64_t>("wall")),
          .state_bytes = fields.Integer<size_t>("state"),
          .source_bytes = fields.Integer<size_t>("source")};
}

// Only what is set.
json ToJson(const OwnLimits& limits) {
  json node = json::object();
  if (limits.instructions) node["instructions"] = *limits.instructions;
  if (limits.wall) node["wall"] = limits.wall->count();
  if (limits.state_bytes) node["state"] = *limits.state_bytes;
  return node;
}

OwnLimits ReadOwnLimits(Fields fields) {
  OwnLimits limits;
  if (fields.Has("instructions")) limits.instructions = fields.Integer<int>("instructions");
  if (fields.Has("wall")) limits.wall = Millis(fields.Integer<int64_t>("wall"));
  if (fields.Has("state")) limits.state_bytes = fields.Integer<size_t>("state");
  return limits;
}

json ToJson(const Zone& zone) {
  json changes = json::array();
  for (const ZoneChange& change : zone.changes) {
    changes.push_back(
        {{"at", change.unix}, {"offset", change.offset_s}, {"abbreviation", change.abbreviation}});
  }
  return {{"name", zone.name}, {"version", zone.version}, {"changes", std::move(changes)}};
}

Zone ReadZone(Fields fields) {
  Zone zone{.name = fields.Text("name"), .version = fields.Text("version"), .changes = {}};
  fields.Each("changes", [&](Fields change) {
    zone.changes.push_back({.unix = change.Integer<int64_t>("at"),
                            .offset_s = change.Integer<int>("offset"),
                            .abbreviation = change.Text("abbreviation")});
  });
  return zone;
}

Basis ReadBasis(Fields fields) {
  Basis basis;
  basis.version = fields.Text("version");
  basis.source = fields.Hash("source");
  PolicySource policy;
  Fields source = fields.Object("policy");
  policy.path = source.Bytes("path");
  policy.hash = source.Hash("hash");
  basis.policy = std::make_shared<const PolicySource>(std::move(policy));
  basis.params = std::make_shared<const Params>(ReadParams(fields.Object("params")));
  ScalingRules rules;
  rules.bounds = {fields.Integer<int>("min"), fields.Integer<int>("max")};
  rules.up = ReadDirection(fields.Object("up"));
  rules.down = ReadDirection(fields.Object("down"));
  rules.reversals = {.most = fields.Integer<int>("reversals"),
                     .period = Millis(fields.Integer<int64_t>("reversal_period"))};
  if (fields.Has("error_guard")) {
    Fields guard = fields.Object("error_guard");
    rules.error_guard = {.metric = guard.Text("metric"), .above = guard.Number("above")};
  }
  rules.projection = fields.Bool("projection");
  basis.rules = std::make_shared<const ScalingRules>(std::move(rules));
  basis.limits = ReadLimits(fields.Object("limits"));
  if (fields.Has("own_limits")) basis.own_limits = ReadOwnLimits(fields.Object("own_limits"));
  return basis;
}

// Most of it is seldom there.
json ToJson(const Conditions& conditions) {
  json node = json::object();
  const Budget& budget = conditions.budget;
  if (budget.limit != 0 || budget.left != 0 || budget.granted != 0) {
    node["budget"] = {{"limit", budget.limit}, {"left", budget.left}, {"granted", budget.granted}};
  }
  const Cost& cost = conditions.cost;
  if (cost.limit != 0 || cost.left != 0 || cost.price != 0 || cost.granted != 0) {
    node["cost"] = {{"limit", NumberToJson(cost.limit)},
                    {"left", NumberToJson(cost.left)},
                    {"price", NumberToJson(cost.price)},
                    {"granted", cost.granted}};
  }
  if (conditions.from) node["from"] = *conditions.from;
  if (!conditions.errors.empty()) node["errors"] = BytesToJson(conditions.errors);
  if (conditions.protected_instances != 0) node["protected"] = conditions.protected_instances;
  for (const Projection& projection : conditions.projections) {
    json& one = node["projections"].emplace_back();
    one = {{"capacity", projection.capacity},
           {"proposed", projection.proposed},
           {"samples", BytesToJson(projection.samples)}};
    if (!projection.asked) one["unasked"] = true;
  }
  return node;
}

Conditions ReadConditions(Fields fields) {
  Conditions conditions;
  if (fields.Has("budget")) {
    Fields budget = fields.Object("budget");
    conditions.budget = {.limit = budget.Integer<int>("limit"),
                         .left = budget.Integer<int>("left"),
                         .granted = budget.Integer<int>("granted")};
  }
  if (fields.Has("cost")) {
    Fields cost = fields.Object("cost");
    conditions.cost = {.limit = cost.Number("limit"),
                       .left = cost.Number("left"),
                       .price = cost.Number("price"),
                       .granted = cost.Integer<int>("granted")};
  }
  if (fields.Has("from")) conditions.from = fields.Integer<int>("from");
  if (fields.Has("errors")) conditions.errors = fields.Bytes("errors");
  if (fields.Has("protected")) conditions.protected_instances = fields.Integer<int>("protected");
  if (fields.Has("projections")) {
    fields.Each("projections", [&](Fields projection) {
      conditions.projections.push_back({.capacity = projection.Integer<int>("capacity"),
                                        .proposed = projection.Integer<int>("proposed"),
                                        .samples = projection.Bytes("samples"),
                                        .asked = !projection.Has("unasked")});
    });
  }
  return conditions;
}

DecisionInputs ReadInputs(Fields fields) {
  DecisionInputs inputs;
  inputs.basis_hash = fields.Hash("basis");
  inputs.state = fields.Bytes("state");
  if (fields.Has("new_state")) inputs.new_state = fields.Bytes("new_state");
  inputs.history = fields.Text("history");
  inputs.conditions = ReadConditions(fields.Object("conditions"));
  inputs.outside = fields.Has("outside");
  return inputs;
}

}  // namespace

std::string Encode(const Basis& basis) {
  const ScalingRules& rules = *basis.rules;
  const json policy = {{"path", BytesToJson(basis.policy->path)},
                       {"hash", HashText(basis.policy->hash)}};
  json zones = json::array();
  for (const auto& zone : basis.zones) zones.push_back(zone->name + " " + zone->version);
  json node = {{"version", basis.version},
               {"source", HashText(SourceHash(basis))},
               {"zones", std::move(zones)},
               {"policy", policy},
               {"params", ParamsToJson(*basis.params)},
               {"min", rules.bounds.min},
               {"max", rules.bounds.max},
               {"up", ToJson(rules.up)},
               {"down", ToJson(rules.down)},
               {"reversals", rules.reversals.most},
               {"reversal_period", rules.reversals.period.count()},
               {"projection", rules.projection},
               {"limits", ToJson(basis.limits)}};
  if (basis.own_limits != OwnLimits{}) node["own_limits"] = ToJson(basis.own_limits);
  if (rules.error_guard) {
    node["error_guard"] = {{"metric", rules.error_guard->metric},
                           {"above", NumberToJson(rules.error_guard->above)}};
  }
  return node.dump();
}

Result<Basis> DecodeBasis(std::string_view text) {
  return ReadAll(text, "what a decision depends on", ReadBasis);
}

uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a, 64 bits
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

uint64_t SourceHash(const Basis& basis) {
  uint64_t hash = basis.policy->hash;
  const auto mix = [&hash](uint64_t value) { hash = (hash ^ value) * 0x100000001b3u; };
  for (const auto& zone : basis.zones) {
    mix(HashOf(zone->name));
    mix(HashOf(zone->version));
    for (const ZoneChange& change : zone->changes) {
      mix(static_cast<uint64_t>(change.unix));
      mix(static_cast<uint64_t>(change.offset_s));
      mix(HashOf(change.abbreviation));
    }
  }
  return hash;
}

std::string EncodeSource(const Basis& basis) {
  const PolicySource& policy = *basis.policy;
  json node = {
      {"text", BytesToJson(policy.text)}, {"modules", json::array()}, {"zones", json::array()}};
  for (const auto& module : policy.modules) {
    node["modules"].push_back({{"name", BytesToJson(module->name)},
                               {"path", BytesToJson(module->path)},
                               {"text", BytesToJson(module->text)}});
  }
  for (const auto& zone : basis.zones) node["zones"].push_back(ToJson(*zone));
  return node.dump();
}

Status DecodeSource(std::string_view text, Basis& basis) {
  PolicySource policy = *basis.policy;
  std::vector<std::shared_ptr<const Zone>> zones;
  const auto read = ReadAll(text, "a stored policy", [&](Fields fields) {
    policy.text = fields.Bytes("text");
    fields.Each("modules", [&](Fields module) {
      policy.modules.push_back(std::make_shared<const PolicyModule>(
          PolicyModule{module.Bytes("name"), module.Bytes("path"), module.Bytes("text")}));
    });
    fields.Each("zones", [&](Fields zone) {
      zones.push_back(std::make_shared<const Zone>(ReadZone(std::move(zone))));
    });
    return Ok{};
  });
  if (!read) return read.error();
  basis.policy = std::make_shared<const PolicySource>(std::move(policy));
  basis.zones = std::move(zones);
  return Ok{};
}

std::string Encode(const DecisionInputs& inputs) {
  json node = {{"basis", HashText(inputs.basis_hash)},
               {"state", BytesToJson(inputs.state)},
               {"history", inputs.history},
               {"conditions", ToJson(inputs.conditions)}};
  if (inputs.new_state) node["new_state"] = BytesToJson(*inputs.new_state);
  if (inputs.outside) node["outside"] = true;
  return node.dump();
}

Result<DecisionInputs> DecodeInputs(std::string_view text) {
  return ReadAll(text, "a decision's inputs", ReadInputs);
}

}  // namespace autoscale
