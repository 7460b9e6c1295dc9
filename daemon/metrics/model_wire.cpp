#include "daemon/metrics/model_wire.h"

#include <simdjson.h>

#include <array>
#include <charconv>
#include <cmath>

namespace autoscale {
namespace {

// The shortest text that reads back as the same number; JSON knows no other than finite ones.
std::string Number(double value) {
  if (!std::isfinite(value)) return "null";
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

}  // namespace

// Names of services and metrics hold nothing that JSON would have escaped.
std::string DescribeForModel(const ServiceSpec& service, const Capacity& capacity,
                             std::span<const Sample> samples) {
  std::string text = "{\"service\":\"" + service.name +
                     "\",\"desired\":" + std::to_string(capacity.desired) +
                     ",\"ready\":" + std::to_string(capacity.ready) + ",\"metrics\":{";
  bool first = true;
  for (size_t i = 0; i < samples.size(); ++i) {
    const MetricSpec& metric = *service.metrics[i].spec;
    if (metric.derived != nullptr && metric.derived->kind == DerivedSpec::Kind::kPredict) continue;
    const Sample& sample = samples[i];
    const bool fresh = sample.state == SampleState::kFresh;
    text += (first ? "\"" : ",\"") + metric.name +
            "\":{\"value\":" + (fresh ? Number(sample.value) : "null") + ",\"state\":\"" +
            std::string(ToString(sample.state)) + "\"}";
    first = false;
  }
  return text + "}}";
}

std::string ModelRequestBody(TimePoint now, Millis horizon, const std::string& metric,
                             const std::string& services) {
  return "{\"now\":" + Number(ToUnixSeconds(now)) + ",\"horizon\":" + Number(ToSeconds(horizon)) +
         ",\"metric\":\"" + metric + "\",\"services\":[" + services + "]}";
}

Result<std::vector<std::pair<std::string, double>>> ParseModelAnswer(const std::string& body) {
  std::vector<std::pair<std::string, double>> values;
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (const auto error = parser.parse(body).get(document)) {
    return Error{ErrorKind::kUnavailable,
                 std::string("answered what is no JSON: ") + simdjson::error_message(error)};
  }
  simdjson::dom::object services;
  if (document["services"].get(services) != simdjson::SUCCESS) {
    return Error{ErrorKind::kUnavailable,
                 "answered without numbers for services; the form is {\"services\": {NAME: "
                 "NUMBER}}"};
  }
  for (const auto& [name, element] : services) {
    if (element.is_null()) continue;
    double value = 0;
    if (element.get(value) != simdjson::SUCCESS) value = std::nan("");
    values.emplace_back(std::string(name), value);
  }
  return values;
}

}  // namespace autoscale
