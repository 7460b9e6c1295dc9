#include "providers/aws/profile.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string_view>

namespace autoscale::aws {
namespace {

using Settings = std::map<std::string, std::string>;

constexpr size_t kMaxFileBytes = 1u << 20;

std::string_view Strip(std::string_view text) {
  const size_t from = text.find_first_not_of(" \t\r");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
}

// The settings of one section; nothing: it is not there. Both files are INI; what is indented
// belongs to the setting above it and is none of ours.
std::optional<Settings> ReadSettings(const std::string& path, const std::string& wanted) {
  struct stat file {};
  if (stat(path.c_str(), &file) != 0 || !S_ISREG(file.st_mode) ||
      static_cast<size_t>(file.st_size) > kMaxFileBytes) {
    return std::nullopt;
  }
  std::ifstream in(path);
  std::optional<Settings> found;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    const std::string_view text = Strip(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') continue;
    if (text.front() == '[') {
      const size_t end = text.find(']');
      inside = end != std::string_view::npos && Strip(text.substr(1, end - 1)) == wanted;
      if (inside && !found) found.emplace();
      continue;
    }
    const size_t equals = text.find('=');
    const bool indented = line.front() == ' ' || line.front() == '\t';
    if (!inside || indented || equals == std::string_view::npos) continue;
    found->insert_or_assign(std::string(Strip(text.substr(0, equals))),
                            std::string(Strip(text.substr(equals + 1))));
  }
  return found;
}

std::string PathOf(const EnvironmentLookup& environment, const char* variable, const char* usual) {
  if (auto path = environment(variable)) return *path;
  return environment("HOME").value_or("") + usual;
}

// What other tools do there and we do not; empty: nothing known.
std::string WayOf(const Settings& settings) {
  for (const char* key : {"role_arn", "credential_process", "sso_session", "sso_start_url",
                          "credential_source", "web_identity_token_file"}) {
    if (settings.contains(key)) return key;
  }
  return {};
}

AccessKeys KeysOf(const Settings& settings) {
  const auto at = [&](const char* key) {
    const auto found = settings.find(key);
    return found == settings.end() ? std::string() : found->second;
  };
  return {.id = at("aws_access_key_id"),
          .secret = at("aws_secret_access_key"),
          .token = at("aws_session_token")};
}

}  // namespace

std::optional<std::string> ProcessEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

Result<AccessKeys> ReadProfile(const EnvironmentLookup& environment, const std::string& profile) {
  const std::string name =
      profile.empty() ? environment("AWS_PROFILE").value_or("default") : profile;
  const std::string keys_file =
      PathOf(environment, "AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials");
  const std::string config_file = PathOf(environment, "AWS_CONFIG_FILE", "/.aws/config");
  const auto keys = ReadSettings(keys_file, name);
  const auto config = ReadSettings(config_file, name == "default" ? name : "profile " + name);
  if (!keys && !config) {
    return Error{ErrorKind::kNotFound,
                 "there is no profile '" + name + "' in " + keys_file + " or " + config_file};
  }
  std::string way;
  // What the credentials file says counts before the other.
  for (const auto* settings : {&keys, &config}) {
    if (!*settings) continue;
    AccessKeys read = KeysOf(**settings);
    if (!read.id.empty() && !read.secret.empty()) return read;
    if (way.empty()) way = WayOf(**settings);
  }
  return Error{ErrorKind::kInvalid,
               "the profile '" + name + "' has no aws_access_key_id and aws_secret_access_key" +
                   (way.empty() ? std::string() : ": " + way + " is not understood here")};
}

}  // namespace autoscale::aws
