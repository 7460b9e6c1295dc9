// AWS Signature Version 4: who sends a request, proved by its headers. Pure: the same input gives
// the same text.
//
// As AWS describes it in "Create a signed AWS API request" (IAM user guide). Without S3's
// exceptions: the path is made canonical and escaped once more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoscale::aws {

// What lets us in. Never shown.
struct AccessKeys {
  std::string id;
  std::string secret;
  std::string token;  // of temporary ones; empty: none
  bool operator==(const AccessKeys&) const = default;
};

using SignedHeaders = std::vector<std::pair<std::string, std::string>>;

struct RequestToSign {
  std::string method = "POST";
  std::string path = "/";  // as it is sent
  std::string query;       // as it is sent: escaped, without the '?'
  SignedHeaders headers;   // of any case, with Host; all of them are signed
  std::string body;
};

struct SigningScope {
  std::string region;
  std::string service;  // "autoscaling"
  int64_t time = 0;     // seconds since 1970
};

// What has to be sent besides: X-Amz-Date, X-Amz-Security-Token where there is a token, and
// Authorization.
SignedHeaders Sign(const RequestToSign& request, const AccessKeys& keys, const SigningScope& scope);

// The Host header that is sent to a URL: without the scheme's own port.
std::string HostOf(std::string_view url);

}  // namespace autoscale::aws
