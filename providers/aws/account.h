// Account: what is known of the groups and instances of one account and region, asked for in as few
// calls as there can be.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "providers/aws/answer.h"
#include "providers/aws/api.h"

namespace autoscale::aws {

using GroupPtr = std::shared_ptr<const Group>;

class Account {
 public:
  using TakeGroup = std::function<void(const Result<GroupPtr>&)>;

  Account(EventLoop& loop, HttpClient& http, AwsAccess access, const ApiOptions& options);
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  [[nodiscard]] Api& api() { return api_; }

  // Reads a group as it is now. What is asked for before the loop's next task goes in one call, by
  // the hundred. kNotFound: there is none.
  void ReadGroup(const std::string& name, const ApiEffort& effort, TakeGroup take);

  // Sees to it that the addresses of these instances are known, as far as EC2 tells them. Private
  // ones stay the same for good; with `fresh`, those read longer ago than a minute are read again.
  void ReadAddresses(const std::vector<std::string>& ids, bool fresh, const ApiEffort& effort,
                     std::function<void(Status)> done);
  // Empty ones: not known.
  Addresses AddressesOf(const std::string& id);

  // Why instances do not come that a group ought to have, once that has lasted: asked of AWS for a
  // few groups at a time, each once a minute, and told from the next look on.
  std::optional<Error> LookForShortage(const Group& group, int present, const ApiEffort& effort);

  // Instances that we have ended, drained: their lifecycle actions need not wait for anybody.
  void RememberEnded(const std::string& id) { ended_[id] = clocks_.steady(); }
  [[nodiscard]] bool HasEnded(const std::string& id) const { return ended_.contains(id); }
  // Lets the lifecycle action of an instance in Terminating:Wait go on. That there is none
  // (any more) is fine.
  void Complete(const std::string& group, const std::string& hook, const std::string& id,
                const ApiEffort& effort, std::function<void(Status)> done);
  // The same, for those seen to wait: not again before half a minute has passed.
  void CompleteOnce(const std::string& group, const std::string& hook, const std::string& id,
                    const ApiEffort& effort);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct Reading;  // a call for groups, page by page
  struct Lookup;   // the same for addresses
  struct Shortage {
    SteadyTime since;
    SteadyTime ask_at;
    bool busy = false;
    std::optional<Error> told;
  };
  struct Known {
    Addresses addresses;
    SteadyTime read, used;
  };

  void Flush();
  void ReadPage(const std::shared_ptr<Reading>& reading, const std::string& next);
  void ReadChunk(const std::shared_ptr<Lookup>& lookup);
  void TakeAddresses(const AddressPage& page);
  void AskActivities(const std::string& group, const ApiEffort& effort);
  void Forget();

  EventLoop& loop_;
  const Clocks clocks_;
  Api api_;
  std::map<std::string, std::vector<TakeGroup>> wanted_;
  ApiEffort effort_;  // of those
  std::map<std::string, Known> addresses_;
  std::map<std::string, Shortage> shortages_;
  int asking_ = 0;  // for activities, now
  std::map<std::string, SteadyTime> ended_, completed_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace autoscale::aws
