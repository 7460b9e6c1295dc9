#include "net/prometheus.h"

#include <algorithm>
#include <utility>

#include "net/http_text.h"

namespace autoscale {
namespace {

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

Result<Answer> Read(HttpResponse response, const MetricQuery& query) {
  // Prometheus explains its refusals in the same form as its answers.
  const bool explained = response.body.find("\"errorType\"") != std::string::npos;
  if (response.status != 200 && !explained) return ExplainStatus(response);
  Result<Answer> answer = ParseAnswer(std::move(response.body), query);
  if (answer.ok() && response.status != 200) {
    return Error{ErrorKind::kUnavailable,
                 "answered with status " + std::to_string(response.status) +
                     " and a success in one; something between changes it"};
  }
  return answer;
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

PrometheusClient::PrometheusClient(HttpClient& http, PrometheusOptions options)
    : http_(http), options_(std::move(options)) {
  while (options_.url.ends_with('/')) options_.url.pop_back();
}

void PrometheusClient::Query(const MetricQuery& query, Millis timeout,
                             std::function<void(Result<Answer>)> done) {
  const Millis bound = std::min(timeout, options_.timeout);
  HttpRequest request{
      .method = "POST",
      .url = options_.url + "/api/v1/query",
      .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
      // The time-out is told, so that Prometheus too gives up what nobody waits for any more.
      .body = "query=" + FormEscape(ToPromQl(query)) + "&timeout=" + std::to_string(bound.count()) +
              "ms",
      .timeout = bound,
      .max_answer_bytes = options_.max_answer_bytes,
      .username = options_.username,
      .password = options_.password,
      .ca_file = options_.ca_file,
  };
  if (!options_.bearer_token.empty()) {
    request.headers.emplace_back("Authorization", "Bearer " + options_.bearer_token);
  }
  http_.Send(std::move(request),
             [query, callback = std::move(done)](Result<HttpResponse> response) {
               Result<Answer> answer = response.ok() ? Read(std::move(response).value(), query)
                                                     : Result<Answer>(std::move(response).error());
               if (answer.ok()) return callback(std::move(answer));
               callback(std::move(answer).error().Within("prometheus"));
             });
}

}  // namespace autoscale
