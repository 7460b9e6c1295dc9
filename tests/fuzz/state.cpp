// What the daemon finds on disk when it starts: a service's history, decision records, the folders
// of instances. And what a person gives `policy eval`.
//
// Input: what the rest is ('0' history, '1' decision record, '2' process identity, '3' /proc stat,
// '4' the input of an evaluation),
// then the text.
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/eval_input.h"
#include "engine/decision/decide.h"
#include "engine/record/record.h"
#include "providers/process/identity.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr TimePoint kNow{seconds(1'700'000'000)};

ScalingRules Rules() {
  return {.bounds = {.min = 2, .max = 20},
          .up = {.stabilization = minutes(1),
                 .cooldown = minutes(1),
                 .limits = {{RateLimit::Kind::kPercent, 100, minutes(1)},
                            {RateLimit::Kind::kInstances, 4, minutes(30)}}},
          .down = {.stabilization = minutes(5),
                   .cooldown = minutes(1),
                   .select = RateSelect::kMin,
                   .limits = {{RateLimit::Kind::kPercent, 10, minutes(1)},
                              {RateLimit::Kind::kInstances, 1, minutes(30)}}},
          .reversals = {.most = 2, .period = minutes(10)}};
}

// The daemon goes on with it as with one of its own.
void GoOn(History history, int proposed) {
  const ScalingRules rules = Rules();
  history.Resume(kNow);
  history.AddProposal(kNow, proposed);
  history.Forget(kNow, rules);
  const Proposal proposal{.kind = ProposalKind::kScaleTo, .capacity = proposed, .reason = "r"};
  for (const int desired : {2, 10, 20}) {
    const Capacity capacity{.desired = desired, .ready = desired};
    const Decision decision = Decide(rules, proposal, capacity, kNow, history);
    Expect(decision.desired >= 2 && decision.desired <= 20, "a decision is within the bounds");
    const Decision again = Decide(rules, proposal, capacity, kNow, history);
    Expect(decision.reason == again.reason && decision.desired == again.desired,
           "the same history decides the same", again.reason);
  }
  Expect(History::Decode(history.Encode()).ok(), "a history goes on", history.Encode());
}

void CheckHistory(std::string_view text) {
  const Result<History> history = History::Decode(text);
  if (!history.ok()) return ExpectMessage(history.error().message);
  const std::string written = history->Encode();
  const Result<History> again = History::Decode(written);
  Expect(again.ok() && *again == *history, "a history comes back", written);
  for (const int proposed : {0, 3, 1'000'000}) GoOn(*history, proposed);
}

void CheckRecord(std::string_view text) {
  const Result<DecisionRecord> record = RecordFromJson(text);
  if (!record.ok()) return ExpectMessage(record.error().message);
  const std::string written = ToJson(*record).dump();
  const Result<DecisionRecord> again = RecordFromJson(written);
  Expect(again.ok(), "a record comes back", written);
  Expect(ToJson(*again).dump() == written, "a record comes back the same", written);
}

void CheckIdentity(std::string_view text) {
  const std::optional<ProcessIdentity> identity = ParseProcessIdentity(text);
  if (!identity) return;
  Expect(identity->pid > 1, "no signal ever goes to 0, 1 or a group");
  Expect(!identity->boot_id.empty(), "a boot id");
  Expect(ParseProcessIdentity(ToText(*identity)) == identity, "an identity comes back");
}

void CheckEvaluationInput(std::string_view text) {
  static const std::vector<DeclaredMetric> declared = {{"cpu", Unit::kRatio},
                                                       {"rps", Unit::kPerSecond}};
  const Result<StepInput> input = cli::ParseEvalInput(text, declared);
  if (!input.ok()) return Expect(!input.error().message.empty(), "no error without a message");
  Expect(input->capacity.desired >= 0 && input->capacity.desired <= 1'000'000, "a capacity");
  for (const auto& [name, sample] : input->metrics) {
    Expect(name == "cpu" || name == "rps", "a metric that was declared", name);
    Expect(std::isfinite(sample.value), "a value is a number", name);
  }
  const std::string written = input->history.Encode();
  const Result<History> again = History::Decode(written);
  Expect(again.ok() && *again == input->history, "a history comes back", written);
}

void Run(std::string_view text) {
  switch (TakeChoice(text, 5)) {
    case 0:
      return CheckHistory(text);
    case 1:
      return CheckRecord(text);
    case 2:
      return CheckIdentity(text);
    case 3:
      return static_cast<void>(ParseProcessStat(text));
    default:
      return CheckEvaluationInput(text);
  }
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  autoscale::fuzz::Run(autoscale::fuzz::ToText(data, size));
  return 0;
}
