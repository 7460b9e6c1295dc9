// The adapters of a dry run: they observe what is real and record what they were asked to change.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "gateways/gateway.h"
#include "providers/provider.h"

namespace autoscale {

// Observes through the real provider; launches and ends nothing.
class RecordingProvider final : public Provider {
 public:
  // `real` outlives it.
  explicit RecordingProvider(Provider& real) : real_(real) {}

  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override;
  void Launch(TargetRef target, std::vector<std::string> ids,
              std::function<void(std::vector<Status>)> done) override;
  void Terminate(TargetRef target, std::vector<std::string> ids,
                 std::function<void(std::vector<Status>)> done) override;
  void SetCapacity(TargetRef target, CapacityWish wish, std::function<void(Status)> done) override;
  void ReadUsage(std::function<void(std::vector<InstanceUsage>)> done) override;

  // How many launches and terminations would have been, since the start.
  [[nodiscard]] int launches() const { return launches_; }
  [[nodiscard]] int terminations() const { return terminations_; }

 private:
  Provider& real_;
  int launches_ = 0;
  int terminations_ = 0;
};

// Takes every list, tells it back, and sends nothing anywhere.
class RecordingGateway final : public Gateway {
 public:
  [[nodiscard]] GatewayCapabilities capabilities() const override {
    return {.counts_in_flight = true};
  }
  void Publish(UpstreamList list, std::function<void(Status)> done) override;
  void Inspect(std::vector<std::string> upstreams,
               std::function<void(Result<std::vector<UpstreamStatus>>)> done) override;

 private:
  std::map<std::string, ListVersion> versions_;
};

}  // namespace autoscale
