#include "providers/kubernetes/api.h"

#include <charconv>
#include <utility>

#include "engine/model/text.h"
#include "providers/kubernetes/json.h"

namespace autoscale::kubernetes {
namespace {

// A page of a list has some megabytes; a single object has at most 1.5 MB in etcd.
constexpr size_t kMaxAnswer = 64u << 20;
// Of what the server says in an error.
constexpr size_t kMaxSaid = 400;
// Whatever Retry-After says.
constexpr int kMaxRetrySeconds = 300;
constexpr int kRetrySeconds = 1;

ErrorKind KindOf(int status) {
  switch (status) {
    case 401:
    case 403:
      return ErrorKind::kForbidden;
    case 404:
      return ErrorKind::kNotFound;
    case 409:
    case 410:
      return ErrorKind::kConflict;
    case 422:
      return ErrorKind::kOutOfRange;
    case 429:
      return ErrorKind::kThrottled;
    default:
      return status >= 400 && status < 500 ? ErrorKind::kInvalid : ErrorKind::kUnavailable;
  }
}

Millis RetryAfter(const HttpResponse& answer) {
  for (const auto& [name, value] : answer.headers) {
    int seconds = 0;
    if (name != "retry-after") continue;
    const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (fault != std::errc() || end != value.data() + value.size()) break;
    return std::chrono::seconds(std::min(std::max(seconds, 0), kMaxRetrySeconds));
  }
  return Millis(0);
}

}  // namespace

Error ReadFailure(const HttpResponse& answer) {
  Error error{.kind = KindOf(answer.status), .message = {}, .retry_after = RetryAfter(answer)};
  const Json status = Json::parse(answer.body, nullptr, false);
  std::string said = Text(At(status, "message"));
  if (said.empty() && !status.is_object()) said = answer.body;  // 429 comes as plain text
  if (error.kind == ErrorKind::kThrottled && error.retry_after.count() == 0) {
    error.retry_after =
        std::chrono::seconds(Number(At(status, "details", "retryAfterSeconds"), kRetrySeconds));
  }
  const std::string shown = OneLine(said, kMaxSaid);
  error.message = "the API server answered " + std::to_string(answer.status) +
                  (shown.empty() ? "" : ": " + shown);
  if (answer.status == 401) {
    error.message = "the API server does not know us (401): the token or certificate is not valid";
  }
  return error;
}

Api::Api(EventLoop& loop, HttpClient& http, std::string kubeconfig, std::string context)
    : http_(http), credentials_(loop, std::move(kubeconfig), std::move(context)) {}

Api::~Api() {
  for (const auto& [id, pending] : pending_) {
    if (pending.request) http_.Cancel(*pending.request);
  }
}

Api::CallId Api::Send(ApiCall call, Callback done) {
  const CallId id = ++last_;
  pending_.emplace(id, Pending{.call = std::move(call), .done = std::move(done), .request = {}});
  Start(id, false);
  return id;
}

void Api::Cancel(CallId id) {
  const auto it = pending_.find(id);
  if (it == pending_.end()) return;
  if (it->second.request) http_.Cancel(*it->second.request);
  pending_.erase(it);
}

void Api::Start(CallId id, bool anew) {
  credentials_.Get(anew, [this, id](Result<ClusterAccess> access) {
    if (!pending_.contains(id)) return;
    if (access.ok()) return Ask(id, *access);
    Finish(id, std::move(access).error());
  });
}

void Api::Ask(CallId id, const ClusterAccess& access) {
  Pending& pending = pending_.at(id);
  const ApiCall& call = pending.call;
  HttpRequest request{.method = call.method,
                      .url = access.server + call.path,
                      .body = call.body,
                      .timeout = call.timeout,
                      .max_answer_bytes = kMaxAnswer,
                      .username = access.username,
                      .password = access.password,
                      .ca_pem = access.ca_pem,
                      .certificate_pem = access.client_cert_pem,
                      .key_pem = access.client_key_pem,
                      .verify = access.verify,
                      .on_data = call.on_data};
  request.headers.emplace_back("Accept", "application/json");
  request.headers.emplace_back("User-Agent", "autoscaled");
  if (!access.token.empty())
    request.headers.emplace_back("Authorization", "Bearer " + access.token);
  if (!call.content_type.empty()) request.headers.emplace_back("Content-Type", call.content_type);
  pending.request =
      http_.Send(std::move(request),
                 [this, id, alive = std::weak_ptr<int>(alive_)](Result<HttpResponse> answer) {
                   if (!alive.expired()) Take(id, std::move(answer));
                 });
}

void Api::Take(CallId id, Result<HttpResponse> answer) {
  const auto it = pending_.find(id);
  if (it == pending_.end()) return;
  it->second.request.reset();
  if (!answer.ok()) return Finish(id, std::move(answer).error());
  if (answer->status >= 200 && answer->status < 300) return Finish(id, std::move(answer->body));
  if (answer->status == 401 && !std::exchange(it->second.again, true)) return Start(id, true);
  Finish(id, ReadFailure(*answer));
}

void Api::Finish(CallId id, Result<std::string> result) {
  const auto taken = pending_.extract(id);
  taken.mapped().done(std::move(result));
}

}  // namespace autoscale::kubernetes
