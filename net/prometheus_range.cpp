#include "net/prometheus_range.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "engine/model/text.h"
#include "net/http_text.h"

namespace autoscale {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kLongestMessage = 400;  // bytes; it may quote the answer
constexpr float kGap = std::numeric_limits<float>::quiet_NaN();

Error Malformed(const std::string& what) {
  return {ErrorKind::kUnavailable, "not an answer of Prometheus: " + what};
}

// The text of a member; empty when it is not there or is no text.
std::string TextOf(dom::element parent, std::string_view name) {
  std::string_view text;
  if (parent[name].get(text) != simdjson::SUCCESS) return {};
  return std::string(text);
}

std::optional<Error> FaultOf(dom::element document) {
  const std::string status = TextOf(document, "status");
  if (status == "error") {
    const std::string type = TextOf(document, "errorType");
    return Error{type == "bad_data" ? ErrorKind::kInvalid : ErrorKind::kUnavailable,
                 "refused the query: " + type + ": " + TextOf(document, "error")};
  }
  if (status != "success") return Malformed("it does not say whether it succeeded");
  dom::array warnings;
  if (document["warnings"].get(warnings) == simdjson::SUCCESS) {
    for (const dom::element each : warnings) {
      std::string_view warning;
      if (each.get(warning) != simdjson::SUCCESS) warning = "(none that is a text)";
      if (IsRemark(warning)) continue;
      return Error{ErrorKind::kUnavailable, "answered with a warning: " + std::string(warning)};
    }
  }
  bool partial = false;
  if (document["isPartial"].get(partial) == simdjson::SUCCESS && partial) {
    return Error{ErrorKind::kUnavailable, "the answer is partial"};
  }
  return std::nullopt;
}

// A gap for what is no finite number; absent: malformed.
std::optional<float> ParseValue(std::string_view text) {
  if (text == "NaN" || text == "+Inf" || text == "-Inf") return kGap;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  const auto narrow = static_cast<float>(value);
  return std::isfinite(narrow) ? narrow : kGap;
}

Status ReadPoint(dom::element pair, const RangeQuery& query, std::vector<float>& values) {
  double at = 0;
  std::string_view text;
  dom::array parts;
  if (pair.get(parts) != simdjson::SUCCESS || parts.size() != 2 ||
      parts.at(0).get(at) != simdjson::SUCCESS || parts.at(1).get(text) != simdjson::SUCCESS) {
    return Malformed("a value is not a pair of time and number");
  }
  const auto value = ParseValue(text);
  if (!value) return Malformed("'" + std::string(text) + "' is not a number");
  const double slot = std::round(at * 1000 / static_cast<double>(query.step.count())) -
                      static_cast<double>(query.first);
  if (!(slot >= 0 && slot < query.count)) {
    return Malformed("it has a value at an instant that was not asked for");
  }
  values[static_cast<size_t>(slot)] = *value;
  return Ok{};
}

Status ReadRow(dom::element series, const RangeQuery& query, RangeAnswer::Row& row) {
  dom::object labels;
  if (series["metric"].get(labels) != simdjson::SUCCESS)
    return Malformed("a series without labels");
  for (size_t i = 0; i < query.by.size(); ++i) {
    std::string_view text;
    if (labels[query.by[i]].get(text) != simdjson::SUCCESS) text = {};
    if (i > 0) row.key += '\x1f';
    row.key += text;
  }
  dom::array values;
  if (series["values"].get(values) != simdjson::SUCCESS) {
    return Malformed("a series without values");
  }
  row.values.assign(static_cast<size_t>(query.count), kGap);
  for (const dom::element pair : values) {
    if (Status read = ReadPoint(pair, query, row.values); !read) return read;
  }
  return Ok{};
}

Result<RangeAnswer> Read(dom::element document, const RangeQuery& query) {
  if (auto fault = FaultOf(document)) return *std::move(fault);
  const std::string type = TextOf(document["data"].value(), "resultType");
  if (type != "matrix") return Malformed("a range query is answered with '" + type + "'");
  RangeAnswer answer;
  for (const dom::element series : document["data"]["result"].get_array()) {
    if (Status read = ReadRow(series, query, answer.rows.emplace_back()); !read) {
      return std::move(read).error();
    }
  }
  std::sort(answer.rows.begin(), answer.rows.end(),
            [](const auto& a, const auto& b) { return a.key < b.key; });
  const auto twin = std::adjacent_find(answer.rows.begin(), answer.rows.end(),
                                       [](const auto& a, const auto& b) { return a.key == b.key; });
  if (twin != answer.rows.end()) {
    return Error{ErrorKind::kInvalid,
                 "the query answers several series where one is expected; aggregate them, as in "
                 "sum by (...) (...)"};
  }
  return answer;
}

}  // namespace

std::string ToForm(const RangeQuery& query) {
  const auto at = [&](int64_t slot) {
    char text[40];
    const int64_t millis = slot * query.step.count();
    std::snprintf(text, sizeof text, "%lld.%03d", static_cast<long long>(millis / 1000),
                  static_cast<int>(millis % 1000));
    return std::string(text);
  };
  return "query=" + FormEscape(query.value) + "&start=" + at(query.first) +
         "&end=" + at(query.first + query.count - 1) + "&step=" + at(1);
}

Result<RangeAnswer> ParseRangeAnswer(const std::string& body, const RangeQuery& query) {
  const auto shown = [](const Error& error) {
    return Error{error.kind, OneLine(error.message, kLongestMessage)};
  };
  if (body.empty()) return Malformed("it is empty");
  try {
    dom::parser parser;
    Result<RangeAnswer> answer = Read(parser.parse(body), query);
    if (!answer.ok()) return shown(answer.error());
    return answer;
  } catch (const simdjson::simdjson_error& error) {
    return Malformed(error.what());
  }
}

}  // namespace autoscale
