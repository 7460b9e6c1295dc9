// Users' policies in the Lua host, within small limits.
//
// Input: the policy's text. C code that is slow by nature is left out of the library, so that no
// script takes long.
#include <memory>

#include "engine/policy/host.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

// Few instructions: sanitizers make each error cost as much as the stack is deep. The wall-clock
// limit is the only one that a busy machine could change.
constexpr PolicyLimits kLimits{.instructions = 4'000,
                               .memory_bytes = 512u << 10,
                               .wall = std::chrono::seconds(60),
                               .state_bytes = 2u << 10,
                               .source_bytes = 64u << 10};
constexpr int kPoliciesAHost = 300;

struct Service {
  std::vector<DeclaredMetric> metrics{{"cpu", Unit::kRatio}, {"rps", Unit::kPerSecond}};
  std::vector<Sample> samples{
      {.value = 0.9, .state = SampleState::kFresh, .age_s = 1.0F, .coverage = 1.0F},
      {.value = 100,
       .state = SampleState::kFresh,
       .instances = {{"i-1", 40, true}, {"i-2", 60, false}}}};
  Params params{{"target", 0.6}, {"mode", std::string("fast")}, {"strict", true}};
  std::string state = "s1:an1;s1:b{n1;s1:x}";

  [[nodiscard]] Snapshot View() const {
    return {.service = "shop",
            .now = FromUnixSeconds(1000),
            .capacity = {.desired = 4, .ready = 3},
            .bounds = {.min = 2, .max = 20},
            .metrics = metrics,
            .samples = samples,
            .params = &params,
            .state = state};
  }
};

void CheckEvaluation(const Evaluation& evaluation, const Service& service) {
  const Proposal& proposal = evaluation.proposal;
  ExpectMessage(proposal.reason);
  const bool hold = proposal.kind == ProposalKind::kHold;
  Expect(hold == (proposal.cause != HoldCause::kNone), "a hold, and nothing else, has a cause");
  Expect(proposal.capacity >= 0 && proposal.capacity <= 1'000'000, "a capacity is in range");
  Expect(!hold || proposal.capacity == service.View().capacity.desired, "a hold keeps what is");
  Expect(!evaluation.state || evaluation.state->size() <= kLimits.state_bytes + 64,
         "the state is within its limit");
  Expect(!evaluation.state || proposal.cause != HoldCause::kFault, "a fault keeps the state");
}

std::string Summary(const Evaluation& evaluation) {
  const Proposal& proposal = evaluation.proposal;
  return std::string(ToString(proposal.kind)) + " " + std::to_string(proposal.capacity) + " " +
         proposal.at + " " + proposal.reason + "\n" + evaluation.state.value_or("-");
}

// A host that has run many others' policies before.
PolicyHost& WornHost() {
  static std::unique_ptr<PolicyHost> host;
  static int served = 0;
  if (host == nullptr || ++served % kPoliciesAHost == 0) {
    host = std::make_unique<PolicyHost>(kLimits);
  }
  return *host;
}

void Run(std::string_view text) {
  static const Service service;
  const PolicySource source{.path = "policies/p.lua",
                            .text = std::string(text),
                            .hash = std::hash<std::string_view>()(text)};
  PolicyHost fresh(kLimits);
  PolicyHost& worn = WornHost();
  const Status loaded = fresh.Load(source);
  if (!loaded.ok()) ExpectMessage(loaded.error().message);
  const Evaluation first = fresh.Evaluate(source, service.View());
  CheckEvaluation(first, service);
  Expect(loaded.ok() || first.proposal.cause == HoldCause::kFault, "what does not load is a fault");
  // Whoever ran before, in this host or this policy itself: the same bytes.
  for (PolicyHost* host : {&fresh, &worn, &worn}) {
    const std::string again = Summary(host->Evaluate(source, service.View()));
    Expect(again == Summary(first), "the same input gives the same result", again);
  }
  const Result<std::string> checked = worn.Check(source, service.View());
  if (!checked.ok()) ExpectMessage(checked.error().message, 2000);
  if (checked.ok() && !checked->empty()) ExpectMessage(*checked, 2000);
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  autoscale::fuzz::Run(autoscale::fuzz::ToText(data, size));
  return 0;
}
