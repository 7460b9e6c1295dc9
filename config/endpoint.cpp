#include "config/endpoint.h"

#include <algorithm>

#include "config/scalar.h"

namespace autoscale {

std::string UrlFault(std::string_view url) {
  std::string form = "must be http://HOST:PORT or https://HOST:PORT, with a path or without";
  const size_t scheme = url.starts_with("http://") ? 7 : url.starts_with("https://") ? 8 : 0;
  if (scheme == 0) return form;
  const std::string_view rest = url.substr(scheme);
  const std::string_view host = rest.substr(0, rest.find('/'));
  if (host.find('@') != std::string_view::npos) {
    return "must hold no user and password; give 'username' and 'password' instead";
  }
  if (host.empty() || host.front() == ':' ||
      rest.find_first_of(" \t\r\n?#") != std::string_view::npos) {
    return form;
  }
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.back() == ']') return {};
  const auto port = ParseInt(host.substr(colon + 1));
  return port && *port >= 1 && *port <= 65535 ? std::string() : form;
}

Credentials ReadCredentials(Section& section, const std::string& of) {
  Credentials credentials;
  credentials.bearer_token = section.Secret("bearer_token");
  credentials.username = section.String("username");
  credentials.password = section.Secret("password");
  credentials.ca_file = section.Path("ca_file");
  if (section.Has("username") != section.Has("password")) {
    section.Fault(
        section.Has("username") ? "username" : "password",
        "'" + of + ".username' and '" + of + ".password' go together; give both or neither");
  }
  if (section.Has("bearer_token") && section.Has("username")) {
    section.Fault("bearer_token",
                  "'" + of + "' has both a bearer token and a user name; remove one of them");
  }
  return credentials;
}

}  // namespace autoscale
