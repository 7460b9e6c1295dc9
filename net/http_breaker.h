// HttpBreaker: a server that does not answer is left alone for a while, so that it costs nobody
// the time it takes; and one that says "not so often" is not asked before it said. By origin
// (scheme, host, port).
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "engine/model/result.h"

namespace autoscale {

class HttpBreaker {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Why nothing is to be sent there now; absent: go on, and tell what comes of it.
  std::optional<Error> Refuse(const std::string& origin, Time now);
  // Well or not; how long it wants to be left alone holds all the same.
  void Answered(const std::string& origin, Time now);
  void Failed(const std::string& origin, Time now, const Error& error);
  void Throttled(const std::string& origin, Time now, const Error& error);

 private:
  struct Origin {
    int failures = 0;  // in a row
    Time closed_until{};
    std::optional<Error> last;  // while it is left alone
  };
  // Whether it has said so itself, and that still lasts.
  static bool IsThrottling(const Origin& state, Time now);
  Millis Rest(int failures);
  std::map<std::string, Origin> origins_;  // those with which something is wrong
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace autoscale
