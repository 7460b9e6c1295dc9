#include "simulator/scenario.h"

namespace autoscale {
namespace {

// The reading that counts at `elapsed`; null: none does yet.
const LoadSpan* SpanAt(const Scenario& scenario, size_t metric, Millis elapsed) {
  const LoadSpan* over = nullptr;
  const LoadSpan* lasting = nullptr;
  for (const LoadSpan& span : scenario.loads) {
    if (span.metric != metric || span.from > elapsed) continue;
    if (!span.to) {
      if (lasting == nullptr || span.from >= lasting->from) lasting = &span;
    } else if (elapsed < *span.to) {
      over = &span;
    }
  }
  return over != nullptr ? over : lasting;
}

Reading ReadingAt(const LoadSpan& span, Millis elapsed) {
  Reading reading = span.reading;
  if (span.ramp_to) {
    const double share = ToSeconds(elapsed - span.from) / ToSeconds(*span.to - span.from);
    reading.value += (*span.ramp_to - reading.value) * share;
  }
  return reading;
}

double QuantityOf(Condition::Subject subject, const SimulatedTick& tick, int64_t changes) {
  const int desired = tick.outcome.decision.desired;
  switch (subject) {
    case Condition::Subject::kReady:
      return tick.capacity.ready;
    case Condition::Subject::kPending:
      return std::max(0, desired - tick.capacity.ready);
    case Condition::Subject::kWanted:
      return tick.outcome.proposal.capacity;
    case Condition::Subject::kChanges:
      return static_cast<double>(changes);
    default:
      return desired;
  }
}

bool Compare(const Condition& condition, double value) {
  switch (condition.relation) {
    case Condition::Relation::kAtLeast:
      return value >= condition.number;
    case Condition::Relation::kAtMost:
      return value <= condition.number;
    case Condition::Relation::kAbove:
      return value > condition.number;
    case Condition::Relation::kBelow:
      return value < condition.number;
    case Condition::Relation::kBetween:
      return value >= condition.number && value <= condition.upper;
    case Condition::Relation::kEqual:
      break;
  }
  return value == condition.number;
}

bool Moves(std::string_view how, const Decision& decision) {
  const int delta = decision.desired - decision.before;
  return how == "rises" ? delta > 0 : how == "falls" ? delta < 0 : delta == 0;
}

bool Changed(std::string_view name, const Decision& decision) {
  for (const StageRecord& stage : decision.stages) {
    if (stage.name == name && stage.before != stage.after) return true;
  }
  return false;
}

bool IsSo(const Condition& condition, const SimulatedTick& tick, int64_t changes) {
  const StepOutcome& outcome = tick.outcome;
  switch (condition.subject) {
    case Condition::Subject::kMove:
      return Moves(condition.text, outcome.decision);
    case Condition::Subject::kProposal:
      return ToString(outcome.proposal.kind) == condition.text;
    case Condition::Subject::kCause:
      return ToString(outcome.proposal.cause) == condition.text;
    case Condition::Subject::kReason:
      return outcome.decision.reason.find(condition.text) != std::string::npos ||
             outcome.proposal.reason.find(condition.text) != std::string::npos;
    case Condition::Subject::kStage:
      return Changed(condition.text, outcome.decision);
    default:
      return Compare(condition, QuantityOf(condition.subject, tick, changes));
  }
}

}  // namespace

bool Holds(const Condition& condition, const SimulatedTick& tick, int64_t changes) {
  return IsSo(condition, tick, changes) != condition.negated;
}

std::map<std::string, Sample> SamplesAt(const Scenario& scenario, Millis elapsed,
                                        const Capacity& capacity) {
  std::map<std::string, Sample> samples;
  const auto& metrics = scenario.setup.service.metrics;
  for (size_t i = 0; i < metrics.size(); ++i) {
    const LoadSpan* span = SpanAt(scenario, i, elapsed);
    if (span == nullptr) continue;
    samples[metrics[i].spec->name] =
        MakeSample(ReadingAt(*span, elapsed), *metrics[i].spec, capacity);
  }
  return samples;
}

}  // namespace autoscale
