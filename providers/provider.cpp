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

namespace {

Error Foreign(const char* what) {
  return {ErrorKind::kInvalid, std::string("this provider ") + what};
}

}  // namespace

// As those take it who override it.
// NOLINTBEGIN(performance-unnecessary-value-param)
void Provider::SetCapacity(TargetRef /*target*/, CapacityWish /*wish*/,
                           std::function<void(Status)> done) {
  done(Foreign("has no capacity to set"));
}

void Provider::Launch(TargetRef /*target*/, std::vector<std::string> ids,
                      std::function<void(std::vector<Status>)> done) {
  done(std::vector<Status>(ids.size(), Foreign("names its instances itself")));
}

void Provider::Terminate(TargetRef /*target*/, std::vector<std::string> ids,
                         std::function<void(std::vector<Status>)> done) {
  done(std::vector<Status>(ids.size(), Foreign("names its instances itself")));
}
// NOLINTEND(performance-unnecessary-value-param)

}  // namespace autoscale
