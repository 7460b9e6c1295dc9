#include "daemon/metrics/source.h"

#include "config/section.h"
#include "daemon/telemetry/log.h"

namespace autoscale {
namespace {

// Leaves it as it is where there is none to be read.
Status ReadInto(std::string& secret, const std::optional<SecretRef>& ref, const char* name) {
  if (!ref) return Ok{};
  auto read = ReadSecret(*ref);
  if (!read.ok()) return std::move(read).error().Within(std::string("prometheus.") + name);
  secret = *std::move(read);
  return Ok{};
}

}  // namespace

Result<PrometheusOptions> ConnectTo(const PrometheusSpec& spec) {
  PrometheusOptions options{.urls = spec.urls,
                            .timeout = spec.timeout,
                            .username = spec.username,
                            .ca_file = spec.ca_file,
                            .max_answer_bytes = spec.max_answer_bytes};
  const auto read = [spec](std::string& token, std::string& password) -> Status {
    if (Status done = ReadInto(token, spec.bearer_token, "bearer_token"); !done) return done;
    return ReadInto(password, spec.password, "password");
  };
  if (Status done = read(options.bearer_token, options.password); !done) return done.error();
  options.renew = [read](std::string& token, std::string& password) {
    static_cast<void>(read(token, password).ok());  // the refusal is told all the same
  };
  return options;
}

PrometheusSource::PrometheusSource(PrometheusClient& client, Courier& courier, Counters& counters)
    : client_(client), courier_(courier), counters_(counters) {
  client_.OnFailover([this](const PrometheusClient::Failover& failover) {
    ++counters_.prometheus_failovers;
    LogWarning("another Prometheus endpoint answers from now on",
               {{"from", failover.from}, {"to", failover.to}, {"error", failover.why}});
  });
}

void PrometheusSource::Ask(const MetricQuery& query, Millis timeout,
                           std::function<void(Result<Answer>)> done) {
  ++counters_.queries;
  courier_.ToLoop([this, query, timeout, done = std::move(done)]() mutable {
    client_.Query(query, timeout, [this, done = std::move(done)](Result<Answer> answer) mutable {
      if (!answer.ok()) ++counters_.query_errors;
      // A task must be copyable and an answer is worth not copying.
      auto shared = std::make_shared<Result<Answer>>(std::move(answer));
      courier_.ToTick([done = std::move(done), shared] { done(std::move(*shared)); });
    });
  });
}

void PrometheusSource::AskRange(const RangeQuery& query, Millis timeout,
                                std::function<void(Result<RangeAnswer>)> done) {
  ++counters_.history_queries;
  courier_.ToLoop([this, query, timeout, done = std::move(done)]() mutable {
    client_.QueryRange(
        query, timeout, [this, done = std::move(done)](Result<RangeAnswer> answer) mutable {
          if (!answer.ok()) ++counters_.history_errors;
          auto shared = std::make_shared<Result<RangeAnswer>>(std::move(answer));
          courier_.ToTick([done = std::move(done), shared] { done(std::move(*shared)); });
        });
  });
}

}  // namespace autoscale
