#include "providers/plugin/errors.h"

#include <grpcpp/support/status.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "config/section.h"
#include "engine/model/text.h"
#include "google/rpc/retry.pb.h"

namespace autoscale {
namespace {

constexpr size_t kMaxMessage = 500;  // bytes
constexpr int64_t kLongestWaitSeconds = 3600;
constexpr std::string_view kRetryInfo = "/google.rpc.RetryInfo";  // end of its type's URL
constexpr std::string_view kLate = "did not answer within ";
constexpr std::string_view kUnimplemented = "(UNIMPLEMENTED)";

// By code.
constexpr std::array<const char*, 17> kNames = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

ErrorKind KindOf(int code) {
  switch (code) {
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::ALREADY_EXISTS:
      return ErrorKind::kConflict;
    case grpc::StatusCode::FAILED_PRECONDITION:
      return ErrorKind::kBlocked;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return ErrorKind::kExhausted;
    case grpc::StatusCode::OUT_OF_RANGE:
      return ErrorKind::kOutOfRange;
    case grpc::StatusCode::NOT_FOUND:
      return ErrorKind::kNotFound;
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
      return ErrorKind::kForbidden;
    case grpc::StatusCode::INVALID_ARGUMENT:
      return ErrorKind::kInvalid;
    default:
      return ErrorKind::kUnavailable;
  }
}

// What the details ask for; nothing: 0.
Millis RetryDelay(const std::string& details) {
  google::rpc::Status status;
  if (details.empty() || !status.ParseFromString(details)) return Millis(0);
  for (const auto& detail : status.details()) {
    google::rpc::RetryInfo info;
    if (!detail.type_url().ends_with(kRetryInfo) || !info.ParseFromString(detail.value())) continue;
    const auto seconds = std::clamp<int64_t>(info.retry_delay().seconds(), 0, kLongestWaitSeconds);
    const auto nanos = std::clamp<int64_t>(info.retry_delay().nanos(), 0, 999'999'999);
    return std::max(Millis(seconds * 1000 + nanos / 1'000'000), Millis(1));
  }
  return Millis(0);
}

}  // namespace

Error ErrorOf(int code, const std::string& message) {
  const bool known = code > 0 && code < static_cast<int>(kNames.size());
  const std::string name =
      known ? kNames[static_cast<size_t>(code)] : "status " + std::to_string(code);
  const std::string text = OneLine(message, kMaxMessage);
  return {KindOf(code), text.empty() ? "(" + name + ")" : text + " (" + name + ")"};
}

Error ErrorOf(const grpc::Status& status, Millis timeout) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return {ErrorKind::kUnavailable, std::string(kLate) + FormatDuration(timeout)};
  }
  Error error = ErrorOf(status.error_code(), status.error_message());
  if (error.kind == ErrorKind::kExhausted) {
    error.retry_after = RetryDelay(status.error_details());
    if (error.retry_after > Millis(0)) error.kind = ErrorKind::kThrottled;
  }
  return error;
}

bool IsLate(const Error& error) { return error.message.starts_with(kLate); }
bool IsUnimplemented(const Error& error) { return error.message.ends_with(kUnimplemented); }

}  // namespace autoscale
