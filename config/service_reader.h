// Reads service files.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/daemon_reader.h"
#include "config/policy_files.h"
#include "config/zones.h"

namespace autoscale {

class ServiceReader {
 public:
  // `daemon` may be null: then nothing is shared and gateways are not checked. All outlive the
  // reader.
  ServiceReader(const LoadOptions& options, const DaemonFile* daemon, PolicyFiles& policies);

  // Reads the services of one file, in its order.
  std::vector<ServiceSpec> Read(Section root);

 private:
  ServiceSpec ReadService(Section section, const MetricTable* file_metrics);
  void ReadName(Section& section, ServiceSpec& service);
  void ReadZones(Section& section, ServiceSpec& service);
  std::shared_ptr<const PolicySource> ReadPolicy(Section& section);
  void ReadShadow(Section& section, ServiceSpec& service);
  void ReadProvider(Section& section, ServiceSpec& service);
  void ReadGateways(Section& section, ServiceSpec& service);

  const LoadOptions& options_;
  const DaemonFile* daemon_;
  PolicyFiles& policies_;
  ZoneFiles zones_;
  std::map<std::string, std::shared_ptr<const PolicySource>> shadows_;  // by path
  std::vector<std::string> provider_types_;
  std::vector<std::string> gateway_names_;
};

}  // namespace autoscale
