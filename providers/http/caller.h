// HttpCaller: requests to managers, let in by their credentials and tried again where that is
// right.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>

#include "net/http_breaker.h"
#include "net/http_client.h"
#include "providers/http/keyring.h"

namespace autoscale {

// What came of one try.
struct HttpOutcome {
  Result<HttpResponse> result;  // of a status 2xx; any other is an error
  bool again = false;           // it may go better in a moment
};

// How long and how often something is tried.
struct HttpEffort {
  Millis timeout;   // of one try
  Millis budget;    // of all of them
  int retries = 0;  // besides the first
};

class HttpCaller {
 public:
  using Tried = std::function<void(HttpOutcome)>;
  using Try = std::function<void(Millis timeout, Tried)>;
  using Done = std::function<void(Result<HttpResponse>)>;

  struct Options {
    Millis first_pause{200};  // before the second try; then twice as long each time, with jitter
    SteadyClock now = [] { return std::chrono::steady_clock::now(); };
  };
  HttpCaller(EventLoop& loop, HttpClient& http, Options options);

  // One try, within request.timeout; a token or a secret that is refused is got anew once.
  void Send(HttpRequest request, std::shared_ptr<const HttpAccess> access, Tried done);

  // Tries until it succeeds, may not be tried again, or the effort is spent.
  void Repeat(const HttpEffort& effort, Try attempt, Done done);

 private:
  struct Exchange;
  struct Series;
  void Authorize(const std::shared_ptr<Exchange>& exchange);
  void Transmit(const std::shared_ptr<Exchange>& exchange, const HttpAuthorization& authorization);
  void Receive(const std::shared_ptr<Exchange>& exchange, const HttpAuthorization& used,
               Result<HttpResponse> answer);
  void TryOnce(const std::shared_ptr<Series>& series);
  void Judge(const std::shared_ptr<Series>& series, HttpOutcome outcome);
  [[nodiscard]] Millis LeftUntil(SteadyTime end) const;

  EventLoop& loop_;
  HttpClient& http_;
  Options options_;
  HttpKeyring keyring_;
  HttpBreaker breaker_;
  std::minstd_rand random_{std::random_device{}()};
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace autoscale
