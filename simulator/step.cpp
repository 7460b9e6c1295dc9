#include "simulator/step.h"

#include <utility>

#include "engine/decision/project.h"
#include "engine/model/sample_rules.h"

namespace autoscale {

StepOutcome Step(PolicyHost& host, const ServiceSpec& service, StepInput input) {
  StepOutcome out;
  for (const MetricUse& use : service.metrics) {
    const MetricSpec& spec = *use.spec;
    out.samples.push_back(Judge(std::move(input.metrics[spec.name]), RulesOf(spec)));
  }
  Snapshot snapshot = SnapshotOf(service);
  snapshot.now = input.now;
  snapshot.capacity = input.capacity;
  snapshot.samples = out.samples;
  snapshot.state = input.state;
  Evaluation evaluation = host.Evaluate(*service.policy, snapshot);
  out.proposal = std::move(evaluation.proposal);
  out.history = std::move(input.history);
  out.history.AddProposal(input.now, out.proposal.capacity);
  out.conditions = std::move(input.conditions);
  out.decision = DecideWithProjections(
      service.rules, out.proposal, snapshot, out.history, out.conditions,
      [&](const Snapshot& then) { return AnswerOf(host.Evaluate(*service.policy, then)); });
  out.state = evaluation.state ? *std::move(evaluation.state) : std::move(input.state);
  const int delta = out.decision.desired - input.capacity.desired;
  if (delta != 0) out.history.AddChange(input.now, delta);
  out.history.Forget(input.now, service.rules);
  return out;
}

}  // namespace autoscale
