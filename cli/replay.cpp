// `autoscalectl replay`: makes a stored decision again in this process, with the daemon's own code.
#include "engine/replay/replay.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <utility>

#include "cli/client.h"
#include "config/policy_files.h"
#include "engine/policy/uses.h"
#include "engine/record/inputs.h"

namespace autoscale::cli {
namespace {

// What is compared, and with what.
struct Replaying {
  DecisionRecord record;
  std::shared_ptr<const PolicySource> policy;
  Params params;
  bool other = false;  // another policy or other parameters than the recorded ones
};

Result<DecisionRecord> ReadRecord(const v1::GetInputsResponse& answer) {
  auto record = RecordFromJson(answer.record());
  if (!record || answer.inputs().empty()) return record;
  auto inputs = DecodeInputs(answer.inputs());
  if (!inputs) return std::move(inputs).error();
  if (!answer.basis().empty()) {
    auto basis = DecodeBasis(answer.basis());
    if (!basis) return std::move(basis).error();
    if (auto read = DecodeSource(answer.source(), *basis); !read) return std::move(read).error();
    inputs->basis = std::move(basis).value();
  }
  record->inputs = std::make_shared<const DecisionInputs>(std::move(inputs).value());
  return record;
}

// "name=0.7", as YAML would read the value.
Status SetParam(const std::string& text, Params& params) {
  const size_t sign = text.find('=');
  if (sign == 0 || sign == std::string::npos) {
    return Error{ErrorKind::kInvalid, "--param must be NAME=VALUE, not '" + text + "'."};
  }
  const std::string value = text.substr(sign + 1);
  ParamValue& param = params[text.substr(0, sign)];
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc() && end == value.data() + value.size()) {
    param = number;
  } else if (value == "true" || value == "false") {
    param = value == "true";
  } else {
    param = value;
  }
  return Ok{};
}

// Whether the policy asks for such a parameter, as far as its text tells.
bool MayAskFor(const PolicySource& policy, const std::string& param) {
  const auto names = [&](const std::string& text) {
    const PolicyUses uses = FindUses(text);
    return uses.params_computed ||
           std::any_of(uses.params.begin(), uses.params.end(),
                       [&](const NamedUse& use) { return use.name == param; });
  };
  return names(policy.text) || std::any_of(policy.modules.begin(), policy.modules.end(),
                                           [&](const auto& module) { return names(module->text); });
}

Result<Replaying> Prepare(const ReplayOptions& options, DecisionRecord record) {
  if (auto able = CheckReplayable(record); !able) return std::move(able).error();
  const Basis& basis = record.inputs->basis;
  Replaying out{.policy = basis.policy, .params = *basis.params};
  if (!options.policy.empty()) {
    PolicyFiles files(basis.limits.source_bytes);
    auto read = IsShippedName(options.policy)
                    ? files.Shipped(options.policy)
                    : files.Read(std::filesystem::absolute(options.policy).string());
    if (!read) return std::move(read).error();
    out.policy = std::move(read).value();
    out.other = true;
  }
  for (const std::string& param : options.params) {
    if (auto set = SetParam(param, out.params); !set) return std::move(set).error();
    const std::string name = param.substr(0, param.find('='));
    if (!basis.params->contains(name) && !MayAskFor(*out.policy, name)) {
      return Error{ErrorKind::kInvalid,
                   "--param: " + out.policy->path + " asks for no parameter '" + name + "'."};
    }
    out.other = true;
  }
  out.record = std::move(record);
  return out;
}

std::string NameOf(const DecisionRecord& record) {
  return record.id > 0 ? "decision " + std::to_string(record.id)
                       : "the last decision, which changed nothing,";
}

std::string Render(const Replaying& what, const std::vector<Difference>& differences,
                   const Style& style) {
  const DecisionRecord& record = what.record;
  std::string head = Printable(record.service) + ": " + NameOf(record) + " of " +
                     FormatFullTime(record.at) + ", replayed with " + Printable(what.policy->path) +
                     (what.other ? "" : " as it was then") + ": ";
  if (differences.empty()) {
    head += what.other ? "it would have been the same" : "identical";
    return style.Apply(Paint::kGood, Wrap(head, 0, 2, style.width)) + "\n";
  }
  head += what.other ? "it would have differed" : "it comes out otherwise";
  Table table(2, {"", "recorded", "replayed"});
  for (const Difference& one : differences) {
    table.Add({{one.what, Paint::kDim}, {Printable(one.recorded)}, {Printable(one.replayed)}});
  }
  return style.Apply(Paint::kWarn, Wrap(head, 0, 2, style.width)) + "\n" + table.Render(style);
}

nlohmann::ordered_json ToJson(const Replaying& what, const Replayed& replayed,
                              const std::vector<Difference>& differences) {
  const Basis& basis = what.record.inputs->basis;
  nlohmann::ordered_json out;
  out["decision"] = what.record.id;
  out["service"] = what.record.service;
  out["at"] = ToUnixSeconds(what.record.at);
  out["policy"] = what.policy->path;
  out["version"] = basis.version;
  out["identical"] = differences.empty();
  auto& all = out["differences"] = nlohmann::ordered_json::array();
  for (const Difference& one : differences) {
    all.push_back({{"what", one.what}, {"recorded", one.recorded}, {"replayed", one.replayed}});
  }
  out["proposal"] = autoscale::ToJson(replayed.proposal);
  out["stages"] = StagesToJson(replayed.decision);
  out["result"] = autoscale::ToJson(replayed.decision);
  return out;
}

int Compare(const Context& context, const Replaying& what) {
  const Basis& basis = what.record.inputs->basis;
  if (basis.version != AUTOSCALED_VERSION) {
    context.err << "autoscalectl: autoscaled " << basis.version
                << " decided this, and this is " AUTOSCALED_VERSION
                   ": a difference may be the engine's.\n";
  }
  PolicyHost host(basis.limits);
  auto replayed = Replay(host, *what.policy, what.params, what.record);
  if (!replayed) return Fail(context, kExitFailed, replayed.error().message);
  const std::vector<Difference> differences = autoscale::Compare(what.record, *replayed);
  context.out << (context.json ? Dump(ToJson(what, *replayed, differences))
                               : Render(what, differences, context.style));
  return differences.empty() ? kExitOk : kExitFailed;
}

}  // namespace

int RunReplay(const Context& context, const ReplayOptions& options) {
  v1::GetInputsRequest request;
  if (options.id > 0) {
    request.set_decision_id(options.id);
  } else {
    request.set_service(options.service);
  }
  v1::GetInputsResponse answer;
  const int asked = Ask(context, &v1::Control::Stub::GetInputs, request,
                        [&](v1::GetInputsResponse& got) { answer.Swap(&got); });
  if (asked != kExitOk) return asked;
  auto record = ReadRecord(answer);
  if (!record) return Fail(context, kExitFailed, record.error().message + ".");
  const std::string name = NameOf(*record);
  auto what = Prepare(options, std::move(record).value());
  if (!what) return Fail(context, kExitFailed, name + ": " + what.error().message);
  return Compare(context, *what);
}

}  // namespace autoscale::cli
