// The parser of Prometheus' answers: one pass over the JSON, without an allocation a row.
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "engine/model/text.h"
#include "net/prometheus.h"

namespace autoscale {
namespace {

namespace json = simdjson::ondemand;

constexpr char kSeparator = '\x1f';
constexpr size_t kArenaChunk = 64u << 10;
constexpr double kEver = 1e18;           // seconds; what a float can hold
constexpr size_t kLongestMessage = 400;  // bytes; it may quote the answer, and goes into records

// What the answer says of one key and instance in one of its parts.
struct Point {
  std::string_view key;
  std::string_view instance;
  double at = 0;  // when it was evaluated, by the server's clock, unix seconds
  double value = 0;
};

bool Before(const Point& a, const Point& b) {
  const int order = a.key.compare(b.key);
  return order < 0 || (order == 0 && a.instance < b.instance);
}

bool SamePlace(const Point& a, const Point& b) {
  return a.key == b.key && a.instance == b.instance;
}

// Texts that are not a piece of the body: keys of several labels, and what held escapes.
class Arena {
 public:
  explicit Arena(std::vector<std::string>& chunks) : chunks_(chunks) {}

  std::string_view Keep(std::string_view text) { return Join({&text, 1}); }

  std::string_view Join(std::span<const std::string_view> parts) {
    size_t size = parts.size() - 1;
    for (const std::string_view part : parts) size += part.size();
    if (chunk_ == nullptr || chunk_->capacity() - chunk_->size() < size) {
      chunks_.emplace_back().reserve(std::max(kArenaChunk, size));
      chunk_ = &chunks_.back();
    }
    const size_t start = chunk_->size();  // the chunk never grows over what it reserved
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) *chunk_ += kSeparator;
      chunk_->append(parts[i]);
    }
    return std::string_view(*chunk_).substr(start);
  }

 private:
  std::vector<std::string>& chunks_;
  std::string* chunk_ = nullptr;  // the last of them
};

// Go's form of a float: "12.5", "1e-05", "NaN", "+Inf", "-Inf".
std::optional<double> ParseFloat(std::string_view text) {
  if (text == "NaN") return std::nan("");
  if (text == "+Inf") return std::numeric_limits<double>::infinity();
  if (text == "-Inf") return -std::numeric_limits<double>::infinity();
  const size_t digit = text.starts_with('-') ? 1 : 0;
  if (text.size() <= digit || text[digit] < '0' || text[digit] > '9') return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Error Malformed(const std::string& what) {
  return {ErrorKind::kUnavailable, "not an answer of Prometheus: " + what};
}

class Parser {
 public:
  Parser(const MetricQuery& query, std::vector<std::string>& arena)
      : query_(query), arena_(arena), labels_(query.by) {
    labels_.push_back(query.instance_label);
    labels_.emplace_back("autoscaled_part");
    texts_.resize(labels_.size());
  }

  // Throws simdjson_error for what is not JSON or not of the type expected.
  Status Parse(json::document& document);
  Result<std::vector<Answer::Row>> Rows();

 private:
  Status ReadData(json::object data);
  Status ReadSeries(json::object series);
  Status ReadLabels(json::object metric);
  Status ReadPoint(json::array pair, Point& point);
  Status File(const Point& point);
  Error Refusal() const;
  std::string_view Text(json::value value);
  std::string_view Key();
  Status SortPart(std::vector<Point>& part) const;
  std::string Place(const Point& point) const;
  Error Ambiguous(const Point& point) const;

  const MetricQuery& query_;
  Arena arena_;
  std::vector<std::string> labels_;      // by..., instance, part
  std::vector<std::string_view> texts_;  // of the series being read; null data: has no such label

  std::string_view status_, error_type_, error_, warning_;
  bool has_data_ = false;
  bool partial_ = false;
  std::vector<Point> values_, newest_, counts_;
};

Status Parser::Parse(json::document& document) {
  for (json::field field : document.get_object()) {
    const json::raw_json_string name = field.key();
    if (name == "status") {
      status_ = Text(field.value());
    } else if (name == "errorType") {
      error_type_ = Text(field.value());
    } else if (name == "error") {
      error_ = Text(field.value());
    } else if (name == "warnings" && !field.value().is_null()) {
      for (json::value warning : field.value().get_array()) {
        const std::string_view text = Text(warning);
        if (warning_.empty() && !IsRemark(text)) warning_ = text;
      }
    } else if (name == "isPartial") {  // VictoriaMetrics' way of saying so
      partial_ = field.value().get_bool();
    } else if (name == "data" && !field.value().is_null()) {
      if (std::exchange(has_data_, true)) return Malformed("data comes twice");
      if (Status read = ReadData(field.value().get_object()); !read) return read;
    }
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
    return Malformed("something follows the JSON");
  if (status_ == "error") return Refusal();
  if (status_ != "success") return Malformed("it does not say whether it succeeded");
  if (!has_data_) return Malformed("it has no data");
  if (!warning_.empty()) {
    return Error{ErrorKind::kUnavailable, "answered with a warning: " + std::string(warning_)};
  }
  if (partial_) return Error{ErrorKind::kUnavailable, "the answer is partial"};
  return Ok{};
}

Error Parser::Refusal() const {
  const ErrorKind kind = error_type_ == "bad_data" ? ErrorKind::kInvalid : ErrorKind::kUnavailable;
  std::string message = "refused the query";
  if (!error_type_.empty()) message += ": " + std::string(error_type_);
  if (!error_.empty()) message += ": " + std::string(error_);
  return {kind, std::move(message)};
}

Status Parser::ReadData(json::object data) {
  // In this order Prometheus writes them, so that this is one pass.
  const std::string_view type = Text(data.find_field_unordered("resultType"));
  if (type == "scalar") {
    if (!query_.by.empty() || !query_.instance_label.empty() || !query_.series.empty()) {
      return Error{ErrorKind::kInvalid,
                   "the query answers a single number; it must answer a series for each key"};
    }
    values_.emplace_back();
    return ReadPoint(data.find_field_unordered("result").get_array(), values_.back());
  }
  if (type != "vector") {
    return Error{ErrorKind::kInvalid,
                 "the query answers a " + std::string(type) + "; it must answer an instant vector"};
  }
  for (json::value series : data.find_field_unordered("result").get_array()) {
    if (Status read = ReadSeries(series.get_object()); !read) return read;
  }
  return Ok{};
}

Status Parser::ReadSeries(json::object series) {
  std::fill(texts_.begin(), texts_.end(), std::string_view());
  Point point;
  bool has_labels = false;
  bool has_value = false;
  for (json::field field : series) {
    const json::raw_json_string name = field.key();
    Status read = Ok{};
    if (name == "metric") {
      if (std::exchange(has_labels, true)) return Malformed("a series has its labels twice");
      read = ReadLabels(field.value().get_object());
    } else if (name == "value") {
      if (std::exchange(has_value, true)) return Malformed("a series has two values");
      read = ReadPoint(field.value().get_array(), point);
    } else if (name == "histogram") {
      return Error{ErrorKind::kInvalid,
                   "the query answers native histograms; it must answer numbers"};
    }
    if (!read) return read;
  }
  if (!has_labels) return Malformed("a series without labels");
  if (!has_value) return Malformed("a series without a value");
  point.key = Key();
  point.instance = texts_[labels_.size() - 2];
  return File(point);
}

Status Parser::ReadLabels(json::object metric) {
  for (json::field field : metric) {
    // Names that hold escapes are none of ours, and differ from ours in the backslash.
    const char* const name = field.key().raw();
    const std::string_view label(name, static_cast<const char*>(std::strchr(name, '"')) - name);
    const std::string_view text = Text(field.value());
    for (size_t i = 0; i < labels_.size(); ++i) {  // the instance's label may also be in the key
      if (labels_[i] != label || label.empty()) continue;  // without one its place has no name
      if (texts_[i].data() != nullptr) return Malformed("a series has a label twice");
      texts_[i] = text;
    }
  }
  return Ok{};
}

Status Parser::ReadPoint(json::array pair, Point& point) {
  int position = 0;
  for (json::value element : pair) {
    if (position == 0) {
      point.at = element.get_double();
    } else if (position == 1) {
      const std::string_view text = Text(element);
      const std::optional<double> value = ParseFloat(text);
      if (!value) return Malformed("'" + std::string(text) + "' is not a number");
      point.value = *value;
    }
    ++position;
  }
  if (position != 2) return Malformed("a value is not a pair of time and number");
  return Ok{};
}

Status Parser::File(const Point& point) {
  const std::string_view part = texts_.back();
  if (part.empty()) {
    values_.push_back(point);
    return Ok{};
  }
  const bool newest = part == "newest";
  const bool count = part == "count" && query_.instance_label.empty();
  if (query_.series.empty() || (!newest && !count)) {
    return Malformed("it has the part '" + std::string(part) + "', which was not asked for");
  }
  const bool sound = newest ? std::isfinite(point.value) : point.value >= 1 && point.value <= 1e9;
  if (!sound) return Malformed("the " + std::string(part) + " of the series makes no sense");
  (newest ? newest_ : counts_).push_back(point);
  return Ok{};
}

// A piece of the body where that is possible, else kept in the arena.
std::string_view Parser::Text(json::value value) {
  const std::string_view token = value.raw_json_token();
  if (token.front() != '"' || token.find('\\') != std::string_view::npos) {
    const std::string_view unescaped = value.get_string();  // throws when it is not a string
    return arena_.Keep(unescaped);
  }
  return token.substr(1, token.rfind('"') - 1);
}

std::string_view Parser::Key() {
  const std::span<const std::string_view> texts(texts_.data(), query_.by.size());
  if (texts.empty()) return {};
  return texts.size() == 1 ? texts[0] : arena_.Join(texts);
}

// 'service="checkout", instance="10.0.0.1:80"'
std::string Parser::Place(const Point& point) const {
  std::string text;
  std::string_view rest = point.key;
  for (const std::string& label : query_.by) {
    const size_t end = rest.find(kSeparator);
    text += (text.empty() ? "" : ", ") + label + "=\"" + std::string(rest.substr(0, end)) + "\"";
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  if (query_.instance_label.empty()) return text;
  return text + (text.empty() ? "" : ", ") + query_.instance_label + "=\"" +
         std::string(point.instance) + "\"";
}

Error Parser::Ambiguous(const Point& point) const {
  const std::string place = Place(point);
  return {ErrorKind::kInvalid,
          place.empty() ? "the query answers several series where one is expected; aggregate "
                          "them, as in sum(...)"
                        : "the query answers several series for " + place +
                              "; aggregate them, as in sum by (...) (...)"};
}

Status Parser::SortPart(std::vector<Point>& part) const {
  if (!std::is_sorted(part.begin(), part.end(), Before)) {
    std::sort(part.begin(), part.end(), Before);
  }
  const auto twin = std::adjacent_find(part.begin(), part.end(), SamePlace);
  if (twin != part.end()) return Ambiguous(*twin);
  return Ok{};
}

// Merges the three parts, each in the order of its places.
Result<std::vector<Answer::Row>> Parser::Rows() {
  for (std::vector<Point>* part : {&values_, &newest_, &counts_}) {
    if (Status sorted = SortPart(*part); !sorted) return std::move(sorted).error();
  }
  const bool asked = !query_.series.empty();
  const bool counted = asked && query_.instance_label.empty();
  std::vector<Answer::Row> rows;
  rows.reserve(std::max({values_.size(), newest_.size(), counts_.size()}));
  auto value = values_.cbegin();
  auto newest = newest_.cbegin();
  auto count = counts_.cbegin();
  for (;;) {
    const Point* first = value != values_.cend() ? &*value : nullptr;
    if (newest != newest_.cend() && (first == nullptr || Before(*newest, *first))) first = &*newest;
    if (count != counts_.cend() && (first == nullptr || Before(*count, *first))) first = &*count;
    if (first == nullptr) return rows;
    Answer::Row row{.key = first->key, .instance = first->instance};
    // Asked for and absent is not the same as not asked for: no series is infinitely old.
    if (asked) row.age_s = std::numeric_limits<float>::infinity();
    if (counted) row.series = 0;
    const Point place = *first;
    if (value != values_.cend() && SamePlace(*value, place)) row.value = (value++)->value;
    if (newest != newest_.cend() && SamePlace(*newest, place)) {
      row.age_s = static_cast<float>(std::clamp(newest->at - newest->value, -kEver, kEver));
      ++newest;
    }
    if (count != counts_.cend() && SamePlace(*count, place)) {
      row.series = static_cast<int>((count++)->value);
    }
    rows.push_back(row);
  }
}

}  // namespace

std::pair<const Answer::Row*, const Answer::Row*> Answer::Find(std::string_view key) const {
  const auto first = std::ranges::lower_bound(rows_, key, {}, &Row::key);
  const auto last = std::ranges::upper_bound(first, rows_.end(), key, {}, &Row::key);
  return {rows_.data() + (first - rows_.begin()), rows_.data() + (last - rows_.begin())};
}

namespace {

Error Shown(const Error& error) { return {error.kind, OneLine(error.message, kLongestMessage)}; }

}  // namespace

Result<Answer> ParseAnswer(std::string body, const MetricQuery& query) {
  if (body.empty()) return Malformed("it is empty");
  Answer answer;
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  const std::string& text = answer.arena_.emplace_back(std::move(body));
  const simdjson::padded_string_view padded(text.data(), text.size(), text.capacity());
  try {
    json::parser json_parser;
    json::document document = json_parser.iterate(padded);
    Parser parser(query, answer.arena_);
    if (Status parsed = parser.Parse(document); !parsed) return Shown(parsed.error());
    Result<std::vector<Answer::Row>> rows = parser.Rows();
    if (!rows) return Shown(rows.error());
    answer.rows_ = std::move(rows).value();
  } catch (const simdjson::simdjson_error& error) {
    return Malformed(error.what());
  }
  return answer;
}

}  // namespace autoscale
