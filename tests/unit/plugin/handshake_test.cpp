// The line with which a plugin says where it listens, and what its statuses mean.
#include "providers/plugin/handshake.h"

#include <google/rpc/retry.pb.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <string>

#include "providers/plugin/errors.h"

namespace autoscale {
namespace {

std::string Read(const std::string& line) {
  const auto address = ReadHandshake(line);
  return address.ok() ? *address : "! " + address.error().message;
}

TEST(PluginHandshake, FourToSevenFieldsSayWhereItListens) {
  EXPECT_EQ(Read("1|1|unix|/run/p"), "unix:/run/p");
  EXPECT_EQ(Read("1|1|unix|/run/p|grpc"), "unix:/run/p");
  EXPECT_EQ(Read("1|1|unix|/run/p|grpc|"), "unix:/run/p");
  EXPECT_EQ(Read("1|1|unix|/run/p|grpc||false\r"), "unix:/run/p");
  EXPECT_EQ(Read("1|1|tcp|127.0.0.1:1234|grpc|"), "ipv4:127.0.0.1:1234");
  EXPECT_EQ(Read("1|1|unix|/" + std::string(106, 'x') + "|grpc").size(), 5 + 107u);
}

TEST(PluginHandshake, WhatIsNoneIsSaid) {
  const std::pair<std::string, std::string> kCases[] = {
      {"", "must be a handshake such as"},
      {"Starting up...", "not 'Starting up...'"},
      {"1|1|unix", "must be a handshake such as"},
      {"1|1|unix|/p|grpc|||", "must be a handshake such as"},
      {std::string(5000, '|'), "must be a handshake such as"},
      {std::string("\x00\x01\x7f\x1b[31m", 8), "must be a handshake such as"},
      {"2|1|unix|/p|grpc|", "version '2' of the handshake; autoscaled speaks 1"},
      {"|1|unix|/p|grpc|", "version '' of the handshake"},
      {"01|1|unix|/p|grpc|", "version '01' of the handshake"},
      {"1|2|unix|/p|grpc|", "version '2' of the provider protocol; autoscaled speaks 1"},
      {"1|1|unix|/p|netrpc|", "it speaks 'netrpc'; autoscaled speaks grpc"},
      {"1|1|unix|/p||", "it speaks ''; autoscaled speaks grpc"},
      {"1|1|unix|/p|grpc|MIIB", "it wants TLS"},
      {"1|1|unix|run/p|grpc|", "must be an absolute path, not 'run/p'"},
      {"1|1|unix||grpc|", "must be an absolute path, not ''"},
      {"1|1|unix|/" + std::string(107, 'x') + "|grpc", "108 bytes long, and the system allows 107"},
      {"1|1|tcp|10.0.0.1:1234|grpc|", "one of this machine alone (127.0.0.1), not '10.0.0.1:1234'"},
      {"1|1|tcp|0.0.0.0:1234|grpc|", "one of this machine alone"},
      {"1|1|tcp|localhost:1234|grpc|", "must be an IPv4 address and a port"},
      {std::string("1|1|tcp|127.0.0.1\0:1234|grpc|", 28), "must be an IPv4 address and a port"},
      {"1|1|tcp|127.0.0.1|grpc|", "must be an IPv4 address and a port"},
      {"1|1|tcp|127.0.0.1:0|grpc|", "must be an IPv4 address and a port"},
      {"1|1|tcp|127.0.0.1:65536|grpc|", "must be an IPv4 address and a port"},
      {"1|1|pipe|/p|grpc|", "it listens on network 'pipe'; unix or tcp is needed"},
  };
  for (const auto& [line, part] : kCases) {
    const auto address = ReadHandshake(line);
    ASSERT_FALSE(address.ok()) << line;
    EXPECT_NE(address.error().message.find(part), std::string::npos) << address.error().message;
    EXPECT_LT(address.error().message.size(), 400u);
  }
}

TEST(PluginErrors, EachCodeSaysWhatCanBeDone) {
  const std::pair<grpc::StatusCode, ErrorKind> kCases[] = {
      {grpc::StatusCode::ABORTED, ErrorKind::kConflict},
      {grpc::StatusCode::ALREADY_EXISTS, ErrorKind::kConflict},
      {grpc::StatusCode::FAILED_PRECONDITION, ErrorKind::kBlocked},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, ErrorKind::kExhausted},
      {grpc::StatusCode::OUT_OF_RANGE, ErrorKind::kOutOfRange},
      {grpc::StatusCode::NOT_FOUND, ErrorKind::kNotFound},
      {grpc::StatusCode::PERMISSION_DENIED, ErrorKind::kForbidden},
      {grpc::StatusCode::UNAUTHENTICATED, ErrorKind::kForbidden},
      {grpc::StatusCode::INVALID_ARGUMENT, ErrorKind::kInvalid},
      {grpc::StatusCode::UNAVAILABLE, ErrorKind::kUnavailable},
      {grpc::StatusCode::DEADLINE_EXCEEDED, ErrorKind::kUnavailable},
      {grpc::StatusCode::UNKNOWN, ErrorKind::kUnavailable},
      {grpc::StatusCode::INTERNAL, ErrorKind::kUnavailable},
  };
  for (const auto& [code, kind] : kCases) {
    EXPECT_EQ(ErrorOf(grpc::Status(code, "so"), Millis(500)).kind, kind) << code;
  }
  EXPECT_EQ(ErrorOf(5, "no such\ngroup").message, "no such group (NOT_FOUND)");
  EXPECT_EQ(ErrorOf(99, "").message, "(status 99)");
  EXPECT_LT(ErrorOf(5, std::string(100'000, 'x')).message.size(), 600u);
  const Error late = ErrorOf(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "x"), Millis(500));
  EXPECT_EQ(late.message, "did not answer within 500ms");
  EXPECT_TRUE(IsLate(late));
  EXPECT_TRUE(IsUnimplemented(ErrorOf(grpc::StatusCode::UNIMPLEMENTED, "")));
}

grpc::Status Throttled(int64_t seconds, int nanos, const std::string& type) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(seconds);
  info.mutable_retry_delay()->set_nanos(nanos);
  google::rpc::Status details;
  details.set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
  auto& any = *details.add_details();
  any.set_type_url(type);
  any.set_value(info.SerializeAsString());
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "slow down", details.SerializeAsString()};
}

TEST(PluginErrors, RetryInfoMeansThrottledAndSaysUntilWhen) {
  const std::string type = "type.googleapis.com/google.rpc.RetryInfo";
  const auto read = [](const grpc::Status& status) { return ErrorOf(status, Millis(500)); };
  const Error error = read(Throttled(7, 500'000'000, type));
  EXPECT_EQ(error.kind, ErrorKind::kThrottled);
  EXPECT_EQ(error.retry_after, Millis(7500));
  EXPECT_EQ(read(Throttled(int64_t{1} << 60, 0, type)).retry_after, std::chrono::hours(1));
  EXPECT_EQ(read(Throttled(-5, -5, type)).retry_after, Millis(1));
  EXPECT_EQ(read(Throttled(7, 0, "type.googleapis.com/other")).kind, ErrorKind::kExhausted);
  EXPECT_EQ(read({grpc::StatusCode::RESOURCE_EXHAUSTED, "", "\xff\xff garbage"}).kind,
            ErrorKind::kExhausted);
}

}  // namespace
}  // namespace autoscale
