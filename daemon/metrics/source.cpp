#include "daemon/metrics/source.h"

namespace autoscale {

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

}  // namespace autoscale
