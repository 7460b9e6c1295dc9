#include "daemon/telemetry/telemetry.h"

#include <string_view>
#include <utility>

#include "daemon/telemetry/exposition.h"
#include "daemon/telemetry/http_server.h"

namespace autoscale {
namespace {

HttpAnswer Probe(const std::function<std::string()>& problem, const char* fine) {
  const std::string sentence = problem ? problem() : std::string();
  if (sentence.empty()) return {.body = std::string(fine) + "\n"};
  return {.status = 503, .body = sentence + "\n"};
}

HttpAnswer Scrape(const Counters& counters, const TelemetrySources& sources) {
  const auto services = sources.services ? sources.services() : std::vector<ServiceGauges>();
  const auto usage = sources.usage ? sources.usage() : std::vector<UsageView>();
  const auto prometheus = sources.prometheus ? sources.prometheus() : std::vector<EndpointGauges>();
  return {.body = RenderMetrics(counters, services, usage, prometheus), .type = kExpositionType};
}

HttpAnswer Handle(const Counters& counters, const TelemetrySources& sources,
                  std::string_view method, std::string_view path) {
  const bool known = path == "/metrics" || path == "/healthz" || path == "/readyz";
  if (!known) return {.status = 404, .body = "Try /metrics, /healthz or /readyz.\n"};
  if (method != "GET") {
    return {.status = 405, .body = "Only GET is served here.\n", .allow = "GET"};
  }
  if (path == "/healthz") return Probe(sources.unhealthy, "healthy");
  if (path == "/readyz") return Probe(sources.unready, "ready");
  return Scrape(counters, sources);
}

}  // namespace

TelemetryServer::TelemetryServer(std::unique_ptr<HttpServer> server) : server_(std::move(server)) {}
TelemetryServer::~TelemetryServer() = default;
int TelemetryServer::port() const { return server_->port(); }

Result<std::unique_ptr<TelemetryServer>> TelemetryServer::Start(const std::string& address,
                                                                int port, const Counters& counters,
                                                                TelemetrySources sources) {
  auto server = HttpServer::Start(
      address, port,
      [&counters, sources = std::move(sources)](std::string_view method, std::string_view path) {
        return Handle(counters, sources, method, path);
      });
  if (!server) {
    Error error = std::move(server).error();
    if (error.kind == ErrorKind::kUnavailable) {
      error.message += "; end what uses the port, or set another under listen";
    }
    return error;
  }
  return std::unique_ptr<TelemetryServer>(new TelemetryServer(std::move(server).value()));
}

}  // namespace autoscale
