// The one line with which a plugin says where it listens, as hashicorp/go-plugin has it
// (docs/guide-plugin-write-non-go.md there):
//
//   CORE-VERSION | APP-VERSION | NETWORK | ADDRESS | PROTOCOL | SERVER-CERT | MULTIPLEX
#pragma once

#include <string>
#include <string_view>

#include "config/section.h"
#include "engine/model/result.h"

namespace autoscale {

// Without it in its environment a plugin was started by hand, and says so. No secret.
inline constexpr const char* kPluginCookieName = "AUTOSCALED_PLUGIN";
inline constexpr const char* kPluginCookieValue =
    "8f1d2c0e6b7a4d3f9e5c1a0b7d6e4f2839c5b1a7e0d4f6c2";

inline constexpr size_t kMaxHandshake = 1024;  // bytes

// Where it listens, as gRPC names it: "unix:/run/x", "ipv4:127.0.0.1:1234". An error is a phrase
// that says what the line has instead.
Result<std::string> ReadHandshake(std::string_view line);

}  // namespace autoscale
