// FakeAws: Auto Scaling, EC2 and STS as far as the provider asks them, on one port; with a history,
// and faults as AWS has them.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tests/fakes/http_server.h"

namespace autoscale {

struct FakeInstance {
  std::string id;
  std::string lifecycle = "InService";
  std::string health = "Healthy";
  bool is_protected = false;
  std::string weight;
};

struct FakeGroup {
  int desired = 0;
  int min = 0;
  int max = 100;
  std::vector<FakeInstance> instances;
  std::vector<std::string> suspended;
  std::string status;
  std::string activities;  // members of DescribeScalingActivities
};

// One call as it came.
struct AwsCall {
  std::string action;
  std::map<std::string, std::string> form;
  std::string authorization;
  std::string security_token;
  [[nodiscard]] std::string At(const std::string& name) const {
    const auto found = form.find(name);
    return found == form.end() ? "" : found->second;
  }
};

// Every method may be called from any thread.
class FakeAws {
 public:
  FakeAws();

  [[nodiscard]] std::string Url() const { return server_.Url(); }
  // Instances are named i-GROUP-1 and so on.
  void Make(const std::string& name, int count, int min = 0, int max = 100);
  FakeGroup Get(const std::string& name) const;
  void Edit(const std::string& name, const std::function<void(FakeGroup&)>& how);
  // Answers the next calls of an action so, one each, instead of as it ought to. `done`: the call
  // is done all the same.
  void Fail(const std::string& action, FakeAnswer answer, int times = 1, bool done = false);
  // So many groups a page.
  void PageBy(size_t groups);

  [[nodiscard]] std::vector<AwsCall> Calls(const std::string& action = "") const;
  [[nodiscard]] size_t Count(const std::string& action) const { return Calls(action).size(); }
  void ForgetCalls();

  // An error as Auto Scaling words it.
  static FakeAnswer Error(int status, const std::string& code, const std::string& message = "no");

 private:
  struct Planned {
    FakeAnswer answer;
    bool done;
  };
  FakeAnswer Answer(const FakeRequest& request);
  FakeAnswer Do(const AwsCall& call);
  FakeAnswer DescribeGroups(const AwsCall& call);
  FakeAnswer DescribeInstances(const AwsCall& call);
  FakeAnswer SetDesired(const AwsCall& call);
  FakeAnswer Terminate(const AwsCall& call);
  FakeAnswer Complete(const AwsCall& call);

  mutable std::mutex mutex_;
  std::map<std::string, FakeGroup> groups_;
  std::map<std::string, std::deque<Planned>> planned_;
  std::vector<AwsCall> calls_;
  size_t page_ = 100;
  FakeHttpServer server_;  // last: its threads call Answer
};

}  // namespace autoscale
