#include "tests/fakes/prometheus.h"

#include <chrono>

namespace autoscale {
namespace {

std::string Row(const std::string& service, const std::string& part, double at, double value) {
  const std::string part_label = part.empty() ? "" : R"(,"autoscaled_part":")" + part + '"';
  return R"({"metric":{"service":")" + service + '"' + part_label + R"(},"value":[)" +
         std::to_string(at) + ",\"" + std::to_string(value) + "\"]}";
}

}  // namespace

FakePrometheus::FakePrometheus() { Start(); }

void FakePrometheus::Start() {
  server_ = std::make_unique<FakeHttpServer>(port_);
  port_ = server_->port();
  server_->Handle([this](const FakeRequest& request) { return Answer(request); });
}

void FakePrometheus::Stop() { server_.reset(); }

std::string FakePrometheus::Url() const { return "http://127.0.0.1:" + std::to_string(port_); }

void FakePrometheus::Set(const std::string& metric, const std::string& service, double value) {
  const std::lock_guard lock(mutex_);
  values_[metric][service] = value;
}

FakeAnswer FakePrometheus::Answer(const FakeRequest& request) {
  const std::lock_guard lock(mutex_);
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::string rows;
  for (const auto& [metric, services] : values_) {
    if (request.body.find(metric) == std::string::npos) continue;
    for (const auto& [service, value] : services) {
      if (!rows.empty()) rows += ',';
      rows += Row(service, "", now, value) + ',' + Row(service, "newest", now, now) + ',' +
              Row(service, "count", now, 1);
    }
  }
  return {.body = R"({"status":"success","data":{"resultType":"vector","result":[)" + rows + "]}}",
          .headers = {{"Content-Type", "application/json"}}};
}

}  // namespace autoscale
