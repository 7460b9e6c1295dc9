// Health checks: one question to an endpoint, and the verdict over many.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/event_loop.h"
#include "net/http_client.h"
#include "providers/local/options.h"

namespace autoscale {

// Asks once: an HTTP GET that must answer 2xx, or a TCP connection. `done` gets Ok, or what is
// wrong as one phrase, on the loop's thread and never before this returned; not at all once
// `owner` has expired, or when loop or client end first.
void CheckHealth(EventLoop& loop, HttpClient& http, const HealthOptions& options,
                 const std::string& host, int port, std::weak_ptr<void> owner,
                 std::function<void(Status)> done);

// Checks one endpoint again and again until it is destroyed. On the loop's thread.
class HealthWatch {
 public:
  enum class Verdict : uint8_t { kUnknown, kHealthy, kUnhealthy };

  // `changed` is called after each change of the verdict or of the trouble; it must not destroy the
  // watch. From
  // kUnknown only a pass leads away: what has never been healthy is still starting.
  HealthWatch(EventLoop& loop, HttpClient& http, std::string host, int port, Verdict verdict,
              std::function<void()> changed);
  ~HealthWatch();
  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  // Begins, or goes on with other options.
  void Follow(const HealthOptions& options);
  [[nodiscard]] Verdict verdict() const { return verdict_; }
  // What the last check found wrong; empty when it passed.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 private:
  void Schedule(Millis delay);
  void Check();
  void Take(const Status& outcome);
  [[nodiscard]] Millis NextDelay();

  EventLoop& loop_;
  HttpClient& http_;
  const std::string host_;
  const int port_;
  Verdict verdict_;
  std::function<void()> changed_;
  HealthOptions options_;
  bool following_ = false;
  EventLoop::TimerId timer_ = 0;
  Millis quick_{0};
  int in_a_row_ = 0;  // outcomes that speak against the verdict
  std::string trouble_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // the owner of outstanding checks
};

}  // namespace autoscale
