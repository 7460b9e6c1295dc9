// policy diff: two policies on the same inputs, and where they part.
#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "cli/command.h"
#include "cli/eval_input.h"
#include "cli/json.h"
#include "cli/policy_files.h"
#include "config/loader.h"
#include "config/policy_files.h"
#include "engine/record/record.h"
#include "simulator/scenario.h"

namespace autoscale::cli {
namespace {

using nlohmann::ordered_json;
using Source = std::shared_ptr<const PolicySource>;

constexpr size_t kMaxInputBytes = 64u << 20;
constexpr size_t kShownParts = 40;  // of one input

struct Sides {
  Source old_policy, new_policy;
};

// What one policy made of one tick.
struct Side {
  Proposal proposal;
  Decision decision;
};

struct Totals {
  int64_t changes = 0, faults = 0;
  int highest = 0;
  std::optional<double> instance_hours;  // only of runs over time
};

struct Part {
  std::string when;
  Side old_side, new_side;
};

// What came of one input.
struct Comparison {
  std::string file;
  int64_t ticks = 0, different = 0;
  std::vector<Part> parts;  // where they begin to differ, or differ in another way
  size_t left_out = 0;
  Totals old_totals, new_totals;

  void Add(const std::string& when, const Side& a, const Side& b) {
    ++ticks;
    const bool same = a.decision.desired == b.decision.desired && Kind(a) == Kind(b) &&
                      a.proposal.capacity == b.proposal.capacity;
    const std::string how = same ? "" : Key(a) + "|" + Key(b);
    if (!same) ++different;
    if (!same && how != last_) {
      if (parts.size() < kShownParts) {
        parts.push_back({when, a, b});
      } else {
        ++left_out;
      }
    }
    last_ = how;
  }

 private:
  static std::string Kind(const Side& side) {
    return side.proposal.kind == ProposalKind::kHold ? std::string(ToString(side.proposal.cause))
                                                     : std::string();
  }
  static std::string Key(const Side& side) {
    return std::to_string(side.decision.desired) + " " + Kind(side);
  }
  std::string last_;
};

// --- inputs ---

Status Fits(PolicyHost& host, const ServiceSpec& service) {
  const auto checked = host.Check(*service.policy, SnapshotOf(service));
  if (checked) return Ok{};
  return Error{ErrorKind::kInvalid,
               "the daemon would refuse this policy: " + checked.error().message};
}

Totals TotalsOf(const Simulation& simulation) {
  const SimulationTotals& totals = simulation.totals();
  return {.changes = totals.changes,
          .faults = totals.faults,
          .highest = totals.highest,
          .instance_hours = totals.instance_seconds / 3600};
}

Result<Comparison> CompareScenario(const std::string& file, const std::string& text,
                                   const Sides& sides, const std::string& default_policy) {
  std::vector<Diagnostic> diagnostics;
  const auto scenario = ReadScenario(file, text, &diagnostics, default_policy);
  if (!scenario) {
    std::string faults;
    for (const Diagnostic& one : diagnostics) faults += "\n" + ToString(one);
    return Error{ErrorKind::kInvalid, "the scenario has faults:" + faults};
  }
  const Setup& setup = scenario->setup;
  ServiceSpec before = setup.service;
  ServiceSpec after = setup.service;
  before.policy = sides.old_policy;
  after.policy = sides.new_policy;
  PolicyHost host(setup.limits);
  for (const ServiceSpec* service : {&before, &after}) {
    if (Status fits = Fits(host, *service); !fits) return std::move(fits).error();
  }
  Simulation first(host, before, setup.start);
  Simulation second(host, after, setup.start);
  const auto load = [&](TimePoint now, const Capacity& capacity) {
    return SamplesAt(*scenario, now - setup.start.start, capacity);
  };
  Comparison out;
  out.file = file;
  while (first.next() - setup.start.start <= scenario->length) {
    const StepOutcome& a = first.Tick(load).outcome;
    const StepOutcome& b = second.Tick(load).outcome;
    out.Add(FormatDuration(first.last().at - setup.start.start), {a.proposal, a.decision},
            {b.proposal, b.decision});
  }
  out.old_totals = TotalsOf(first);
  out.new_totals = TotalsOf(second);
  return out;
}

void Count(const Side& side, Totals& totals) {
  totals.changes += side.decision.desired == side.decision.before ? 0 : 1;
  totals.faults += side.proposal.cause == HoldCause::kFault ? 1 : 0;
  totals.highest = std::max(totals.highest, side.decision.desired);
}

// One policy on inputs that follow each other. What an input does not say of history and state is
// what this policy's own evaluation before it left.
class Line {
 public:
  Line(PolicyHost& host, const ServiceSpec& service, Source policy)
      : host_(host), service_(service) {
    service_.policy = std::move(policy);
  }
  Status Fits() { return cli::Fits(host_, service_); }
  Side Evaluate(StepInput input) {
    if (input.state.empty()) input.state = last_.state;
    if (input.history == History{}) input.history = last_.history;
    last_ = Step(host_, service_, std::move(input));
    return {last_.proposal, last_.decision};
  }

 private:
  PolicyHost& host_;
  ServiceSpec service_;
  StepOutcome last_;
};

// A whole file of one input, or a line an input.
std::vector<std::string_view> SplitInputs(std::string_view text) {
  if (nlohmann::json::accept(text)) return {text};
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) lines.push_back(line);
  }
  return lines;
}

Result<Comparison> CompareInputs(const std::string& file, const std::string& text,
                                 const Sides& sides, const ServiceSpec& service,
                                 const PolicyLimits& limits) {
  PolicyHost host(limits);
  Line before(host, service, sides.old_policy);
  Line after(host, service, sides.new_policy);
  for (Line* line : {&before, &after}) {
    if (Status fits = line->Fits(); !fits) return std::move(fits).error();
  }
  Comparison out;
  out.file = file;
  TimePoint last{};
  for (const std::string_view line : SplitInputs(text)) {
    const std::string number = "input " + std::to_string(out.ticks + 1);
    auto input = ParseEvalInput(line, service.declared);
    if (!input) return std::move(input).error().Within(number);
    if (input->now < last) {
      return Error{ErrorKind::kInvalid, number + ": now is before that of the input above it"};
    }
    last = input->now;
    const Side a = before.Evaluate(*input);
    const Side b = after.Evaluate(*input);
    Count(a, out.old_totals);
    Count(b, out.new_totals);
    out.Add(FormatFullTime(last).substr(0, 19), a, b);
  }
  if (out.ticks == 0) return Error{ErrorKind::kInvalid, "holds no input"};
  return out;
}

// --- the answer ---

std::string Describe(const Side& side) {
  std::string text = std::to_string(side.decision.before);
  if (side.decision.desired != side.decision.before) {
    text += " → " + std::to_string(side.decision.desired);
  }
  return text + ": " + Printable(side.decision.reason);
}

void AddTotals(Table& table, const Comparison& one) {
  const auto row = [&](const std::string& name, const std::string& a, const std::string& b) {
    table.Add({{name}, {a}, {b}});
  };
  const auto number = [](int64_t value) { return std::to_string(value); };
  if (one.old_totals.instance_hours && one.new_totals.instance_hours) {
    row("instance-hours", FormatNumber(*one.old_totals.instance_hours),
        FormatNumber(*one.new_totals.instance_hours));
  }
  row("changes", number(one.old_totals.changes), number(one.new_totals.changes));
  row("highest", number(one.old_totals.highest), number(one.new_totals.highest));
  if (one.old_totals.faults + one.new_totals.faults > 0) {
    row("faults", number(one.old_totals.faults), number(one.new_totals.faults));
  }
}

void Print(const Context& context, const Comparison& one) {
  context.out << context.style.Apply(Paint::kBold, one.file) << ": differ in " << one.different
              << " of " << one.ticks << (one.ticks == 1 ? " tick\n" : " ticks\n");
  for (const Part& part : one.parts) {
    for (const auto& [name, side] : {std::pair{"old", &part.old_side}, {"new", &part.new_side}}) {
      const std::string lead = "  " + part.when + "  " + name + "  ";
      const std::string text = Wrap(Describe(*side), lead.size(), lead.size(), context.style.width);
      context.out << lead << text.substr(std::min(lead.size(), text.size())) << "\n";
    }
  }
  if (one.left_out > 0) context.out << "  and " << one.left_out << " more\n";
  Table table(2, {"", "OLD", "NEW"});
  AddTotals(table, one);
  context.out << table.Render(context.style);
}

ordered_json ToJson(const Side& side) {
  return {{"proposal", autoscale::ToJson(side.proposal)},
          {"decision", autoscale::ToJson(side.decision)}};
}

ordered_json ToJson(const Totals& totals) {
  ordered_json json = {{"instance_hours", nullptr},
                       {"changes", totals.changes},
                       {"highest", totals.highest},
                       {"faults", totals.faults}};
  if (totals.instance_hours) json["instance_hours"] = *totals.instance_hours;
  return json;
}

ordered_json ToJson(const Comparison& one) {
  ordered_json json = {{"input", one.file}, {"ticks", one.ticks}, {"different", one.different}};
  ordered_json& parts = json["differences"] = ordered_json::array();
  for (const Part& part : one.parts) {
    parts.push_back(
        {{"at", part.when}, {"old", ToJson(part.old_side)}, {"new", ToJson(part.new_side)}});
  }
  json["left_out"] = one.left_out;
  json["old"] = ToJson(one.old_totals);
  json["new"] = ToJson(one.new_totals);
  return json;
}

// As a service's file names one: a shipped policy by its bare name, else a file.
Result<Source> ReadPolicy(const std::string& name) {
  PolicyFiles files(PolicyLimits{}.source_bytes);
  const bool file = name.find('/') != std::string::npos || name.ends_with(".lua");
  return file ? files.Read(std::filesystem::absolute(name).lexically_normal().string())
              : files.Shipped(name);
}

class Differ {
 public:
  explicit Differ(const PolicyDiffOptions& options) : options_(options) {}

  Result<std::vector<Comparison>> Run() {
    const auto old_policy = ReadPolicy(options_.old_policy);
    if (!old_policy) return old_policy.error();
    const auto new_policy = ReadPolicy(options_.new_policy);
    if (!new_policy) return new_policy.error();
    sides_ = {*old_policy, *new_policy};
    std::vector<Comparison> all;
    for (const std::string& file : options_.inputs) {
      auto one = Compare(file);
      if (!one) return std::move(one).error().Within(file);
      all.push_back(std::move(one).value());
    }
    return all;
  }

 private:
  Result<Comparison> Compare(const std::string& file) {
    const auto text = ReadInput(file);
    if (!text) return text.error();
    if (text->size() > kMaxInputBytes) return Error{ErrorKind::kInvalid, "is larger than 64 MiB"};
    if (file.ends_with(".scenario")) {
      return CompareScenario(file, *text, sides_, sides_.old_policy->path);
    }
    const auto service = Service();
    if (!service) return service.error();
    return CompareInputs(file, *text, sides_, **service,
                         loaded_->configuration.daemon.policy_limits);
  }
  Result<const ServiceSpec*> Service() {
    if (options_.service_file.empty()) {
      return Error{ErrorKind::kInvalid,
                   "an input in JSON needs the service that it is of: give --service FILE"};
    }
    if (!loaded_) {
      loaded_ = LoadServiceFile(options_.service_file, options_.daemon_file,
                                {.accept_any_adapter = true});
    }
    if (!loaded_->ok()) {
      std::string faults = "the service's configuration has errors:";
      for (const Diagnostic& one : loaded_->diagnostics) faults += "\n" + ToString(one);
      return Error{ErrorKind::kInvalid, faults};
    }
    return ChooseService(loaded_->configuration.services, options_.name, options_.service_file);
  }

  const PolicyDiffOptions& options_;
  Sides sides_;
  std::optional<LoadResult> loaded_;
};

}  // namespace

int RunPolicyDiff(const Context& context, const PolicyDiffOptions& options) {
  const auto all = Differ(options).Run();
  if (!all) return Fail(context, kExitUsage, all.error().message);
  const bool same = std::all_of(all->begin(), all->end(),
                                [](const Comparison& one) { return one.different == 0; });
  if (context.json) {
    ordered_json inputs = ordered_json::array();
    for (const Comparison& one : *all) inputs.push_back(ToJson(one));
    context.out << Dump({{"same", same}, {"inputs", inputs}});
  } else {
    for (const Comparison& one : *all) Print(context, one);
  }
  return same ? kExitOk : kExitFailed;
}

}  // namespace autoscale::cli
