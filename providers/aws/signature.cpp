#include "providers/aws/signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>

namespace autoscale::aws {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

using CanonicalHeaders = std::map<std::string, std::string>;

// SHA-256 of what is in memory fails only without memory.
void Require(bool done) {
  if (done) return;
  std::fputs("aws signature: libcrypto does not work\n", stderr);
  std::abort();
}

std::string Hex(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    text += {kDigits[value >> 4], kDigits[value & 15]};
  }
  return text;
}

std::string HexHash(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int size = 0;
  Require(EVP_Digest(text.data(), text.size(), hash.data(), &size, EVP_sha256(), nullptr) == 1);
  return Hex({reinterpret_cast<const char*>(hash.data()), size});
}

std::string Hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int size = 0;
  Require(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
               reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data(),
               &size) != nullptr);
  return {reinterpret_cast<const char*>(hash.data()), size};
}

bool IsUnreserved(unsigned char c) {
  return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~';
}

std::string EscapePath(std::string_view path) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string text;
  for (const char each : path) {
    const auto c = static_cast<unsigned char>(each);
    if (IsUnreserved(c) || c == '/') {
      text += each;
    } else {
      text += {'%', kDigits[c >> 4], kDigits[c & 15]};
    }
  }
  return text;
}

// Without empty segments, "." and "..".
std::string NormalPath(std::string_view path) {
  std::vector<std::string_view> kept;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!segment.empty() && segment != ".") {
      kept.push_back(segment);
    }
    at = end + 1;
  }
  std::string text;
  for (const std::string_view segment : kept) text.append("/").append(segment);
  if (text.empty() || path.ends_with('/')) text += '/';
  return text;
}

std::string CanonicalQuery(std::string_view query) {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  // What follows the last '&' counts, even when it is nothing.
  for (size_t at = 0; !query.empty() && at <= query.size();) {
    const size_t end = std::min(query.find('&', at), query.size());
    const std::string_view pair = query.substr(at, end - at);
    const size_t equals = std::min(pair.find('='), pair.size());
    pairs.emplace_back(pair.substr(0, equals),
                       equals < pair.size() ? pair.substr(equals + 1) : std::string_view());
    at = end + 1;
  }
  std::sort(pairs.begin(), pairs.end());
  std::string text;
  for (const auto& [name, value] : pairs) {
    text.append(text.empty() ? "" : "&").append(name).append("=").append(value);
  }
  return text;
}

// Words with one blank between them.
std::string Trimmed(std::string_view value) {
  std::string text;
  bool gap = false;
  for (const char each : value) {
    if (std::isspace(static_cast<unsigned char>(each)) != 0) {
      gap = !text.empty();
      continue;
    }
    if (gap) text += ' ';
    gap = false;
    text += each;
  }
  return text;
}

// By name in lower case; those of one name in one line.
CanonicalHeaders Canonical(const SignedHeaders& headers) {
  CanonicalHeaders canonical;
  for (const auto& [name, value] : headers) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto [at, fresh] = canonical.try_emplace(lower, Trimmed(value));
    if (!fresh) at->second += "," + Trimmed(value);
  }
  return canonical;
}

std::string NamesOf(const CanonicalHeaders& headers) {
  std::string names;
  for (const auto& [name, value] : headers) names += (names.empty() ? "" : ";") + name;
  return names;
}

std::string CanonicalRequest(const RequestToSign& request, const CanonicalHeaders& headers) {
  std::string text = request.method + '\n' + EscapePath(NormalPath(request.path)) + '\n' +
                     CanonicalQuery(request.query) + '\n';
  for (const auto& [name, value] : headers) text.append(name).append(":").append(value) += '\n';
  return text + '\n' + NamesOf(headers) + '\n' + HexHash(request.body);
}

std::string Stamp(int64_t time) {
  const auto seconds = static_cast<std::time_t>(time);
  std::tm date{};
  gmtime_r(&seconds, &date);
  std::array<char, 32> text{};
  const size_t size = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &date);
  return {text.data(), size};
}

}  // namespace

SignedHeaders Sign(const RequestToSign& request, const AccessKeys& keys,
                   const SigningScope& scope) {
  const std::string stamp = Stamp(scope.time);
  SignedHeaders added = {{"X-Amz-Date", stamp}};
  if (!keys.token.empty()) added.emplace_back("X-Amz-Security-Token", keys.token);
  SignedHeaders all = request.headers;
  all.insert(all.end(), added.begin(), added.end());
  const CanonicalHeaders headers = Canonical(all);

  const std::string day = stamp.substr(0, 8);
  const std::string within = day + '/' + scope.region + '/' + scope.service + "/aws4_request";
  const std::string to_sign = std::string(kAlgorithm) + '\n' + stamp + '\n' + within + '\n' +
                              HexHash(CanonicalRequest(request, headers));
  std::string key = Hmac("AWS4" + keys.secret, day);
  for (const std::string& part : {scope.region, scope.service, std::string("aws4_request")}) {
    key = Hmac(key, part);
  }
  added.emplace_back("Authorization", std::string(kAlgorithm) + " Credential=" + keys.id + '/' +
                                          within + ", SignedHeaders=" + NamesOf(headers) +
                                          ", Signature=" + Hex(Hmac(key, to_sign)));
  return added;
}

std::string HostOf(std::string_view url) {
  const bool secure = url.starts_with("https://");
  const size_t from = url.find("://");
  std::string_view rest = from == std::string_view::npos ? url : url.substr(from + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  const std::string_view port = secure ? ":443" : ":80";
  if (rest.ends_with(port)) rest.remove_suffix(port.size());
  return std::string(rest);
}

}  // namespace autoscale::aws
