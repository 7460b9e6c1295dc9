#include "daemon/fleet/recording.h"

namespace autoscale {

void RecordingProvider::Observe(std::vector<TargetRef> targets,
                                std::function<void(Result<std::vector<Observation>>)> done) {
  real_.Observe(std::move(targets), std::move(done));
}

void RecordingProvider::Launch(TargetRef, std::vector<std::string> ids,
                               std::function<void(std::vector<Status>)> done) {
  launches_ += static_cast<int>(ids.size());
  done(std::vector<Status>(ids.size(), Ok{}));
}

void RecordingProvider::Terminate(TargetRef, std::vector<std::string> ids,
                                  std::function<void(std::vector<Status>)> done) {
  terminations_ += static_cast<int>(ids.size());
  done(std::vector<Status>(ids.size(), Ok{}));
}

void RecordingProvider::SetCapacity(TargetRef, CapacityWish, std::function<void(Status)> done) {
  done(Ok{});
}

void RecordingProvider::ReadUsage(std::function<void(std::vector<InstanceUsage>)> done) {
  real_.ReadUsage(std::move(done));
}

void RecordingGateway::Publish(UpstreamList list, std::function<void(Status)> done) {
  versions_[list.upstream] = list.version;
  done(Ok{});
}

void RecordingGateway::Inspect(std::vector<std::string> upstreams,
                               std::function<void(Result<std::vector<UpstreamStatus>>)> done) {
  std::vector<UpstreamStatus> statuses;
  statuses.reserve(upstreams.size());
  for (std::string& upstream : upstreams) {
    const auto known = versions_.find(upstream);
    const ListVersion version = known == versions_.end() ? ListVersion{} : known->second;
    statuses.push_back({.upstream = std::move(upstream), .version = version});
  }
  done(std::move(statuses));
}

}  // namespace autoscale
