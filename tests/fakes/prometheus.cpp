#include "tests/fakes/prometheus.h"

#include <chrono>
#include <cstdlib>

namespace autoscale {
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

void FakePrometheus::SetPast(const std::string& metric, std::function<double(double at)> past) {
  const std::lock_guard lock(mutex_);
  pasts_[metric] = std::move(past);
}

void FakePrometheus::Break(const std::string& metric, Fault fault) {
  const std::lock_guard lock(mutex_);
  faults_[metric] = std::move(fault);
}

void FakePrometheus::Mend(const std::string& metric) {
  const std::lock_guard lock(mutex_);
  faults_.erase(metric);
}

std::string FakePrometheus::Series(const std::string& labels, const std::string& part, double at,
                                   const std::string& value) {
  const std::string part_label = part.empty() ? "" : R"(,"autoscaled_part":")" + part + '"';
  return R"({"metric":{)" + labels + part_label + R"(},"value":[)" + std::to_string(at) + ",\"" +
         value + "\"]}";
}

std::string FakePrometheus::Rows(const std::string& service, const std::string& value, double now,
                                 double age_s, int series) {
  const std::string labels = R"("service":")" + service + '"';
  return Series(labels, "", now, value) + ',' +
         Series(labels, "newest", now, std::to_string(now - age_s)) + ',' +
         Series(labels, "count", now, std::to_string(series));
}

FakeAnswer FakePrometheus::Vector(const std::string& rows) {
  return {.body = R"({"status":"success","data":{"resultType":"vector","result":[)" + rows + "]}}",
          .headers = {{"Content-Type", "application/json"}}};
}

std::string FakePrometheus::RangeRows(const std::string& form) {
  const auto number = [&](const std::string& name) {
    const size_t at = form.find("&" + name + "=");
    return at == std::string::npos ? 0 : std::atof(form.c_str() + at + name.size() + 2);
  };
  std::string rows;
  for (const auto& [metric, past] : pasts_) {
    if (form.find(metric) == std::string::npos) continue;
    for (const auto& [service, value] : values_[metric]) {
      std::string points;
      for (double at = number("start"); at <= number("end") + 1e-3; at += number("step")) {
        points += (points.empty() ? "[" : ",[") + std::to_string(at) + ",\"" +
                  std::to_string(past(at)) + "\"]";
      }
      rows += (rows.empty() ? "" : ",") + (R"({"metric":{"service":")" + service) +
              R"("},"values":[)" + points + "]}";
    }
  }
  return rows;
}

FakeAnswer FakePrometheus::Answer(const FakeRequest& request) {
  const std::lock_guard lock(mutex_);
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (const auto& [metric, fault] : faults_) {
    if (request.body.find(metric) != std::string::npos) return fault(now);
  }
  if (request.target.starts_with("/api/v1/query_range")) {
    return {.body = R"({"status":"success","data":{"resultType":"matrix","result":[)" +
                    RangeRows(request.body) + "]}}",
            .headers = {{"Content-Type", "application/json"}}};
  }
  std::string rows;
  for (const auto& [metric, services] : values_) {
    if (request.body.find(metric) == std::string::npos) continue;
    for (const auto& [service, value] : services) {
      rows += (rows.empty() ? "" : ",") + Rows(service, std::to_string(value), now);
    }
  }
  return Vector(rows);
}

}  // namespace autoscale
