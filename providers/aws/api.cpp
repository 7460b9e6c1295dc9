#include "providers/aws/api.h"

#include <algorithm>
#include <optional>

#include "net/http_text.h"
#include "providers/aws/answer.h"

namespace autoscale::aws {
namespace {

constexpr size_t kMaxAnswer = 16u << 20;  // a hundred large groups take 2 MiB

KeyPlaces PlacesOf(const AwsAccess& access, KeyPlaces places) {
  places.profile = access.profile;
  places.sts = access.sts;
  places.ca_file = access.ca_file;
  return places;
}

const char* NameOf(ApiCall::To to) { return to == ApiCall::To::kEc2 ? "ec2" : "autoscaling"; }

// As a policy of IAM names it: "autoscaling:SetDesiredCapacity".
std::string ShownCall(const ApiCall& call) {
  return std::string(NameOf(call.to)) + ":" + call.action;
}

bool IsTimeout(const Error& error) { return error.message.find("timed out") != std::string::npos; }

// Nobody has to be told of it who got new keys meanwhile.
bool MayBeOldKeys(const std::string& code) {
  return code.starts_with("ExpiredToken") || code == "InvalidClientTokenId" ||
         code == "UnrecognizedClientException" || code == "AuthFailure" ||
         code == "InvalidAccessKeyId" || code == "RequestExpired";
}

}  // namespace

struct Api::Series {
  ApiCall call;
  Done done;
  SteadyTime end;
  int tries = 0;
  int paid = 0;  // to the quota, for retries
  std::optional<AccessKeys> refused;
  std::optional<Error> refusal;

  void Fail(Error error) { done(std::move(error).Within(ShownCall(call))); }
};

Api::Api(EventLoop& loop, HttpClient& http, AwsAccess access, const ApiOptions& options)
    : loop_(loop),
      http_(http),
      access_(std::move(access)),
      first_pause_(options.first_pause),
      clocks_(options.clocks),
      keys_(http, PlacesOf(access_, options.places), options.clocks) {}

Millis Api::LeftOf(const Series& series) const {
  return std::chrono::duration_cast<Millis>(series.end - clocks_.steady());
}

void Api::Call(ApiCall call, Done done) {
  auto series = std::make_shared<Series>();
  series->end = clocks_.steady() + call.effort.Budget();
  series->call = std::move(call);
  series->done = std::move(done);
  Begin(series);
}

void Api::After(Millis pause, const SeriesPtr& series, void (Api::*next)(const SeriesPtr&)) {
  loop_.After(pause, [this, alive = std::weak_ptr<int>(alive_), series, next] {
    if (!alive.expired()) (this->*next)(series);
  });
}

void Api::Begin(const SeriesPtr& series) {
  ++series->tries;
  // Its turn has to leave it some time: else it would only tell of our own haste.
  const Millis longest = LeftOf(*series) - series->call.effort.timeout / 10;
  const auto pause = rate_.Reserve(clocks_.steady(), std::max(longest, Millis(0)));
  if (pause == Millis(0)) return Authorize(series);
  if (!pause) {
    return series->Fail(
        {ErrorKind::kThrottled, "not asked: too many calls wait already, at " +
                                    std::to_string(static_cast<int>(rate_.per_second())) +
                                    " a second that AWS lets through"});
  }
  After(*pause, series, &Api::Authorize);
}

void Api::Authorize(const SeriesPtr& series) {
  const AccessKeys* refused = series->refused ? &*series->refused : nullptr;
  const Millis timeout =
      std::max(std::min(series->call.effort.timeout, LeftOf(*series)), Millis(1));
  keys_.Get(refused, timeout,
            [this, alive = std::weak_ptr<int>(alive_), series](Result<AccessKeys> keys) {
              if (alive.expired()) return;
              if (!keys.ok()) {
                const bool again = keys.error().kind == ErrorKind::kUnavailable;
                Error error = std::move(keys).error();
                const bool timed_out = IsTimeout(error);
                return again ? Retry(series, timed_out, std::move(error))
                             : series->Fail(std::move(error));
              }
              if (series->refused == *keys) return series->Fail(*series->refusal);
              Transmit(series, *keys);
            });
}

const std::string& Api::UrlOf(ApiCall::To to) const {
  return to == ApiCall::To::kEc2 ? access_.ec2 : access_.autoscaling;
}

HttpRequest Api::Signed(const ApiCall& call, const AccessKeys& keys) const {
  const bool ec2 = call.to == ApiCall::To::kEc2;
  HttpRequest request{.method = "POST",
                      .url = UrlOf(call.to) + "/",
                      .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
                      .max_answer_bytes = kMaxAnswer,
                      .ca_file = access_.ca_file};
  request.body = "Action=" + call.action + "&Version=" + (ec2 ? "2016-11-15" : "2011-01-01");
  for (const auto& [name, value] : call.parameters) {
    request.body.append("&").append(name).append("=").append(FormEscape(value));
  }
  RequestToSign to_sign{.headers = request.headers, .body = request.body};
  to_sign.path = request.url.substr(UrlOrigin(request.url).size());
  to_sign.headers.emplace_back("Host", HostOf(request.url));
  for (auto& header :
       Sign(to_sign, keys,
            {.region = access_.region, .service = NameOf(call.to), .time = clocks_.wall()})) {
    request.headers.push_back(std::move(header));
  }
  return request;
}

void Api::Transmit(const SeriesPtr& series, const AccessKeys& keys) {
  const ApiCall& call = series->call;
  const Millis left = LeftOf(*series);
  if (left <= Millis(0)) {  // which says nothing of the server
    return series->Fail({ErrorKind::kUnavailable, "timed out after " +
                                                      ShownDuration(call.effort.Budget()) +
                                                      ", waiting for its turn or for keys"});
  }
  const std::string origin(UrlOrigin(UrlOf(call.to)));
  if (auto error = breaker_.Refuse(origin, clocks_.steady()))
    return series->Fail(*std::move(error));
  HttpRequest request = Signed(call, keys);
  request.timeout = std::min(call.effort.timeout, left);
  // Over a connection of before curl would send it again by itself when that ends unanswered.
  request.keep_alive = call.is_repeatable;
  http_.Send(std::move(request),
             [this, alive = std::weak_ptr<int>(alive_), series, keys](Result<HttpResponse> answer) {
               if (!alive.expired()) Receive(series, keys, std::move(answer));
             });
}

void Api::Receive(const SeriesPtr& series, const AccessKeys& keys, Result<HttpResponse> answer) {
  const std::string origin(UrlOrigin(UrlOf(series->call.to)));
  if (!answer.ok()) {
    Error error = std::move(answer).error();
    const bool passing = error.kind == ErrorKind::kUnavailable;
    if (passing) breaker_.Failed(origin, clocks_.steady(), error);
    if (!passing || !series->call.is_repeatable) return series->Fail(std::move(error));
    const bool timed_out = IsTimeout(error);
    return Retry(series, timed_out, std::move(error));
  }
  breaker_.Answered(origin, clocks_.steady());
  if (answer->status != 200) return Refused(series, keys, *answer);
  rate_.Succeeded();
  quota_.GiveBack(series->paid);
  series->done(std::move(answer->body));
}

void Api::Refused(const SeriesPtr& series, const AccessKeys& keys, const HttpResponse& answer) {
  const AwsFault fault = ParseFault(answer.body);
  Error error = FaultOf(answer.status, fault.code, fault.message);
  if (MayBeOldKeys(fault.code) && !series->refused) {
    series->refused = keys;
    series->refusal = std::move(error);
    return Authorize(series);
  }
  if (error.kind == ErrorKind::kThrottled) {
    rate_.Throttled(clocks_.steady());
    return Retry(series, false, std::move(error));
  }
  const bool passing = error.kind == ErrorKind::kUnavailable && series->call.is_repeatable;
  return passing ? Retry(series, false, std::move(error)) : series->Fail(std::move(error));
}

void Api::Retry(const SeriesPtr& series, bool timed_out, Error error) {
  if (series->tries > series->call.effort.retries) return series->Fail(std::move(error));
  const double share = std::uniform_real_distribution<double>(0, 1)(random_);
  const Millis pause = BackoffOf(series->tries, share, first_pause_);
  // A try that could not last to its end would only tell of our own haste.
  if (pause + series->call.effort.timeout / 10 >= LeftOf(*series)) {
    return series->Fail(std::move(error));
  }
  const int cost = quota_.Take(timed_out);
  if (cost == 0) {
    error.message += "; not tried again, as too many calls fail";
    return series->Fail(std::move(error));
  }
  series->paid += cost;
  After(pause, series, &Api::Begin);
}

}  // namespace autoscale::aws
