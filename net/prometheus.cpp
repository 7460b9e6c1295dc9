#include "net/prometheus.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "net/http_text.h"

namespace autoscale {
namespace {

constexpr const char* kInstantPath = "/api/v1/query";
constexpr size_t kShownBody = 120;  // characters of a page that is no answer of Prometheus

std::string Grouping(const std::vector<std::string>& labels) {
  std::string text = " by (";
  for (const std::string& label : labels) text += (text.back() == '(' ? "" : ", ") + label;
  return text + ")";
}

// A line for itself, lest a comment at the end of the user's text swallows what follows.
std::string Lines(const std::string& text) { return "(\n" + text + "\n)"; }

std::string Labelled(const std::string& expression, const std::string& part) {
  return "label_replace(" + expression + ", \"autoscaled_part\", \"" + part + "\", \"\", \"\")";
}

// The beginning of the body's first line that says something.
std::string FirstWords(const std::string& body) {
  const size_t start = body.find_first_not_of(" \t\r\n");
  if (start == std::string::npos) return "an empty page";
  std::string words =
      body.substr(start, std::min(body.find_first_of("\r\n", start) - start, kShownBody));
  std::replace_if(
      words.begin(), words.end(), [](unsigned char c) { return c < ' ' || c == 127; }, ' ');
  return words;
}

Error ExplainStatus(const HttpResponse& response) {
  const std::string status = "answered with status " + std::to_string(response.status) + ": ";
  if (response.status == 401 || response.status == 403) {
    return {ErrorKind::kUnavailable, status + "it does not accept the credentials"};
  }
  if (response.status == 404) {
    return {ErrorKind::kUnavailable, status + "there is no Prometheus API at this URL"};
  }
  if (response.status >= 300 && response.status < 400) {
    return {ErrorKind::kUnavailable, status + "a redirect; configure the address it leads to"};
  }
  return {ErrorKind::kUnavailable, status + FirstWords(response.body)};
}

// Nothing but plain text was asked for, so this comes from something in between.
std::optional<Error> ExplainEncoding(const HttpResponse& response) {
  for (const auto& [name, value] : response.headers) {
    if (name != "content-encoding" || value.empty() || value == "identity") continue;
    return Error{ErrorKind::kUnavailable,
                 "answered in the encoding '" + value + "', which nobody asked for"};
  }
  return std::nullopt;
}

template <typename T>
Result<T> Read(HttpResponse response, const std::function<Result<T>(std::string)>& parse) {
  if (auto encoded = ExplainEncoding(response)) return *std::move(encoded);
  // Prometheus explains its refusals in the same form as its answers.
  const bool explained = response.body.find("\"errorType\"") != std::string::npos;
  if (response.status != 200 && !explained) return ExplainStatus(response);
  Result<T> answer = parse(std::move(response.body));
  if (answer.ok() && response.status != 200) {
    return Error{ErrorKind::kUnavailable,
                 "answered with status " + std::to_string(response.status) +
                     " and a success in one; something between changes it"};
  }
  return answer;
}

// Of the whole time-out, what an attempt that failed early is counted as at least, in its steps: a
// fault that is the same on every tick then has the same text, down to the time-outs in it.
constexpr int kSteps = 8;

using SteadyTime = std::chrono::steady_clock::time_point;

Millis Spent(SteadyTime started, Millis share, Millis timeout) {
  const Millis step = std::max(timeout / kSteps, Millis(1));
  const auto elapsed =
      std::chrono::ceil<Millis>(std::chrono::steady_clock::now() - started).count();
  return std::min(share, step * ((elapsed + step.count() - 1) / step.count()));
}

}  // namespace

std::string ToPromQl(const MetricQuery& query) {
  if (query.series.empty()) return query.value;
  std::vector<std::string> labels = query.by;
  if (!query.instance_label.empty()) labels.push_back(query.instance_label);
  const std::string by = Grouping(labels);
  std::string text = Lines(query.value) + " or " +
                     Labelled("max" + by + " (timestamp(" + Lines(query.series) + "))", "newest");
  // Per instance the rows themselves are the count.
  if (query.instance_label.empty()) {
    text += " or " + Labelled("count" + by + " " + Lines(query.series), "count");
  }
  return text;
}

struct PrometheusClient::Endpoint {
  enum Health : int { kUnknown, kDown, kUp };
  std::string url;
  std::string shown;
  std::atomic<int> health{kUnknown};
};

// One query on its way through the endpoints.
struct PrometheusClient::Inquiry {
  std::string path;  // of the API
  std::string form;
  bool settles = true;                       // the endpoint that answers is in use from then on
  std::function<Status(HttpResponse)> read;  // keeps the answer that is good
  Millis timeout{0};                         // of all attempts
  Millis left{0};                            // of it, for the attempts to come
  std::vector<std::optional<std::string>> faults;  // by endpoint; absent: not tried yet
  std::function<void(Status)> done;
  bool renewed = false;  // tried again with other secrets
  // The attempt under way.
  size_t at = 0;
  std::string secrets;  // that it was made with
  Millis share{0};
  SteadyTime started;

  [[nodiscard]] int Untried() const {
    return static_cast<int>(std::count(faults.begin(), faults.end(), std::nullopt));
  }
};

PrometheusClient::PrometheusClient(HttpClient& http, PrometheusOptions options)
    : http_(http), options_(std::move(options)) {
  for (const std::string& url : options_.urls) {
    Endpoint& endpoint = *endpoints_.emplace_back(std::make_unique<Endpoint>());
    endpoint.url = url;
    while (endpoint.url.ends_with('/')) endpoint.url.pop_back();
    endpoint.shown = ShownUrl(endpoint.url);
  }
}

PrometheusClient::~PrometheusClient() = default;

void PrometheusClient::OnFailover(std::function<void(const Failover&)> listener) {
  on_failover_ = std::move(listener);
}

std::vector<PrometheusClient::EndpointView> PrometheusClient::endpoints() const {
  std::vector<EndpointView> views;
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    const int health = endpoints_[i]->health;
    views.push_back({.url = endpoints_[i]->shown, .in_use = i == current_, .up = {}});
    if (health != Endpoint::kUnknown) views.back().up = health == Endpoint::kUp;
  }
  return views;
}

template <typename T>
void PrometheusClient::Ask(std::string path, std::string form, Millis timeout,
                           std::function<Result<T>(std::string)> parse,
                           std::function<void(Result<T>)> done) {
  auto inquiry = std::make_unique<Inquiry>();
  inquiry->settles = path == kInstantPath;
  inquiry->path = std::move(path);
  inquiry->form = std::move(form);
  inquiry->timeout = inquiry->left = std::min(timeout, options_.timeout);
  inquiry->faults.resize(endpoints_.size());
  auto kept = std::make_shared<std::optional<T>>();
  inquiry->read = [kept, parse = std::move(parse)](HttpResponse response) -> Status {
    Result<T> answer = Read<T>(std::move(response), parse);
    if (!answer.ok()) return std::move(answer).error();
    *kept = std::move(answer).value();
    return Ok{};
  };
  inquiry->done = [kept, done = std::move(done)](Status status) {
    if (!status.ok()) return done(std::move(status).error());
    done(*std::move(*kept));
  };
  Try(std::move(inquiry));
}

void PrometheusClient::Query(const MetricQuery& query, Millis timeout,
                             std::function<void(Result<Answer>)> done) {
  Ask<Answer>(
      kInstantPath, "query=" + FormEscape(ToPromQl(query)), timeout,
      [query](std::string body) { return ParseAnswer(std::move(body), query); }, std::move(done));
}

void PrometheusClient::QueryRange(const RangeQuery& query, Millis timeout,
                                  std::function<void(Result<RangeAnswer>)> done) {
  Ask<RangeAnswer>(
      "/api/v1/query_range", ToForm(query), timeout,
      [query](const std::string& body) { return ParseRangeAnswer(body, query); }, std::move(done));
}

// The one in use; when that has failed, the next in turn.
size_t PrometheusClient::Choose(const Inquiry& inquiry) const {
  size_t at = current_;
  while (inquiry.faults[at]) at = (at + 1) % endpoints_.size();
  return at;
}

HttpRequest PrometheusClient::RequestFor(const Inquiry& inquiry) const {
  HttpRequest request{
      .method = "POST",
      .url = endpoints_[inquiry.at]->url + inquiry.path,
      .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
      // The time-out is told, so that Prometheus too gives up what nobody waits for any more.
      .body = inquiry.form + "&timeout=" + std::to_string(inquiry.share.count()) + "ms",
      .timeout = inquiry.share,
      .max_answer_bytes = options_.max_answer_bytes,
      .username = options_.username,
      .password = options_.password,
      .ca_file = options_.ca_file,
  };
  if (!options_.bearer_token.empty()) {
    request.headers.emplace_back("Authorization", "Bearer " + options_.bearer_token);
  }
  return request;
}

// Whether it was refused for secrets that have been replaced since: then it is asked again, once.
bool PrometheusClient::IsRenewed(Inquiry& inquiry, const Result<HttpResponse>& response) {
  const bool refused = response.ok() && (response->status == 401 || response->status == 403);
  if (!refused || inquiry.renewed || !options_.renew) return false;
  // Of several that were refused at once the first one reads.
  if (inquiry.secrets == options_.bearer_token + '\n' + options_.password) {
    options_.renew(options_.bearer_token, options_.password);
  }
  inquiry.renewed = inquiry.secrets != options_.bearer_token + '\n' + options_.password;
  return inquiry.renewed;
}

void PrometheusClient::Try(std::unique_ptr<Inquiry> inquiry) {
  inquiry->at = Choose(*inquiry);
  inquiry->secrets = options_.bearer_token + '\n' + options_.password;
  inquiry->share = std::max(inquiry->left / inquiry->Untried(), Millis(1));
  inquiry->started = std::chrono::steady_clock::now();
  HttpRequest request = RequestFor(*inquiry);
  // A callback must be copyable.
  auto shared = std::make_shared<std::unique_ptr<Inquiry>>(std::move(inquiry));
  http_.Send(std::move(request), [this, shared](Result<HttpResponse> response) {
    std::unique_ptr<Inquiry> one = std::move(*shared);
    Endpoint& endpoint = *endpoints_[one->at];
    const bool several = endpoints_.size() > 1;
    const bool came = response.ok();
    if (IsRenewed(*one, response)) {
      one->left -= Spent(one->started, one->share, one->timeout);
      return Try(std::move(one));
    }
    Status answer =
        came ? one->read(std::move(response).value()) : Status(std::move(response).error());
    // What is wrong with the query itself is an answer: others would say the same.
    if (answer.ok() || (came && answer.error().kind == ErrorKind::kInvalid)) {
      endpoint.health = Endpoint::kUp;
      Settle(*one);
      if (answer.ok()) return one->done(Ok{});
      return one->done(std::move(answer).error().Within("prometheus"));
    }
    Error error = std::move(answer).error();
    // No socket left is our own fault, and the others would fare no better.
    if (error.kind == ErrorKind::kExhausted)
      return one->done(std::move(error).Within("prometheus"));
    if (one->settles) endpoint.health = Endpoint::kDown;
    if (several && came) error = std::move(error).Within(endpoint.shown);  // else it is in there
    one->faults[one->at] = error.message;
    one->left -= Spent(one->started, one->share, one->timeout);
    if (one->Untried() > 0) return Try(std::move(one));
    if (!several) return one->done(std::move(error).Within("prometheus"));
    std::string all;
    for (const auto& fault : one->faults) all += (all.empty() ? "" : "; ") + *fault;
    one->done(Error{ErrorKind::kUnavailable, "prometheus: every endpoint fails: " + all});
  });
}

// The query was answered where it is. Only one that the endpoint in use failed changes it: those
// that are late with their first attempt change nothing back.
void PrometheusClient::Settle(const Inquiry& inquiry) {
  const size_t before = current_;
  if (!inquiry.settles || inquiry.at == before || !inquiry.faults[before]) return;
  current_ = inquiry.at;
  if (!on_failover_) return;
  on_failover_({.from = endpoints_[before]->shown,
                .to = endpoints_[inquiry.at]->shown,
                .why = *inquiry.faults[before]});
}

}  // namespace autoscale
