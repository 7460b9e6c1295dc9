// The stand-in of Prometheus.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numbers>
#include <random>

#include "tests/bench/fleet_metrics.h"
#include "tests/bench/fleet_rig.h"
#include "tests/fakes/http_server.h"

namespace autoscale {
namespace {

constexpr int kVariants = 4;              // answers that take turns, so that values vary
constexpr double kShareOutOfBand = 1e-3;  // of the services in a variant: these scale
constexpr double kShareChanging = 0.05;   // the same where changes are to be measured

void AppendSeries(std::string& body, const std::string& service, const char* part, double value) {
  char text[200];
  std::snprintf(text, sizeof text,
                R"(%s{"metric":{%s%s%s"service":"%s"},"value":[1700000000.123,"%.17g"]})",
                body.back() == '[' ? "" : ",", *part != 0 ? R"("autoscaled_part":")" : "", part,
                *part != 0 ? "\"," : "", service.c_str(), value);
  body += text;
}

std::string MakeAnswer(size_t metric, int variant, const FleetShape& shape) {
  const int services = shape.services;
  const double out_of_band = shape.with == FleetWith::kChanges ? kShareChanging : kShareOutOfBand;
  std::mt19937 random(static_cast<unsigned>(metric) * 100 + static_cast<unsigned>(variant));
  std::uniform_real_distribution<double> share(0, 1);
  std::string body = R"({"status":"success","data":{"resultType":"vector","result":[)";
  for (int i = 0; i < services; ++i) {
    double value = 0;
    if (metric == 0) value = share(random) < out_of_band ? 0.9 : 0.57 + 0.06 * share(random);
    if (metric == 1) value = 0.050 + 0.100 * share(random);
    if (metric == 2) value = 0.010 * share(random);
    AppendSeries(body, NameOf(i), "", value);
  }
  for (int i = 0; i < services; ++i) {
    AppendSeries(body, NameOf(i), "newest", 1700000000.123 - 2 * share(random));
  }
  // Enough for the services that have scaled out, too.
  for (int i = 0; i < services; ++i) AppendSeries(body, NameOf(i), "count", 10 * shape.instances);
  return body + "]}}";
}

double FormNumber(const std::string& form, const std::string& field) {
  const size_t at = form.find(field + "=");
  return at == std::string::npos ? 0 : std::strtod(form.c_str() + at + field.size() + 1, nullptr);
}

// The processors' past: a day like the other.
std::string MakePast(const std::string& form, int services) {
  const double start = FormNumber(form, "start"), end = FormNumber(form, "end");
  const double step = std::max(FormNumber(form, "step"), 1.0);
  std::string values;
  for (double at = start; at < end + step / 2; at += step) {
    char text[80];
    std::snprintf(text, sizeof text, "%s[%.3f,\"%.4f\"]", values.empty() ? "" : ",", at,
                  0.45 + 0.15 * std::sin(2 * std::numbers::pi * at / 86'400));
    values += text;
  }
  std::string body = R"({"status":"success","data":{"resultType":"matrix","result":[)";
  for (int i = 0; i < services; ++i) {
    body += std::string(i == 0 ? "" : ",") + R"({"metric":{"service":")" + NameOf(i) +
            R"("},"values":[)" + values + "]}";
  }
  return body + "]}}";
}

}  // namespace

void ServePrometheus(const FleetShape& shape, int port_pipe) {
  std::vector<std::string> answers;
  for (size_t metric = 0; metric < kMetrics.size(); ++metric) {
    for (int variant = 0; variant < kVariants; ++variant) {
      answers.push_back(MakeAnswer(metric, variant, shape));
    }
  }
  std::array<size_t, kMetrics.size()> turn{};
  FakeHttpServer server;
  server.Handle([&](const FakeRequest& request) {
    if (request.target.find("query_range") != std::string::npos) {
      return FakeAnswer{.body = MakePast(request.body, shape.services)};
    }
    for (size_t metric = 0; metric < kMetrics.size(); ++metric) {
      if (request.body.find(kMetrics[metric].series) == std::string::npos) continue;
      return FakeAnswer{.body = answers[metric * kVariants + turn[metric]++ % kVariants]};
    }
    return FakeAnswer{.status = 404};
  });
  const int port = server.port();
  if (write(port_pipe, &port, sizeof port) != sizeof port) std::exit(1);
  for (;;) pause();
}

}  // namespace autoscale
