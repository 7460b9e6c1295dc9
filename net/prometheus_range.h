// Prometheus range queries: what a metric was at regular instants.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/result.h"
#include "engine/model/time.h"

namespace autoscale {

struct RangeQuery {
  std::string value;            // PromQL, as in MetricQuery
  std::vector<std::string> by;  // as there
  Millis step{0};               // slot n is the instant n × step after the epoch
  int64_t first = 0;            // slot
  int count = 1;                // slots, at least 1; Prometheus refuses more than 11,000
};

struct RangeAnswer {
  struct Row {
    std::string key;            // values of `by` joined by '\x1f'; a missing label is ""
    std::vector<float> values;  // one a slot; NaN where there is none, or none that is finite
  };
  std::vector<Row> rows;  // in the order of their keys
};

// A remark on how a query is written, which Prometheus 2.48 to 2.53 put among the warnings ("metric
// might not be a counter"): the answer is whole all the same.
inline bool IsRemark(std::string_view warning) { return warning.starts_with("PromQL info:"); }

// The form that /api/v1/query_range is sent.
std::string ToForm(const RangeQuery& query);

// Parses its answer. Anything but a complete, well-formed success is an error with a sentence, and
// so are two rows with one key.
Result<RangeAnswer> ParseRangeAnswer(const std::string& body, const RangeQuery& query);

}  // namespace autoscale
