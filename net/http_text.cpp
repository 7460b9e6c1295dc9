#include "net/http_text.h"

#include <cstdio>

namespace autoscale {
namespace {

size_t AfterScheme(std::string_view url) {
  const size_t scheme = url.find("://");
  return scheme == std::string_view::npos ? 0 : scheme + 3;
}

bool Unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

}  // namespace

std::string_view UrlOrigin(std::string_view url) {
  return url.substr(0, url.find_first_of("/?#", AfterScheme(url)));
}

std::string ShownUrl(std::string_view url) {
  const size_t start = AfterScheme(url);
  const size_t origin_end = UrlOrigin(url).size();
  const size_t at = url.substr(0, origin_end).rfind('@');
  const size_t host = at == std::string_view::npos || at < start ? start : at + 1;
  const size_t path_end = url.find_first_of("?#", origin_end);
  const size_t end = path_end == std::string_view::npos ? url.size() : path_end;
  return std::string(url.substr(0, start)) + std::string(url.substr(host, end - host));
}

std::string ShownDuration(Millis d) {
  const auto ms = static_cast<long long>(d.count());
  if (ms < 1000) return std::to_string(ms) + "ms";
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(ms) / 1000.0);
  return std::string(text) + "s";
}

std::string FormEscape(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string escaped;
  escaped.reserve(text.size() * 2);
  for (const char c : text) {
    if (Unreserved(c)) {
      escaped += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      escaped += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return escaped;
}

}  // namespace autoscale
