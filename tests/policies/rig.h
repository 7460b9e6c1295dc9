// PolicyRig: a policy file with all that it requires, run tick by tick as the daemon would.
#pragma once

#include <string>
#include <vector>

#include "simulator/step.h"

namespace autoscale {

class PolicyRig {
 public:
  // `file` is relative to the repository. 15 s between ticks, any capacity up to 1000.
  explicit PolicyRig(const std::string& file);
  // A policy made of this text, beside the shipped ones.
  static PolicyRig Of(const std::string& text);

  PolicyRig& Metric(const std::string& name, Unit unit);
  PolicyRig& Param(const std::string& name, ParamValue value);
  PolicyRig& Has(int desired, int ready);
  PolicyRig& Has(int n) { return Has(n, n); }
  PolicyRig& Min(int min);
  PolicyRig& Value(const std::string& name, double value);
  // One value an instance; those beyond `ready` of them belong to instances that are not.
  PolicyRig& Each(const std::string& name, std::vector<double> values, int ready = 1000);
  PolicyRig& Is(const std::string& name, SampleState state);
  // The time zone of the service, "Europe/Berlin".
  PolicyRig& Zone(const std::string& name);
  PolicyRig& At(double unix_seconds);
  PolicyRig& After(double seconds);
  // So long, with a tick each 15 s: all but the last of them are run here.
  PolicyRig& Lasts(double seconds);

  // Runs one tick. What it decides is not applied; the policy's state and the history are kept.
  const StepOutcome& Run();
  // The capacity that the policy wants: the desired one for a hold.
  int Wants() { return Run().proposal.capacity; }
  std::string Why() { return Run().proposal.reason; }
  // Ticks that act on their decision, all instances being ready at once; answers the desired.
  int Acts();

  [[nodiscard]] const StepOutcome& last() const { return last_; }
  ServiceSpec& service() { return service_; }

 private:
  PolicyRig() = default;
  void Begin(std::shared_ptr<const PolicySource> policy);

  std::shared_ptr<PolicyHost> host_ = std::make_shared<PolicyHost>(PolicyLimits{});
  ServiceSpec service_;
  StepInput input_;
  std::map<std::string, Sample> metrics_;
  StepOutcome last_;
};

}  // namespace autoscale
