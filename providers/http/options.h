// What a service's `provider: {type: http, ...}` says.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/loader.h"
#include "engine/model/time.h"
#include "providers/http/template.h"

namespace autoscale {

using JsonPointer = nlohmann::json::json_pointer;

// How the manager lets us in, and how we know it. Requests with equal ones may be shared.
struct HttpAccess {
  enum class Auth { kNone, kBearer, kBasic, kHeader, kOAuth2 };
  Auth auth = Auth::kNone;
  SecretRef secret;  // the token, password, header's value or client secret
  std::string name;  // the user, the header or the client's id
  // kOAuth2
  std::string token_url;
  std::vector<std::pair<std::string, std::string>> form;  // besides grant_type: scope, audience
  bool secret_in_form = false;                            // else by basic authentication

  std::string ca_file, certificate_file, key_file;
  std::vector<std::pair<std::string, std::string>> headers;  // of every request

  [[nodiscard]] std::string Key() const;  // equal for equal ones; holds no secret
};

// A GET, and where in its answer to look.
struct HttpRead {
  std::string url;
  JsonPointer pointer;
};

struct HttpChange {
  std::string method;
  HttpTemplate url;
  HttpTemplate body;
  bool has_body = false;
  std::vector<std::pair<std::string, HttpTemplate>> headers;
  [[nodiscard]] bool Uses(std::string_view variable) const;
};

// Where in each item of a list to look.
struct HttpInstances {
  HttpRead read;
  JsonPointer id;
  std::optional<JsonPointer> address;
  std::optional<JsonPointer> port;
  int fixed_port = 0;  // for addresses without one; 0: none
  std::optional<JsonPointer> ready;
  std::vector<std::string> ready_values, stopping_values;  // of texts at `ready`
};

struct HttpTarget final : ProviderTarget {
  HttpAccess access;
  HttpRead current;
  std::optional<JsonPointer> ready;  // how many are ready, in the answer of `current`
  std::optional<HttpChange> set;     // or both of:
  std::optional<HttpChange> scale_up, scale_down;
  std::optional<HttpInstances> instances;
  Millis poll{5000};
  Millis timeout{5000};  // of one request
  int retries = 3;
  size_t max_answer_bytes = 4u << 20;

  // Where its capacity is read: two services may not share one.
  [[nodiscard]] std::string identity() const override;
  [[nodiscard]] std::string place() const override;
  [[nodiscard]] bool has_capacity() const override { return true; }
  // Victims can be named to the manager.
  [[nodiscard]] bool ends_exactly() const;
};

// A TargetParser. Faults go to the section; then the answer may be null.
std::shared_ptr<const ProviderTarget> ParseHttpTarget(Section& section, const std::string& service);

// Reads `auth` and `tls` of the provider's section, and `headers`, which may hold {{service}}.
HttpAccess ParseHttpAccess(Section& section, const std::string& service);

// Whether HTTP takes it as a header of ours: what is wrong with it; empty: nothing.
std::string HeaderFault(const std::string& name, const std::string& value);
// What is wrong with the URL, which may have a query; empty: nothing.
std::string HttpUrlFault(const std::string& url);

}  // namespace autoscale
