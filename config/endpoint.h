// Endpoint: what is said of a server that the daemon calls: its URL, and how it is let in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/section.h"

namespace autoscale {

struct Credentials {
  std::optional<SecretRef> bearer_token;
  std::string username;  // with password: basic authentication
  std::optional<SecretRef> password;
  std::string ca_file;
};

// Says what is wrong with the URL; empty: nothing. Never repeats it: a password may be in it.
std::string UrlFault(std::string_view url);

// Reads bearer_token, username, password and ca_file; `of` is the section's path as messages show
// it: "prometheus".
Credentials ReadCredentials(Section& section, const std::string& of);

}  // namespace autoscale
