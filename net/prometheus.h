// Prometheus instant queries: value, freshness and coverage in one request.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_client.h"

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
    // Of the newest underlying sample, against the server's own clock; absent: not asked for,
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
  std::string url;
  Millis timeout{5000};
  std::string bearer_token;
  std::string username, password;
  std::string ca_file;
  size_t max_answer_bytes = 64u << 20;
};

class PrometheusClient {
 public:
  PrometheusClient(HttpClient& http, PrometheusOptions options);
  // On the loop's thread; calls back there, once. Warnings in the answer are errors here too: a
  // partial answer must not pass for a whole one. `timeout` bounds the exchange, besides the
  // options'.
  void Query(const MetricQuery& query, Millis timeout, std::function<void(Result<Answer>)> done);

 private:
  HttpClient& http_;
  PrometheusOptions options_;
};

}  // namespace autoscale
