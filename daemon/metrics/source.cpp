#include "daemon/metrics/source.h"

#include "daemon/telemetry/log.h"

namespace autoscale {

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
