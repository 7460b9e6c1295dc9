#include "config/names.h"

#include <algorithm>

namespace autoscale {
namespace {

constexpr size_t kMaxName = 63;
constexpr size_t kMaxUpstream = 128;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z'); }
bool IsJoint(char c) { return c == '-' || c == '_' || c == '.'; }

}  // namespace

bool IsServiceName(std::string_view name) {
  const auto fits = [](char c) { return IsLower(c) || IsDigit(c) || IsJoint(c); };
  return !name.empty() && name.size() <= kMaxName && !IsJoint(name[0]) &&
         std::all_of(name.begin(), name.end(), fits);
}

bool IsUpstreamName(std::string_view name) {
  const auto fits = [](char c) { return IsLetter(c) || IsDigit(c) || IsJoint(c); };
  return !name.empty() && name.size() <= kMaxUpstream &&
         std::all_of(name.begin(), name.end(), fits);
}

bool IsMetricName(std::string_view name) { return name.size() <= kMaxName && IsLabelName(name); }

bool IsLabelName(std::string_view name) {
  const auto fits = [](char c) { return IsLetter(c) || IsDigit(c) || c == '_'; };
  return !name.empty() && !IsDigit(name[0]) && std::all_of(name.begin(), name.end(), fits);
}

}  // namespace autoscale
