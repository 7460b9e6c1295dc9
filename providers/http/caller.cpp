#include "providers/http/caller.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <utility>

#include "net/http_text.h"
#include "providers/http/answer.h"

namespace autoscale {
namespace {

constexpr std::chrono::seconds kLongestRetryAfter{3600};

std::string HeaderOf(const HttpResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

// Seconds or a date; what is neither says nothing.
Millis RetryAfter(const HttpResponse& response) {
  const std::string text = HeaderOf(response, "retry-after");
  int64_t seconds = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size()) {
    std::tm date{};
    if (strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date) == nullptr) return Millis(0);
    seconds = timegm(&date) - std::time(nullptr);
  }
  return std::chrono::seconds(std::clamp<int64_t>(seconds, 0, kLongestRetryAfter.count()));
}

ErrorKind KindOf(int status) {
  switch (status) {
    case 401:
    case 403:
    case 407:
      return ErrorKind::kForbidden;
    case 404:
    case 410:
      return ErrorKind::kNotFound;
    case 409:
    case 412:
      return ErrorKind::kConflict;
    case 423:
      return ErrorKind::kBlocked;
    case 429:
      return ErrorKind::kThrottled;
    case 408:
      return ErrorKind::kUnavailable;
    default:
      return status >= 500 ? ErrorKind::kUnavailable : ErrorKind::kInvalid;
  }
}

bool IsPassing(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

HttpOutcome OutcomeOf(const HttpRequest& request, const HttpAuthorization& used,
                      HttpResponse response) {
  if (response.status >= 200 && response.status < 300) return {std::move(response)};
  Error error{KindOf(response.status), "answered " + std::to_string(response.status),
              RetryAfter(response)};
  if (response.status >= 300 && response.status < 400) {
    error.message += ", which sends elsewhere: give the URL where it is";
  } else if (const std::string line = FirstLine(response.body); !line.empty()) {
    error.message += ": " + used.Scrub(line);
  }
  if (error.kind == ErrorKind::kThrottled && error.retry_after > Millis(0)) {
    error.message += "; asks us to wait " + ShownDuration(error.retry_after);
  }
  return {std::move(error).Within(request.method + " " + ShownUrl(request.url)),
          IsPassing(response.status)};
}

}  // namespace

struct HttpCaller::Exchange {
  HttpRequest request;
  std::shared_ptr<const HttpAccess> access;
  Tried done;
  SteadyTime end;
  std::string origin;
  std::optional<HttpAuthorization> refused;
  HttpResponse refusal;  // what it was answered
};

struct HttpCaller::Series {
  HttpEffort effort;
  Try attempt;
  Done done;
  SteadyTime end;
  int tries = 0;
};

HttpCaller::HttpCaller(EventLoop& loop, HttpClient& http, Options options)
    : loop_(loop), http_(http), options_(std::move(options)), keyring_(http, options_.now) {}

Millis HttpCaller::LeftUntil(SteadyTime end) const {
  return std::chrono::duration_cast<Millis>(end - options_.now());
}

void HttpCaller::Send(HttpRequest request, std::shared_ptr<const HttpAccess> access, Tried done) {
  auto exchange = std::make_shared<Exchange>();
  exchange->origin = UrlOrigin(request.url);
  exchange->end = options_.now() + request.timeout;
  exchange->request = std::move(request);
  exchange->access = std::move(access);
  exchange->done = std::move(done);
  if (auto error = breaker_.Refuse(exchange->origin, options_.now())) {
    return exchange->done({*std::move(error), false});
  }
  Authorize(exchange);
}

void HttpCaller::Authorize(const std::shared_ptr<Exchange>& exchange) {
  const HttpAuthorization* refused = exchange->refused ? &*exchange->refused : nullptr;
  keyring_.Get(*exchange->access, refused, std::max(LeftUntil(exchange->end), Millis(1)),
               [this, alive = std::weak_ptr<int>(alive_), exchange](Result<HttpAuthorization> got) {
                 if (alive.expired()) return;
                 if (!got.ok()) {
                   const bool again = got.error().kind == ErrorKind::kUnavailable;
                   return exchange->done({std::move(got).error(), again});
                 }
                 if (exchange->refused && *got == *exchange->refused) {  // there is no other
                   return exchange->done(OutcomeOf(exchange->request, *got, exchange->refusal));
                 }
                 Transmit(exchange, *got);
               });
}

void HttpCaller::Transmit(const std::shared_ptr<Exchange>& exchange,
                          const HttpAuthorization& authorization) {
  HttpRequest request = exchange->request;
  request.timeout = LeftUntil(exchange->end);
  if (request.timeout <= Millis(0)) {
    Error error{
        ErrorKind::kUnavailable,
        "timed out after " + ShownDuration(exchange->request.timeout) + ", waiting for a token"};
    return exchange->done(
        {std::move(error).Within(request.method + " " + ShownUrl(request.url)), true});
  }
  const HttpAccess& access = *exchange->access;
  for (const auto& header : access.headers) request.headers.push_back(header);
  for (const auto& header : authorization.headers) request.headers.push_back(header);
  request.username = authorization.username;
  request.password = authorization.password;
  request.ca_file = access.ca_file;
  request.certificate_file = access.certificate_file;
  request.key_file = access.key_file;
  http_.Send(std::move(request), [this, alive = std::weak_ptr<int>(alive_), exchange,
                                  authorization](Result<HttpResponse> answer) {
    if (!alive.expired()) Receive(exchange, authorization, std::move(answer));
  });
}

void HttpCaller::Receive(const std::shared_ptr<Exchange>& exchange, const HttpAuthorization& used,
                         Result<HttpResponse> answer) {
  if (!answer.ok()) {
    const bool again = answer.error().kind == ErrorKind::kUnavailable;
    if (again) breaker_.Failed(exchange->origin, options_.now(), answer.error());
    return exchange->done({std::move(answer).error(), again});
  }
  breaker_.Answered(exchange->origin, options_.now());
  const bool first = !exchange->refused;
  if (answer->status == 401 && first && exchange->access->auth != HttpAccess::Auth::kNone) {
    exchange->refused = used;
    exchange->refusal = *std::move(answer);
    return Authorize(exchange);
  }
  HttpOutcome outcome = OutcomeOf(exchange->request, used, *std::move(answer));
  if (!outcome.result.ok() && outcome.result.error().kind == ErrorKind::kThrottled) {
    breaker_.Throttled(exchange->origin, options_.now(), outcome.result.error());
  }
  exchange->done(std::move(outcome));
}

void HttpCaller::Repeat(const HttpEffort& effort, Try attempt, Done done) {
  auto series = std::make_shared<Series>();
  series->effort = effort;
  series->end = options_.now() + effort.budget;
  series->attempt = std::move(attempt);
  series->done = std::move(done);
  TryOnce(series);
}

void HttpCaller::TryOnce(const std::shared_ptr<Series>& series) {
  ++series->tries;
  const Millis timeout =
      std::max(std::min(series->effort.timeout, LeftUntil(series->end)), Millis(1));
  series->attempt(timeout, [this, alive = std::weak_ptr<int>(alive_), series](HttpOutcome outcome) {
    if (!alive.expired()) Judge(series, std::move(outcome));
  });
}

void HttpCaller::Judge(const std::shared_ptr<Series>& series, HttpOutcome outcome) {
  const bool spent = series->tries > series->effort.retries;
  if (outcome.result.ok() || !outcome.again || spent) {
    return series->done(std::move(outcome.result));
  }
  const double share = std::uniform_real_distribution<double>(0.5, 1.0)(random_);
  const Millis pause = std::max(
      std::chrono::duration_cast<Millis>(options_.first_pause * (1 << (series->tries - 1)) * share),
      outcome.result.error().retry_after);
  // One that could not last to its end would only tell of our own haste.
  if (pause + series->effort.timeout / 10 >= LeftUntil(series->end)) {
    return series->done(std::move(outcome.result));
  }
  loop_.After(pause, [this, alive = std::weak_ptr<int>(alive_), series] {
    if (!alive.expired()) TryOnce(series);
  });
}

}  // namespace autoscale
