// Api: signed questions to one account of AWS, tried again as AWS asks, and not too often.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "net/http_breaker.h"
#include "net/http_client.h"
#include "providers/aws/key_chain.h"
#include "providers/aws/options.h"
#include "providers/aws/quota.h"

namespace autoscale::aws {

struct ApiOptions {
  Millis first_pause{1000};  // before the first retry, at most; then twice as long each time
  Clocks clocks;
  KeyPlaces places;  // profile, sts and ca_file are the target's
};

// How long and how often something is tried.
struct ApiEffort {
  Millis timeout{5000};  // of one try
  int retries = 2;       // besides the first
  // All tries and pauses together take no longer.
  [[nodiscard]] Millis Budget() const { return timeout * 3; }
};

struct ApiCall {
  enum class To { kAutoScaling, kEc2 };
  To to = To::kAutoScaling;
  std::string action;
  std::vector<std::pair<std::string, std::string>> parameters;
  ApiEffort effort;
  // Doing it twice does no harm; else it is not sent again once it may have been done.
  bool is_repeatable = true;
};

class Api {
 public:
  using Done = std::function<void(Result<std::string>)>;

  Api(EventLoop& loop, HttpClient& http, AwsAccess access, const ApiOptions& options);
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // Calls back with the body of a 200, or with what AWS says against it. Not after our end.
  void Call(ApiCall call, Done done);

  [[nodiscard]] const RetryQuota& quota() const { return quota_; }
  [[nodiscard]] const CallRate& rate() const { return rate_; }

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct Series;
  using SeriesPtr = std::shared_ptr<Series>;
  void Begin(const SeriesPtr& series);
  void Authorize(const SeriesPtr& series);
  void Transmit(const SeriesPtr& series, const AccessKeys& keys);
  void Receive(const SeriesPtr& series, const AccessKeys& keys, Result<HttpResponse> answer);
  void Refused(const SeriesPtr& series, const AccessKeys& keys, const HttpResponse& answer);
  void Retry(const SeriesPtr& series, bool timed_out, Error error);
  void After(Millis pause, const SeriesPtr& series, void (Api::*next)(const SeriesPtr&));
  [[nodiscard]] Millis LeftOf(const Series& series) const;
  [[nodiscard]] HttpRequest Signed(const ApiCall& call, const AccessKeys& keys) const;
  [[nodiscard]] const std::string& UrlOf(ApiCall::To to) const;

  EventLoop& loop_;
  HttpClient& http_;
  const AwsAccess access_;
  const Millis first_pause_;
  const Clocks clocks_;
  KeyChain keys_;
  HttpBreaker breaker_;
  RetryQuota quota_;
  CallRate rate_;
  std::minstd_rand random_{std::random_device{}()};
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

// What AWS says against a call, as an error of ours. The code may be empty.
Error FaultOf(int status, const std::string& code, const std::string& message);
bool IsThrottling(const std::string& code);

}  // namespace autoscale::aws
