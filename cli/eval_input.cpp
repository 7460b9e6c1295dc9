#include "cli/eval_input.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace autoscale::cli {
namespace {

using nlohmann::json;

constexpr double kMaxInstances = 1e6;
constexpr double kMaxUnixSeconds = 1e11;  // the year 5138; what is beyond are milliseconds

// One JSON object under its path. Each fault is noted and reading goes on.
class Object {
 public:
  Object(const json& value, std::string path, std::vector<std::string>& faults)
      : value_(value), path_(std::move(path)), faults_(faults) {
    if (!value_.is_object()) Fault("", "must be an object, not " + Kind(value_));
  }

  void Fault(const std::string& key, const std::string& what) {
    const std::string dot = path_.empty() || key.empty() ? "" : ".";
    const std::string where = path_ + dot + key;
    faults_.push_back((where.empty() ? "the input" : where) + ": " + what);
  }
  void Allow(std::initializer_list<std::string_view> keys) {
    if (!value_.is_object()) return;
    for (const auto& [key, unused] : value_.items()) {
      if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
      std::string known;
      for (const std::string_view name : keys) {
        known += known.empty() ? "" : ", ";
        known += name;
      }
      Fault(key, "unknown key; known here: " + known);
    }
  }
  // Null counts as absent.
  [[nodiscard]] const json* Find(const char* key) const {
    if (!value_.is_object()) return nullptr;
    const auto found = value_.find(key);
    return found == value_.end() || found->is_null() ? nullptr : &*found;
  }

  std::optional<double> Number(const char* key, double min, double max) {
    const json* found = Find(key);
    if (found == nullptr) return std::nullopt;
    if (!found->is_number()) {
      Fault(key, "must be a number, not " + Kind(*found));
      return std::nullopt;
    }
    const double number = found->get<double>();
    if (!std::isfinite(number) || number < min || number > max) {
      Fault(key, "is " + found->dump() + "; it must be from " + json(min).dump() + " to " +
                     json(max).dump());
      return std::nullopt;
    }
    return number;
  }
  double RequiredNumber(const char* key, double min, double max) {
    if (Find(key) == nullptr && value_.is_object()) Fault(key, "is missing");
    return Number(key, min, max).value_or(min);
  }
  std::optional<int> Integer(const char* key) {
    const auto number = Number(key, 0, kMaxInstances);
    if (number && *number != std::floor(*number)) {
      Fault(key, "must be a whole number of instances");
      return std::nullopt;
    }
    return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
  }
  int RequiredInteger(const char* key) {
    if (Find(key) == nullptr && value_.is_object()) Fault(key, "is missing");
    return Integer(key).value_or(0);
  }
  TimePoint RequiredTime(const char* key) {
    const json* found = Find(key);
    if (found != nullptr && found->is_number() && found->get<double>() > kMaxUnixSeconds) {
      Fault(key, "is too large for unix seconds; was it given in milliseconds?");
      return {};
    }
    return FromUnixSeconds(RequiredNumber(key, 0, kMaxUnixSeconds));
  }

  static std::string Kind(const json& value) {
    if (value.is_null()) return "null";
    const std::string name = value.type_name();
    return (name == "array" || name == "object" ? "an " : "a ") + name;
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  const json& value_;
  std::string path_;
  std::vector<std::string>& faults_;
};

class Parser {
 public:
  explicit Parser(std::span<const DeclaredMetric> declared) : declared_(declared) {}

  Result<StepInput> Parse(const json& root) {
    Object top(root, "", faults_);
    top.Allow({"now", "capacity", "metrics", "history", "state"});
    input_.now = top.RequiredTime("now");
    ReadCapacity(root, top);
    if (const json* metrics = top.Find("metrics")) ReadMetrics(*metrics);
    if (const json* history = top.Find("history")) ReadHistory(*history, top);
    if (const json* state = top.Find("state")) {
      if (state->is_string()) {
        input_.state = state->get<std::string>();
      } else {
        top.Fault("state", "must be the string that an earlier evaluation printed");
      }
    }
    if (faults_.empty()) return std::move(input_);
    std::string message;
    for (const std::string& fault : faults_) message += (message.empty() ? "" : "\n") + fault;
    return Error{ErrorKind::kInvalid, message};
  }

 private:
  void ReadCapacity(const json& root, Object& top) {
    const json* found = top.Find("capacity");
    if (found == nullptr) {
      if (root.is_object()) top.Fault("capacity", "is missing");
      return;
    }
    Object capacity(*found, "capacity", faults_);
    capacity.Allow({"desired", "ready"});
    input_.capacity.desired = capacity.RequiredInteger("desired");
    input_.capacity.ready = capacity.Integer("ready").value_or(input_.capacity.desired);
  }

  void ReadMetrics(const json& metrics) {
    Object all(metrics, "metrics", faults_);
    if (!metrics.is_object()) return;
    for (const auto& [name, value] : metrics.items()) {
      const auto known = [&name = name](const DeclaredMetric& m) { return m.name == name; };
      if (std::none_of(declared_.begin(), declared_.end(), known)) {
        all.Fault(name, "the service has no such metric" + Declared());
        continue;
      }
      input_.metrics[name] = ReadSample(value, "metrics." + name);
    }
  }

  Sample ReadSample(const json& value, const std::string& path) {
    Object object(value, path, faults_);
    object.Allow({"value", "state", "age", "coverage", "instances"});
    Sample sample;
    const auto number = object.Number("value", -1e300, 1e300);
    sample.value = number.value_or(0);
    sample.state = ReadState(object, number.has_value());
    if (const auto age = object.Number("age", 0, kMaxUnixSeconds)) {
      sample.age_s = static_cast<float>(*age);
    }
    if (const auto coverage = object.Number("coverage", 0, 10)) {
      sample.coverage = static_cast<float>(*coverage);
    }
    if (const json* instances = object.Find("instances")) {
      ReadInstances(*instances, path + ".instances", sample);
    }
    return sample;
  }

  // Without a state: fresh when there is a value, else empty.
  static SampleState ReadState(Object& object, bool has_value) {
    const json* found = object.Find("state");
    const bool value_is_there = object.Find("value") != nullptr;
    if (found == nullptr) return value_is_there ? SampleState::kFresh : SampleState::kEmpty;
    const auto state =
        found->is_string() ? ParseSampleState(found->get<std::string>()) : std::nullopt;
    if (!state) {
      // Not what it is when that may be nested without end.
      object.Fault(
          "state",
          "is " +
              (found->is_string() ? found->dump(-1, ' ', false, json::error_handler_t::replace)
                                  : Object::Kind(*found)) +
              "; it must be fresh, stale, partial, empty, nan, error or implausible");
      return SampleState::kEmpty;
    }
    if (*state == SampleState::kFresh && !has_value && !value_is_there) {
      object.Fault("value", "is missing, and the state is fresh");
    }
    return *state;
  }

  void ReadInstances(const json& instances, const std::string& path, Sample& sample) {
    const Object all(instances, path, faults_);
    if (!instances.is_object()) return;
    const std::string prefix = path + ".";
    for (const auto& [id, value] : instances.items()) {  // sorted by id, as nlohmann's map is
      Object object(value, prefix + id, faults_);
      object.Allow({"value", "ready"});
      InstanceSample one{.instance = id, .value = object.RequiredNumber("value", -1e300, 1e300)};
      if (const json* ready = object.Find("ready")) {
        if (ready->is_boolean()) {
          one.ready = ready->get<bool>();
        } else {
          object.Fault("ready", "must be true or false");
        }
      }
      sample.instances.push_back(std::move(one));
    }
  }

  void ReadHistory(const json& history, Object& top) {
    if (!history.is_array()) {
      top.Fault("history", "must be an array, not " + Object::Kind(history));
      return;
    }
    TimePoint previous{};
    std::optional<int> applied_before;
    for (size_t i = 0; i < history.size(); ++i) {
      Object entry(history[i], "history[" + std::to_string(i) + "]", faults_);
      entry.Allow({"at", "proposal", "applied"});
      const TimePoint at = entry.RequiredTime("at");
      const int proposal = entry.RequiredInteger("proposal");
      const int applied = entry.RequiredInteger("applied");
      if (at < previous) entry.Fault("at", "is before the entry above it; give the oldest first");
      if (at > input_.now) entry.Fault("at", "is after now");
      if (!faults_.empty()) continue;
      input_.history.AddProposal(at, proposal);
      if (applied_before && applied != *applied_before) {
        input_.history.AddChange(at, applied - *applied_before);
      }
      applied_before = applied;
      previous = at;
    }
  }

  [[nodiscard]] std::string Declared() const {
    if (declared_.empty()) return "; it declares none";
    std::string names = "; it declares ";
    for (const DeclaredMetric& metric : declared_) {
      names += (&metric == declared_.data() ? "" : ", ") + metric.name;
    }
    return names;
  }

  std::span<const DeclaredMetric> declared_;
  std::vector<std::string> faults_;
  StepInput input_;
};

}  // namespace

Result<StepInput> ParseEvalInput(std::string_view text, std::span<const DeclaredMetric> declared) {
  try {
    return Parser(declared).Parse(json::parse(text));
  } catch (const json::exception& error) {  // numbers over all bounds are no parse_error
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const std::string what = error.what();
    const size_t end = what.find("] ");
    return Error{ErrorKind::kInvalid,
                 "not JSON: " + (end == std::string::npos ? what : what.substr(end + 2))};
  }
}

}  // namespace autoscale::cli
