// What must be known to finish a service that has left the configuration, so that a crash in the
// middle does not leave its instances running and its lists standing.
#pragma once

#include <string>
#include <string_view>

#include "config/spec.h"
#include "engine/model/result.h"

namespace autoscale {

// For ServiceRow::leaving. The provider's own options are not in it: instances are stopped as the
// provider does by default.
std::string EncodeLeaving(const ServiceSpec& spec);
Result<ServiceSpec> DecodeLeaving(const std::string& name, std::string_view text);

// Whether what is stored is of a target that has a capacity: there is nothing to be ended, and it
// and its lists stay as they are.
bool LeavesItsTarget(std::string_view text);

// A service of one list alone, which `spec` does not publish any more and which is to be emptied.
ServiceSpec FormerUpstream(const ServiceSpec& spec, const GatewayUse& dropped);
// The configured service behind such a name, or the name itself.
std::string ConfiguredName(const std::string& name);

}  // namespace autoscale
