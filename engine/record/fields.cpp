#include "engine/record/fields.h"

#include <algorithm>
#include <charconv>

namespace autoscale {

using nlohmann::json;

namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

}  // namespace

json NumberToJson(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value > 0 ? kInfinite : kMinusInfinite;
  return value;
}

json TextToJson(std::string_view text) {
  json value(text);
  const auto ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), ascii)) return value;
  return json::parse(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

json BytesToJson(std::string_view bytes) {
  json text = TextToJson(bytes);
  if (text.get_ref<const std::string&>() == bytes) return text;
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 0xf];
  }
  return {{"hex", std::move(hex)}};
}

std::optional<std::string> BytesFromHex(const json& node) {
  if (!node.is_object()) return std::nullopt;
  const auto found = node.find("hex");
  if (found == node.end() || !found->is_string()) return std::nullopt;
  const auto& hex = found->get_ref<const std::string&>();
  if (hex.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(hex.size() / 2);
  for (size_t i = 0; i < hex.size(); i += 2) {
    const size_t high = kDigits.find(hex[i]);
    const size_t low = kDigits.find(hex[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

std::string HashText(uint64_t hash) {
  std::string text(16, '0');
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, hash >>= 4) {
    *digit = kDigits[hash & 0xf];
  }
  return text;
}

std::optional<uint64_t> ParseHash(std::string_view text) {
  uint64_t hash = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), hash, 16);
  if (error != std::errc() || text.size() != 16 || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return hash;
}

}  // namespace autoscale
