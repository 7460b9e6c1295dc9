#include "cli/eval_input.h"

#include <gtest/gtest.h>

#include <array>

namespace autoscale::cli {
namespace {

const std::array<DeclaredMetric, 2> kDeclared = {DeclaredMetric{"cpu", Unit::kRatio},
                                                 DeclaredMetric{"errors", Unit::kRatio}};

std::string Refusal(const std::string& text) {
  const auto input = ParseEvalInput(text, kDeclared);
  return input ? "accepted" : input.error().message;
}

// A valid input with one member put in or replaced: {"now":100,"capacity":{...},REST}.
std::string With(const std::string& rest) {
  return R"({"now": 100, "capacity": {"desired": 2, "ready": 1})" + rest + "}";
}

TEST(ParseEvalInput, ReadsTheDocumentedForm) {
  const auto input = ParseEvalInput(R"({
      "now": 1000.5,
      "capacity": {"desired": 3, "ready": 2},
      "metrics": {"cpu": {"value": 0.91, "state": "fresh", "age": 1.0, "coverage": 1.0,
                          "instances": {"i-2": {"value": 0.8, "ready": false},
                                        "i-1": {"value": 0.9, "ready": true}}}},
      "history": [{"at": 900, "proposal": 2, "applied": 2},
                  {"at": 950, "proposal": 2, "applied": 2},
                  {"at": 990, "proposal": 5, "applied": 3}]})",
                                    kDeclared);
  ASSERT_TRUE(input.ok()) << input.error().message;
  EXPECT_EQ(input->now, TimePoint(Millis(1'000'500)));
  EXPECT_EQ(input->capacity.desired, 3);
  EXPECT_EQ(input->capacity.ready, 2);
  const Sample& cpu = input->metrics.at("cpu");
  EXPECT_EQ(cpu.value, 0.91);
  EXPECT_EQ(cpu.state, SampleState::kFresh);
  EXPECT_EQ(cpu.age_s, 1.0f);
  ASSERT_EQ(cpu.instances.size(), 2u);
  EXPECT_EQ(cpu.instances[0].instance, "i-1");  // sorted by id
  EXPECT_FALSE(cpu.instances[1].ready);
  EXPECT_EQ(input->metrics.count("errors"), 0u);

  // Two equal proposals are one run; 2 -> 3 applied at 990 is one change.
  const TimePoint t900(Millis(900'000)), t950(Millis(950'000)), t990(Millis(990'000));
  ASSERT_EQ(input->history.proposals().size(), 2u);
  EXPECT_EQ(input->history.proposals()[0],
            (ProposalRun{.first = t900, .last = t950, .capacity = 2}));
  ASSERT_EQ(input->history.changes().size(), 1u);
  EXPECT_EQ(input->history.changes()[0], (AppliedChange{.at = t990, .delta = 1}));
}

TEST(ParseEvalInput, FillsInWhatIsObvious) {
  const auto input = ParseEvalInput(R"({"now": 1, "capacity": {"desired": 3.0},
                         "metrics": {"cpu": {"value": 1}, "errors": {"value": null}}})",
                                    kDeclared);
  ASSERT_TRUE(input.ok()) << input.error().message;
  EXPECT_EQ(input->capacity.ready, 3);
  EXPECT_EQ(input->metrics.at("cpu").state, SampleState::kFresh);
  EXPECT_EQ(input->metrics.at("errors").state, SampleState::kEmpty);
  EXPECT_FALSE(input->metrics.at("cpu").age_s.has_value());
}

TEST(ParseEvalInput, TakesEachStateWithoutAValue) {
  for (const char* state : {"stale", "partial", "empty", "nan", "error"}) {
    const std::string metric = R"({"state": ")" + std::string(state) + R"("})";
    EXPECT_EQ(Refusal(With(R"(, "metrics": {"cpu": )" + metric + "}")), "accepted") << state;
  }
}

TEST(ParseEvalInput, SaysWhereAndWhatIsWrong) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "not JSON: parse error at line 1, column 1"},
      {"{\"now\": 1,}", "not JSON: parse error at line 1"},
      {"[]", "the input: must be an object, not an array"},
      {"{}", "now: is missing\ncapacity: is missing"},
      {R"({"now": "1", "capacity": {"desired": 1}})", "now: must be a number, not a string"},
      {R"({"now": 1767323527000, "capacity": {"desired": 1}})",
       "now: is too large for unix seconds; was it given in milliseconds?"},
      {R"({"now": -1, "capacity": {"desired": 1}})", "now: is -1; it must be from 0"},
      {R"({"now": 1, "capacity": 3})", "capacity: must be an object, not a number"},
      {R"({"now": 1, "capacity": {"ready": 1}})", "capacity.desired: is missing"},
      {R"({"now": 1, "capacity": {"desired": 1.5}})",
       "capacity.desired: must be a whole number of instances"},
      {R"({"now": 1, "capacity": {"desired": -1}})", "capacity.desired: is -1"},
      {R"({"now": 1, "capacity": {"desired": 1e300}})", "capacity.desired: is 1e+300"},
      {With(R"(, "metric": {})"),
       "metric: unknown key; known here: now, capacity, metrics, history, state"},
      {With(R"(, "metrics": [])"), "metrics: must be an object, not an array"},
      {With(R"(, "metrics": {"cpi": {"value": 1}})"),
       "metrics.cpi: the service has no such metric; it declares cpu, errors"},
      {With(R"(, "metrics": {"cpu": 0.5})"), "metrics.cpu: must be an object, not a number"},
      {With(R"(, "metrics": {"cpu": {"value": "0.5"}})"),
       "metrics.cpu.value: must be a number, not a string"},
      {With(R"(, "metrics": {"cpu": {"state": "fresh"}})"),
       "metrics.cpu.value: is missing, and the state is fresh"},
      {With(R"(, "metrics": {"cpu": {"state": "good"}})"),
       "metrics.cpu.state: is \"good\"; it must be fresh, stale, partial, empty, nan, error or "
       "implausible"},
      {With(R"(, "metrics": {"cpu": {"state": )" + std::string(100'000, '[') +
            std::string(100'000, ']') + "}}"),
       "metrics.cpu.state: is an array; it must be fresh, stale, partial, empty, nan, error or "
       "implausible"},
      {With(R"(, "metrics": {"cpu": {"value": 1e999}})"),
       "not JSON: number overflow parsing '1e999'"},
      {With(R"(, "metrics": {"cpu": {"value": 1, "coverage": 90}})"),
       "metrics.cpu.coverage: is 90; it must be from 0.0 to 10.0"},
      {With(R"(, "metrics": {"cpu": {"value": 1, "age": -1}})"), "metrics.cpu.age: is -1"},
      {With(R"(, "metrics": {"cpu": {"value": 1, "unit": "ratio"}})"),
       "metrics.cpu.unit: unknown key; known here: value, state, age, coverage, instances"},
      {With(R"(, "metrics": {"cpu": {"value": 1, "instances": {"i-1": {}}}})"),
       "metrics.cpu.instances.i-1.value: is missing"},
      {With(
           R"(, "metrics": {"cpu": {"value": 1, "instances": {"i-1": {"value": 1, "ready": 1}}}})"),
       "metrics.cpu.instances.i-1.ready: must be true or false"},
      {With(R"(, "history": {})"), "history: must be an array, not an object"},
      {With(R"(, "history": [{"at": 1, "proposal": 1}])"), "history[0].applied: is missing"},
      {With(R"(, "history": [{"at": 2, "proposal": 1, "applied": 1},
                             {"at": 1, "proposal": 1, "applied": 1}])"),
       "history[1].at: is before the entry above it; give the oldest first"},
      {With(R"(, "history": [{"at": 101, "proposal": 1, "applied": 1}])"),
       "history[0].at: is after now"},
      {With(R"(, "state": {})"), "state: must be the string that an earlier evaluation printed"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_EQ(Refusal(text).substr(0, message.size()), message) << text;
  }
}

TEST(ParseEvalInput, ReportsEveryFaultAtOnce) {
  EXPECT_EQ(Refusal(R"({"nwo": 1, "capacity": {"desired": "2"}})"),
            "nwo: unknown key; known here: now, capacity, metrics, history, state\n"
            "now: is missing\n"
            "capacity.desired: must be a number, not a string");
}

}  // namespace
}  // namespace autoscale::cli
