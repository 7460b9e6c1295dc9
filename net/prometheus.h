// Prometheus queries. Instant ones: value, freshness and coverage in one request.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_client.h"
#include "net/prometheus_range.h"

namespace autoscale {

// One distinct query for any number of services.
struct MetricQuery {
  std::string value;   // PromQL: an instant vector with one series a key; extra labels do no harm.
                       // With `series` never a scalar: Prometheus refuses it, vector(...) makes one
  std::string series;  // selector asked for timestamp and count beside it; empty: neither
  std::vector<std::string>
      by;  // labels that make a row's key, in this order; empty: one row, key ""
  std::string instance_label;  // rows carry it too; empty: no per-instance rows
  bool operator==(const MetricQuery&) const = default;
};

// The one PromQL expression sent for it: a union of the value, the newest timestamp and the count
// of series, told apart by the label `autoscaled_part` ("newest", "count"; the value has none). All
// three so speak of the same instant. Per instance there is no count: the rows are it.
std::string ToPromQl(const MetricQuery& query);

// The answer, parsed once, kept compact: strings point into it, so it moves and is never copied.
class Answer {
 public:
  Answer() = default;
  Answer(Answer&&) = default;
  Answer& operator=(Answer&&) = default;

  struct Row {
    std::string_view key;         // values of `by` joined by '\x1f'; a missing label is ""
    std::string_view instance;    // empty unless asked for
    std::optional<double> value;  // may be NaN or infinite; absent: only the series answered
    // Of the newest underlying sample, against the server's own clock; negative when that lies in
    // the future; absent: not asked for,
    // infinite: no series answered (while a value that looks back, avg_over_time, still may).
    std::optional<float> age_s;
    int series = -1;  // how many answered, 0 for none; -1: not asked for, or per instance
  };
  // Rows in the order of their keys, then instances.
  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }
  // The rows of one key; empty when there are none.
  [[nodiscard]] std::pair<const Row*, const Row*> Find(std::string_view key) const;

 private:
  friend Result<Answer> ParseAnswer(std::string body, const MetricQuery& query);
  std::vector<std::string> arena_;  // owns what rows_ points into
  std::vector<Row> rows_;
};

// Parses /api/v1/query's answer. Anything but a complete, well-formed success is an error with a
// sentence; two rows with the same key and instance are an error that names them.
Result<Answer> ParseAnswer(std::string body, const MetricQuery& query);

struct PrometheusOptions {
  std::vector<std::string> urls;  // equals, such as an HA pair; at least one
  Millis timeout{5000};
  std::string bearer_token;
  std::string username, password;
  std::string ca_file;
  size_t max_answer_bytes = 64u << 20;
  // Reads token and password anew, when a server has refused them (401, 403): tokens end. On the
  // loop's thread; leaves what cannot be read as it is. Null: they never change.
  std::function<void(std::string& bearer_token, std::string& password)> renew;
};

// Keeps to one of its endpoints, so that values of two that differ are never mixed. When an
// exchange with it fails, the same query is tried at the next within the same time-out, and the
// client stays with the one that answers. A query that is refused for its own faults is not tried
// elsewhere.
class PrometheusClient {
 public:
  // A query failed at one endpoint and was answered by another, which is in use from now on.
  struct Failover {
    std::string from, to;  // URLs without secrets
    std::string why;       // what the first one did
  };
  struct EndpointView {
    std::string url;
    bool in_use = false;
    std::optional<bool> up;  // whether the last query to it was answered; absent: none yet
  };

  PrometheusClient(HttpClient& http, PrometheusOptions options);
  ~PrometheusClient();
  PrometheusClient(const PrometheusClient&) = delete;
  PrometheusClient& operator=(const PrometheusClient&) = delete;

  // Called on the loop's thread, before the query's own callback.
  void OnFailover(std::function<void(const Failover&)> listener);

  // On the loop's thread; calls back there, once; the client outlives the HTTP client's use of it.
  // Warnings in the answer are errors here too: a partial answer must not pass for a whole one.
  // `timeout` bounds all attempts together, besides the options'; each has the share of what is
  // left that leaves as much to those not tried yet. When all fail, the error names the fault of
  // each.
  void Query(const MetricQuery& query, Millis timeout, std::function<void(Result<Answer>)> done);
  // What was; else as above.
  void QueryRange(const RangeQuery& query, Millis timeout,
                  std::function<void(Result<RangeAnswer>)> done);

  // From any thread.
  [[nodiscard]] std::vector<EndpointView> endpoints() const;

 private:
  struct Endpoint;
  struct Inquiry;
  template <typename T>
  void Ask(std::string path, std::string form, Millis timeout,
           std::function<Result<T>(std::string body)> parse, std::function<void(Result<T>)> done);
  void Try(std::unique_ptr<Inquiry> inquiry);
  [[nodiscard]] HttpRequest RequestFor(const Inquiry& inquiry) const;
  [[nodiscard]] bool IsRenewed(Inquiry& inquiry, const Result<HttpResponse>& response);
  [[nodiscard]] size_t Choose(const Inquiry& inquiry) const;
  void Settle(const Inquiry& inquiry);

  HttpClient& http_;
  PrometheusOptions options_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::atomic<size_t> current_{0};  // written on the loop's thread
  std::function<void(const Failover&)> on_failover_;
};

}  // namespace autoscale
