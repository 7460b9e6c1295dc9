#include "providers/provider.h"

namespace autoscale {

std::string_view ToString(InstanceState state) {
  switch (state) {
    case InstanceState::kStarting:
      return "starting";
    case InstanceState::kReady:
      return "ready";
    case InstanceState::kUnready:
      return "unready";
    case InstanceState::kStopping:
      return "stopping";
    case InstanceState::kGone:
      return "gone";
  }
  return "unknown";
}

}  // namespace autoscale
