// Where keys come from, in AWS's order: environment, web identity, shared profile, container,
// instance.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "net/http_client.h"
#include "providers/aws/profile.h"

namespace autoscale::aws {

struct FetchedKeys {
  AccessKeys keys;
  std::optional<int64_t> expires;  // seconds since 1970; nothing: they last
};

struct KeyPlaces {
  EnvironmentLookup environment = ProcessEnvironment;
  std::string profile;  // asked for by name; empty: the chain
  std::string sts;      // URL
  std::string ca_file;
  // Where containers and instances are told who they are.
  std::string container = "http://169.254.170.2";
  std::string instance = "http://169.254.169.254";
};

// The first place that is there answers; that it fails is no reason to try the next. Each request
// is given `timeout`. Calls back once, at once or later.
void FetchKeys(HttpClient& http, const KeyPlaces& places, Millis timeout,
               std::function<void(Result<FetchedKeys>)> done);

// Whether a container's credentials may be asked for there: nobody else's machine gets the token.
bool IsCredentialUrl(const std::string& url);

}  // namespace autoscale::aws
