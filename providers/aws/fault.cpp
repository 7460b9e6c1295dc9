// What AWS's error codes mean to us.
#include <algorithm>
#include <array>
#include <string_view>

#include "providers/aws/api.h"

namespace autoscale::aws {
namespace {

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

template <size_t N>
bool IsOneOf(std::string_view code, const std::array<std::string_view, N>& codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

bool IsAboutAccess(std::string_view code) {
  static constexpr std::array<std::string_view, 14> kCodes = {
      "AccessDenied",          "AccessDeniedException", "UnauthorizedOperation",
      "AuthFailure",           "InvalidClientTokenId",  "UnrecognizedClientException",
      "SignatureDoesNotMatch", "ExpiredToken",          "ExpiredTokenException",
      "RequestExpired",        "OptInRequired",         "MissingAuthenticationToken",
      "InvalidAccessKeyId",    "IncompleteSignature"};
  return IsOneOf(code, kCodes);
}

ErrorKind KindOf(int status, std::string_view code, std::string_view message) {
  if (IsThrottling(std::string(code)) || status == 429) return ErrorKind::kThrottled;
  if (IsAboutAccess(code) || status == 401 || status == 403) return ErrorKind::kForbidden;
  if (code == "ScalingActivityInProgress" || code == "ResourceInUse") return ErrorKind::kBlocked;
  if (code == "ResourceContention") return ErrorKind::kUnavailable;
  if (status >= 500 || status == 408 || code == "RequestTimeout") return ErrorKind::kUnavailable;
  if (code == "ValidationError") {
    // Of these only the text tells which it is.
    for (const char* part : {"min size", "minSize", "max size", "maxSize", "above max value",
                             "below min value", "MinSize", "MaxSize"}) {
      if (Contains(message, part)) return ErrorKind::kOutOfRange;
    }
    for (const char* part : {"not found", "No managed instance", "No active Lifecycle Action"}) {
      if (Contains(message, part)) return ErrorKind::kNotFound;
    }
  }
  return status == 404 ? ErrorKind::kNotFound : ErrorKind::kInvalid;
}

}  // namespace

bool IsThrottling(const std::string& code) {
  static constexpr std::array<std::string_view, 8> kCodes = {
      "RequestLimitExceeded",    "TooManyRequestsException", "SlowDown",
      "PriorRequestNotComplete", "RequestThrottled",         "RequestThrottledException",
      "BandwidthLimitExceeded",  "EC2ThrottledException"};
  return code.starts_with("Throttl") || IsOneOf(code, kCodes);
}

Error FaultOf(int status, const std::string& code, const std::string& message) {
  Error error{KindOf(status, code, message), "answered " + std::to_string(status)};
  if (!code.empty()) error.message += " (" + code + ")";
  if (!message.empty()) error.message += ": " + message;
  if (code == "RequestExpired" || Contains(message, "Signature expired") ||
      Contains(message, "Signature not yet current")) {
    error.message += "; is this machine's clock right?";
  }
  return error;
}

}  // namespace autoscale::aws
