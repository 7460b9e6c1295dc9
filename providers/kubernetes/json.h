// Reading what an API server sent: whatever is missing or of another type reads as nothing.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace autoscale::kubernetes {

using Json = nlohmann::json;

inline const Json& At(const Json& object, std::string_view key) {
  static const Json kNothing;
  if (!object.is_object()) return kNothing;
  const auto it = object.find(key);
  return it == object.end() ? kNothing : *it;
}

template <typename... Keys>
const Json& At(const Json& object, std::string_view key, Keys... deeper) {
  return At(At(object, key), deeper...);
}

inline std::string Text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

// Within what a capacity can be.
inline int Number(const Json& value, int fallback) {
  if (!value.is_number_integer()) return fallback;
  const auto number = value.get<int64_t>();
  return number < 0 || number > INT32_MAX ? fallback : static_cast<int>(number);
}

inline bool True(const Json& value, bool fallback) {
  return value.is_boolean() ? value.get<bool>() : fallback;
}

}  // namespace autoscale::kubernetes
