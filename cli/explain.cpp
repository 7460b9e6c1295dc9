#include "cli/explain.h"

#include <array>
#include <cstdio>
#include <utility>

#include "cli/client.h"

namespace autoscale::cli {
namespace {

constexpr size_t kIndent = 2;

bool Changed(const v1::Record& record) {
  return record.decision().before() != record.decision().desired();
}

std::string Arrow(int before, int after) {
  return std::to_string(before) + " → " + std::to_string(after);
}

bool IsHeld(v1::HoldCause cause) {
  return cause == v1::HOLD_CAUSE_POLICY || cause == v1::HOLD_CAUSE_METRIC ||
         cause == v1::HOLD_CAUSE_FAULT;
}

std::string Headline(const v1::Record& record, const Style& style) {
  const TimePoint at = FromProto(record.at());
  const v1::Decision& decision = record.decision();
  const bool held = IsHeld(record.proposal().cause());
  std::string text = record.service() + ": ";
  if (Changed(record)) {
    text += Arrow(decision.before(), decision.desired()) +
            (decision.desired() == 1 ? " instance" : " instances");
  } else {
    text += (held ? "held at " : "stays at ") + Count(decision.desired(), "instance");
  }
  text += " at " + FormatTime(at, style) + " (" + FormatAgo(at, style) + ")";
  if (!decision.reason().empty()) text += ": " + Printable(decision.reason());
  return style.Apply(Paint::kBold, Wrap(text, 0, kIndent, style.width)) + "\n";
}

std::string Modes(const v1::Record& record, const Style& style) {
  std::string out;
  const auto add = [&](const std::string& text) {
    out += style.Apply(Paint::kWarn, Wrap(text, 0, kIndent, style.width)) + "\n";
  };
  if (record.dry_run()) {
    add("DRY RUN: this is what autoscaled would do; it started and stopped nothing.");
  }
  if (record.paused()) {
    add("PAUSED: the capacity stays as it is until `autoscalectl resume " + record.service() +
        "`.");
  }
  return out;
}

// The one sentence on why the capacity is what it was.
std::string WhyNothing(const v1::Record& record) {
  if (record.paused()) return "the service is paused.";
  const v1::Proposal& proposal = record.proposal();
  switch (proposal.cause()) {
    case v1::HOLD_CAUSE_POLICY:
      return "the policy said hold.";
    case v1::HOLD_CAUSE_INSIDE:
      return "the metrics are where the policy wants them.";
    case v1::HOLD_CAUSE_PENDING:
      return "an earlier scale-out has not arrived yet (" +
             std::to_string(record.capacity().ready()) + " of " +
             Count(record.capacity().desired(), "instance") + " ready).";
    case v1::HOLD_CAUSE_METRIC:
      return "a metric that the policy needs is not usable, and missing data never changes a "
             "capacity within its bounds. See Metrics.";
    case v1::HOLD_CAUSE_FAULT:
      return "the policy failed; the service keeps its capacity until the policy works. See "
             "Policy.";
    default:
      break;
  }
  // The last one that changed it is what keeps it.
  for (int i = record.stages_size() - 1; i >= 0; --i) {
    const v1::Stage& stage = record.stages(i);
    if (stage.before() != stage.after()) {
      return "the policy wanted " + std::to_string(proposal.capacity()) + ", and stage " +
             stage.name() + " made that " + std::to_string(stage.after()) +
             (stage.reason().empty() ? "." : ": " + Printable(stage.reason()) + ".");
    }
  }
  return "the policy wanted the capacity that is already there.";
}

std::string Title(const std::string& text, const Style& style) {
  return "\n" + style.Apply(Paint::kBold, text) + "\n";
}

std::string Value(const v1::Metric& metric) {
  if (metric.state() != v1::SAMPLE_STATE_FRESH) return "-";
  std::string number = FormatNumber(metric.value());
  switch (metric.unit()) {
    case v1::UNIT_PERCENT:
      return number + " %";
    case v1::UNIT_SECONDS:
      return number + " s";
    case v1::UNIT_PER_SECOND:
      return number + "/s";
    case v1::UNIT_RATIO:
      return number + " ratio";
    default:
      return number;
  }
}

Cell State(const v1::Metric& metric) {
  switch (metric.state()) {
    case v1::SAMPLE_STATE_FRESH:
      return {metric.substituted() ? "fresh*" : "fresh", Paint::kGood};
    case v1::SAMPLE_STATE_STALE:
      return {"stale", Paint::kBad};
    case v1::SAMPLE_STATE_PARTIAL:
      return {"partial", Paint::kBad};
    case v1::SAMPLE_STATE_EMPTY:
      return {"empty", Paint::kBad};
    case v1::SAMPLE_STATE_NAN:
      return {"nan", Paint::kBad};
    case v1::SAMPLE_STATE_ERROR:
      return {"error", Paint::kBad};
    case v1::SAMPLE_STATE_IMPLAUSIBLE:
      return {"implausible", Paint::kBad};
    default:
      return {"unknown", Paint::kBad};
  }
}

std::string OneDecimal(double value, const char* unit) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, unit);
  return text.data();
}

std::string Instances(const v1::Metric& metric) {
  int ready = 0;
  for (const auto& instance : metric.instances()) ready += instance.ready() ? 1 : 0;
  return metric.instances().empty()
             ? std::string()
             : std::to_string(ready) + " ready of " + std::to_string(metric.instances_size());
}

std::string Metrics(const v1::Record& record, const Style& style) {
  std::string out = Title("Metrics", style);
  if (record.metrics().empty()) return out + "  none\n";
  bool substituted = false;
  bool instances = false;
  for (const v1::Metric& metric : record.metrics()) instances |= !metric.instances().empty();
  std::vector<std::string> headers = {"NAME", "VALUE", "STATE", "AGE", "COVERAGE"};
  if (instances) headers.emplace_back("INSTANCES");
  Table table(kIndent, headers);
  std::string errors;
  for (const v1::Metric& metric : record.metrics()) {
    std::vector<Cell> row = {
        {metric.name()},
        {Value(metric)},
        State(metric),
        {metric.has_age() ? OneDecimal(metric.age(), "s") : "-"},
        {metric.has_coverage() ? FormatNumber(metric.coverage() * 100) + " %" : "-"}};
    if (instances) row.push_back({Instances(metric)});
    table.Add(std::move(row));
    substituted |= metric.substituted();
    if (!metric.error().empty()) {
      errors += Wrap(metric.name() + ": " + Printable(metric.error()), kIndent, 2 * kIndent,
                     style.width) +
                "\n";
    }
  }
  out += table.Render(style);
  if (substituted)
    out += "  * no data: the value is what when_empty, when_nan or a fallback says.\n";
  return out + errors;
}

std::string ProposalKindText(const v1::Proposal& proposal) {
  const int n = proposal.capacity();
  switch (proposal.kind()) {
    case v1::PROPOSAL_KIND_HOLD:
      return proposal.cause() == v1::HOLD_CAUSE_FAULT ? "failed, held at " + std::to_string(n)
                                                      : "hold at " + std::to_string(n);
    case v1::PROPOSAL_KIND_SCALE_UP:
      return "scale up to " + std::to_string(n);
    case v1::PROPOSAL_KIND_SCALE_DOWN:
      return "scale down to " + std::to_string(n);
    case v1::PROPOSAL_KIND_TRACK:
      return "track: " + std::to_string(n);
    default:
      return "scale to " + std::to_string(n);
  }
}

std::string Policy(const v1::Record& record, const Style& style) {
  const v1::Proposal& proposal = record.proposal();
  const std::string& where = proposal.at().empty() ? record.policy() : proposal.at();
  std::string text = ProposalKindText(proposal);
  if (!proposal.reason().empty()) text += ": " + Printable(proposal.reason());
  return Title("Policy " + Printable(where), style) +
         Wrap(text, kIndent, 2 * kIndent, style.width) + "\n";
}

std::string Stages(const v1::Record& record, const Style& style) {
  std::string out = Title("Stages, from what the policy wanted to what was decided", style);
  Table table(kIndent, {});
  for (const v1::Stage& stage : record.stages()) {
    const bool changed = stage.before() != stage.after();
    const Paint paint = changed ? Paint::kPlain : Paint::kDim;
    const std::string reason =
        changed || stage.reason().empty() ? stage.reason() : "no change: " + stage.reason();
    table.Add(
        {{stage.name(), paint},
         {changed ? Arrow(stage.before(), stage.after()) : std::to_string(stage.after()), paint},
         {reason.empty() ? "no change" : reason, paint}});
  }
  table.Add({{"decided", Paint::kBold},
             {Arrow(record.decision().before(), record.decision().desired()), Paint::kBold},
             {""}});
  return out + table.Render(style);
}

// What came of an earlier decision: of this one nothing.
std::string Before(const v1::Record& record, const Style& style) {
  Table table(kIndent, {});
  for (const v1::Action& action : record.actions()) {
    const TimePoint at = FromProto(action.at());
    table.Add({{FormatTime(at, style)}, {FormatAgo(at, style), Paint::kDim}, {action.text()}});
  }
  return Title("What was done last, for an earlier decision", style) + table.Render(style);
}

std::string Actions(const v1::Record& record, const Style& style) {
  std::string out = Title(record.dry_run() ? "What would have been done" : "What was done", style);
  if (record.actions().empty()) {
    out += Changed(record)
               ? "  nothing yet; the daemon acts within a tick, so ask again in a moment.\n"
               : "  nothing: the capacity did not change.\n";
    return out;
  }
  if (FromProto(record.actions(0).at()) < FromProto(record.at())) return Before(record, style);
  Table table(kIndent, {});
  for (const v1::Action& action : record.actions()) {
    const TimePoint at = FromProto(action.at());
    const double after = ToSeconds(at - FromProto(record.at()));
    table.Add({{FormatClockMillis(at)},
               {"+" + OneDecimal(after < 0 ? 0 : after, "s"), Paint::kDim},
               {action.text()}});
  }
  return out + table.Render(style);
}

std::string Facts(const v1::Record& record, const Style& style) {
  const std::string id = record.id() > 0 ? "decision " + std::to_string(record.id())
                                         : "not stored, as nothing changed";
  const std::string capacity =
      "desired " + std::to_string(record.capacity().desired()) + ", ready " +
      std::to_string(record.capacity().ready()) + " when the tick began; min " +
      std::to_string(record.bounds().min()) + ", max " + std::to_string(record.bounds().max());
  Table table(kIndent, {});
  table.Add({{"when", Paint::kDim}, {FormatFullTime(FromProto(record.at())) + ", " + id}});
  table.Add({{"capacity", Paint::kDim}, {capacity}});
  if (!Changed(record)) {
    table.Add({{"why nothing changed", Paint::kDim}, {WhyNothing(record)}});
  }
  return table.Render(style);
}

int Explain(const Context& context, const v1::ExplainRequest& request) {
  return Ask(context, &v1::Control::Stub::Explain, request, [&](const v1::ExplainResponse& answer) {
    Show(context, answer.record(), [&] { return RenderExplain(answer.record(), context.style); });
  });
}

}  // namespace

std::string RenderExplain(const v1::Record& record, const Style& style) {
  return Headline(record, style) + Modes(record, style) + Facts(record, style) +
         Metrics(record, style) + Policy(record, style) + Stages(record, style) +
         Actions(record, style);
}

int RunExplain(const Context& context, const std::string& service) {
  v1::ExplainRequest request;
  request.set_service(service);
  return Explain(context, request);
}

int RunExplainDecision(const Context& context, int64_t id) {
  v1::ExplainRequest request;
  request.set_decision_id(id);
  return Explain(context, request);
}

}  // namespace autoscale::cli
