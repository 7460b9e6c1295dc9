// What a service's `provider: {type: aws, ...}` says.
#pragma once

#include <memory>
#include <string>

#include "config/loader.h"
#include "engine/model/time.h"

namespace autoscale {

// Where the services of AWS are, and as whom they are asked. Targets with equal ones share
// connections, credentials, limits and questions.
struct AwsAccess {
  std::string region;
  std::string profile;  // of the shared files; empty: the chain of credentials decides
  std::string autoscaling, ec2, sts;  // URLs
  std::string ca_file;
  [[nodiscard]] std::string Key() const;  // equal for equal ones; holds no secret
};

struct AwsTarget final : ProviderTarget {
  AwsAccess access;
  std::string group;       // the Auto Scaling group's name
  int port = 0;            // at which its instances serve; 0: they have no endpoints
  bool is_public = false;  // by their public addresses
  std::string hook;        // a lifecycle hook that waits for our drains; empty: none
  Millis poll{10000};
  Millis timeout{5000};  // of one request
  int retries = 2;       // besides the first try

  // Two services may not share a group.
  [[nodiscard]] std::string identity() const override;
  [[nodiscard]] std::string place() const override { return Shown(); }
  [[nodiscard]] bool has_capacity() const override { return true; }
  // As messages name it: "Auto Scaling group web (eu-central-1)".
  [[nodiscard]] std::string Shown() const;
};

// A TargetParser. Faults go to the section; then the answer may be null.
std::shared_ptr<const ProviderTarget> ParseAwsTarget(Section& section, const std::string& service);

}  // namespace autoscale
