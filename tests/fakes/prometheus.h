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
  // Connections are refused until it is started again, at the same port.
  void Stop();
  void Start();
  [[nodiscard]] std::string Url() const;

 private:
  FakeAnswer Answer(const FakeRequest& request);

  std::mutex mutex_;
  std::map<std::string, std::map<std::string, double>> values_;  // by metric and service
  int port_ = 0;
  std::unique_ptr<FakeHttpServer> server_;  // last: its threads call Answer
};

}  // namespace autoscale
