// How records are written as JSON and read back: numbers and bytes exactly, faults with where they
// are.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/model/result.h"
#include "engine/model/text.h"
#include "engine/model/time.h"

namespace autoscale {

inline constexpr const char* kInfinite = "inf";
inline constexpr const char* kMinusInfinite = "-inf";

// Finite numbers read back with the same bits, infinities too; NaN is null.
nlohmann::json NumberToJson(double value);
// For people: what is not UTF-8 becomes U+FFFD.
nlohmann::json TextToJson(std::string_view text);
// Exactly: a string where it is UTF-8, else {"hex": "..."}.
nlohmann::json BytesToJson(std::string_view bytes);
std::optional<std::string> BytesFromHex(const nlohmann::json& node);

// "0123456789abcdef", as hashes are written: JSON's numbers are doubles to many a reader.
std::string HashText(uint64_t hash);
std::optional<uint64_t> ParseHash(std::string_view text);

// Reads the members of one JSON object. The first fault of the whole record is kept, with where it
// is; after it every answer is a default that nobody uses.
class Fields {
 public:
  Fields(const nlohmann::json& node, std::string where, std::string& fault)
      : node_(node), where_(std::move(where)), fault_(fault) {
    if (!node_.is_object()) Fail("", "an object");
  }

  // Null when the member is missing, which is a fault.
  const nlohmann::json& At(const char* key) {
    static const nlohmann::json kNull;
    if (!node_.is_object()) return kNull;
    const auto found = node_.find(key);
    if (found != node_.end()) return *found;
    if (fault_.empty()) fault_ = Path(key) + " is missing";
    return kNull;
  }

  std::string Text(const char* key) {
    const nlohmann::json& value = At(key);
    if (value.is_string()) return value.get<std::string>();
    Fail(key, "a text");
    return {};
  }

  bool Bool(const char* key) {
    const nlohmann::json& value = At(key);
    if (value.is_boolean()) return value.get<bool>();
    Fail(key, "true or false");
    return false;
  }

  template <std::integral T>
  T Integer(const char* key) {
    const nlohmann::json& value = At(key);
    if (value.is_number_unsigned()) {
      const auto number = value.get<uint64_t>();
      if (std::in_range<T>(number)) return static_cast<T>(number);
    } else if (value.is_number_integer()) {
      const auto number = value.get<int64_t>();
      if (std::in_range<T>(number)) return static_cast<T>(number);
    }
    Fail(key, "a whole number in range");
    return 0;
  }

  // What BytesToJson wrote.
  std::string Bytes(const char* key) {
    const nlohmann::json& value = At(key);
    if (value.is_string()) return value.get<std::string>();
    if (auto bytes = BytesFromHex(value)) return *std::move(bytes);
    Fail(key, "a text");
    return {};
  }

  // What NumberToJson wrote; NaN when null.
  double Number(const char* key) {
    const nlohmann::json& value = At(key);
    if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
    if (value.is_number()) return value.get<double>();
    if (value == kInfinite) return std::numeric_limits<double>::infinity();
    if (value == kMinusInfinite) return -std::numeric_limits<double>::infinity();
    Fail(key, "a number or null");
    return 0;
  }

  std::optional<float> OptionalFloat(const char* key) {
    const double value = Number(key);
    if (std::isnan(value)) return std::nullopt;
    if (std::isinf(value) || std::abs(value) <= std::numeric_limits<float>::max()) {
      return static_cast<float>(value);
    }
    Fail(key, "a number of a sensible size");
    return std::nullopt;
  }

  TimePoint Time(const char* key) {
    constexpr double kLatest = 253402300799;  // the end of the year 9999
    const double seconds = Number(key);
    if (seconds >= -kLatest && seconds <= kLatest) return FromUnixSeconds(seconds);
    Fail(key, "a time in unix seconds");
    return {};
  }

  template <typename E>
  E Word(const char* key, std::optional<E> (*parse)(std::string_view)) {
    const std::string text = Text(key);
    if (const auto word = parse(text)) return *word;
    Fail(key, "a word that autoscaled knows, but it is \"" + text + "\"");
    return {};
  }

  // Calls read(Fields) for each object of the array.
  template <typename F>
  void Each(const char* key, F read) {
    const nlohmann::json& list = At(key);
    if (!list.is_array()) return Fail(key, "a list");
    for (size_t i = 0; i < list.size() && fault_.empty(); ++i) {
      read(Fields(list[i], Path(key) + "[" + std::to_string(i) + "]", fault_));
    }
  }

  uint64_t Hash(const char* key) {
    if (const auto hash = ParseHash(Text(key))) return *hash;
    Fail(key, "a hash of 16 digits");
    return 0;
  }

  // Of all members, in order.
  [[nodiscard]] std::vector<std::string> Names() const {
    std::vector<std::string> names;
    if (!node_.is_object()) return names;
    for (const auto& [name, value] : node_.items()) names.push_back(name);
    return names;
  }

  [[nodiscard]] bool Has(const char* key) const {
    return node_.is_object() && node_.find(key) != node_.end();
  }

  Fields Object(const char* key) { return {At(key), Path(key), fault_}; }

  void Fail(const std::string& key, const std::string& expected) {
    if (fault_.empty()) fault_ = Path(key) + " must be " + expected;
  }

 private:
  std::string Path(const std::string& key) const {
    if (key.empty()) return where_.empty() ? "the record" : where_;
    return where_.empty() ? key : where_ + "." + key;
  }

  const nlohmann::json& node_;
  std::string where_;
  std::string& fault_;
};

// Reads all of a text; `what` names it in faults.
template <typename F>
auto ReadAll(std::string_view text, const std::string& what, F read)
    -> Result<decltype(read(std::declval<Fields>()))> {
  constexpr size_t kLongestMessage = 400;
  const auto refuse = [&](const std::string& fault) {
    return Error{ErrorKind::kInvalid, OneLine(what + ": " + fault, kLongestMessage)};
  };
  nlohmann::json node;
  try {
    node = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    return refuse(error.what());
  }
  std::string fault;
  auto value = read(Fields(node, "", fault));
  if (!fault.empty()) return refuse(fault);
  return value;
}

}  // namespace autoscale
