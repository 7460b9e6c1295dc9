// What a model outside answers, and whether it can read what it is told.
//
// Input: what the rest is ('0' an answer's body, '1' values that it is told, eight bytes each),
// then that.
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "daemon/metrics/model_wire.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

constexpr int kStates = 7;

bool IsSame(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

void CheckAnswer(const std::string& body) {
  const auto answer = ParseModelAnswer(body);
  const auto again = ParseModelAnswer(body);
  Expect(answer.ok() == again.ok(), "the same body gives the same answer");
  if (!answer.ok()) {
    ExpectMessage(answer.error().message);
    return;
  }
  Expect(answer->size() == again->size(), "the same body gives the same answer");
  Expect(answer->size() <= body.size(), "no more services than text");
  for (size_t i = 0; i < answer->size(); ++i) {
    const auto& [name, value] = (*answer)[i];
    Expect(!std::isinf(value), "a value is a number or none", name);
    Expect(name == (*again)[i].first && IsSame(value, (*again)[i].second),
           "the same body gives the same answer", name);
  }
}

void CheckTold(std::string_view bytes) {
  ServiceSpec service;
  service.name = "web";
  std::vector<Sample> samples;
  for (double value = 0; bytes.size() >= sizeof value; bytes.remove_prefix(sizeof value)) {
    std::memcpy(&value, bytes.data(), sizeof value);
    auto spec = std::make_shared<MetricSpec>();
    spec->name = "m" + std::to_string(samples.size());
    service.metrics.push_back({.spec = std::move(spec), .key = {}});
    const auto state = static_cast<SampleState>(static_cast<uint8_t>(bytes[0]) % kStates);
    samples.push_back({.value = value, .state = state});
  }
  const std::string told =
      ModelRequestBody(FromUnixSeconds(1e9), Millis(60'000), "soon",
                       DescribeForModel(service, {.desired = 3, .ready = 2}, samples));
  const nlohmann::json read = nlohmann::json::parse(told, nullptr, false);
  Expect(!read.is_discarded(), "what is told is JSON", told);
  const nlohmann::json& metrics = read["services"][0]["metrics"];
  Expect(samples.empty() || metrics.size() == samples.size(), "every metric is told", told);
  for (size_t i = 0; i < samples.size(); ++i) {
    const nlohmann::json& one = metrics["m" + std::to_string(i)];
    Expect(one["state"] == ToString(samples[i].state), "the state is told", told);
    const bool known = samples[i].state == SampleState::kFresh && std::isfinite(samples[i].value);
    Expect(known ? one["value"] == samples[i].value : one["value"].is_null(),
           "the value is told bit for bit, or null", told);
  }
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace autoscale::fuzz;
  std::string_view text = ToText(data, size);
  if (TakeChoice(text, 2) == 0) {
    CheckAnswer(std::string(text));
  } else {
    CheckTold(text);
  }
  return 0;
}
