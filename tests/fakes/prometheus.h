// FakePrometheus: answers instant queries for metrics that are named by the queries themselves,
// with the age and the number of series that autoscaled asks for in the same request.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "tests/fakes/http_server.h"

namespace autoscale {

// A query asks for the metric whose name stands in it ("load", or "sum by (service) (load)"); no
// name may be part of another. Every method may be called from any thread.
class FakePrometheus {
 public:
  FakePrometheus();

  // The value of the series {service="..."} from now on.
  void Set(const std::string& metric, const std::string& service, double value);
  // What range queries for the metric are answered for every service that has a value; `at` in unix
  // seconds. None until then.
  void SetPast(const std::string& metric, std::function<double(double at)> past);
  // Queries for the metric are answered so until it is mended; `now` in unix seconds.
  using Fault = std::function<FakeAnswer(double now)>;
  void Break(const std::string& metric, Fault fault);
  void Mend(const std::string& metric);

  // A series of an answer. `labels` as JSON without braces; `part` is "newest", "count" or, for the
  // value itself, empty; `value` as Prometheus writes it.
  static std::string Series(const std::string& labels, const std::string& part, double at,
                            const std::string& value);
  // The three series that speak of one service: its value, their age and number.
  static std::string Rows(const std::string& service, const std::string& value, double now,
                          double age_s = 0, int series = 1);
  // The answer that holds these series, separated by commas.
  static FakeAnswer Vector(const std::string& rows);

  // Connections are refused until it is started again, at the same port.
  void Stop();
  void Start();
  [[nodiscard]] std::string Url() const;

 private:
  FakeAnswer Answer(const FakeRequest& request);
  std::string RangeRows(const std::string& form);

  std::mutex mutex_;
  std::map<std::string, std::map<std::string, double>> values_;    // by metric and service
  std::map<std::string, std::function<double(double at)>> pasts_;  // by metric
  std::map<std::string, Fault> faults_;                            // by metric
  int port_ = 0;
  std::unique_ptr<FakeHttpServer> server_;  // last: its threads call Answer
};

}  // namespace autoscale
