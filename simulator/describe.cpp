#include "simulator/describe.h"

#include "config/scalar.h"

namespace autoscale {
namespace {

std::string Stages(const Decision& decision) {
  std::string text;
  for (const StageRecord& stage : decision.stages) {
    text +=
        (text.empty() ? "" : ", ") + std::string(stage.name) + " " + std::to_string(stage.before);
    if (stage.after != stage.before) text += " -> " + std::to_string(stage.after);
    if (!stage.reason.empty()) text += " (" + stage.reason + ")";
  }
  return text;
}

// Four digits are enough to a reader.
std::string Short(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string Metrics(const StepOutcome& outcome, const ServiceSpec& service) {
  std::string text;
  for (size_t i = 0; i < outcome.samples.size() && i < service.declared.size(); ++i) {
    const Sample& sample = outcome.samples[i];
    text += (text.empty() ? "" : ", ") + service.declared[i].name + " ";
    text += sample.state == SampleState::kFresh ? Short(sample.value)
                                                : std::string(ToString(sample.state));
  }
  return text;
}

}  // namespace

std::string Describe(const Proposal& proposal) {
  std::string text = proposal.at.empty() ? "" : proposal.at + ": ";
  text += std::string(ToString(proposal.kind)) + " " + std::to_string(proposal.capacity);
  if (proposal.cause != HoldCause::kNone && proposal.cause != HoldCause::kPolicy) {
    text += " (cause " + std::string(ToString(proposal.cause)) + ")";
  }
  return text + ": " + proposal.reason;
}

std::string Describe(const SimulatedTick& tick, const ServiceSpec& service,
                     const std::string& indent) {
  const StepOutcome& outcome = tick.outcome;
  const Decision& decision = outcome.decision;
  std::string text = indent + "decision: desired " + std::to_string(decision.before);
  if (decision.desired != decision.before) text += " -> " + std::to_string(decision.desired);
  text += ", ready " + std::to_string(tick.capacity.ready) + ": " + decision.reason;
  text += "\n" + indent + "policy:   " + Describe(outcome.proposal);
  text += "\n" + indent + "stages:   " + Stages(decision);
  if (!outcome.samples.empty()) text += "\n" + indent + "metrics:  " + Metrics(outcome, service);
  return text;
}

}  // namespace autoscale
