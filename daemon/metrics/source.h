// MetricSource: the seam to Prometheus, for the tick thread.
#pragma once

#include <functional>
#include <memory>

#include "config/spec.h"
#include "daemon/courier.h"
#include "daemon/telemetry/telemetry.h"
#include "net/prometheus.h"

namespace autoscale {

class MetricSource {
 public:
  virtual ~MetricSource() = default;
  // Asks, and calls back on the tick thread, once, within about the time-out. Never blocks.
  virtual void Ask(const MetricQuery& query, Millis timeout,
                   std::function<void(Result<Answer>)> done) = 0;
  // What was; the same.
  virtual void AskRange(const RangeQuery& query, Millis timeout,
                        std::function<void(Result<RangeAnswer>)> done) = 0;
};

class PrometheusSource final : public MetricSource {
 public:
  // The client is used on the loop's thread alone; all outlive this. Tells and counts each change
  // of the endpoint in use.
  PrometheusSource(PrometheusClient& client, Courier& courier, Counters& counters);
  void Ask(const MetricQuery& query, Millis timeout,
           std::function<void(Result<Answer>)> done) override;
  void AskRange(const RangeQuery& query, Millis timeout,
                std::function<void(Result<RangeAnswer>)> done) override;

 private:
  PrometheusClient& client_;
  Courier& courier_;
  Counters& counters_;
};

// How to reach it, with the secrets that its specification names; they are read again where a
// server refuses them.
Result<PrometheusOptions> ConnectTo(const PrometheusSpec& spec);

}  // namespace autoscale
