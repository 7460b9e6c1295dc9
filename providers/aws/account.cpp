#include "providers/aws/account.h"

#include <algorithm>
#include <utility>

namespace autoscale::aws {
namespace {

using std::chrono::seconds;

// What DescribeAutoScalingGroups takes and answers at once, with MaxRecords.
constexpr size_t kGroupsAtOnce = 100;
// Values of one filter of DescribeInstances.
constexpr size_t kIdsAtOnce = 200;
// Far beyond what so many names can fill: a token without an end.
constexpr int kMostPages = 100;

// A public address may be given to another instance.
constexpr seconds kFresh{60};
// What nobody asks about any more is forgotten.
constexpr std::chrono::hours kForgetAfter{1};

// Instances take a while to be launched; then their lack is asked about.
constexpr seconds kShortFor{30};
constexpr seconds kAskAgain{60};
constexpr int kAsksAtOnce = 4;

constexpr seconds kCompleteAgain{30};

}  // namespace

Account::Account(EventLoop& loop, HttpClient& http, AwsAccess access, const ApiOptions& options)
    : loop_(loop), clocks_(options.clocks), api_(loop, http, std::move(access), options) {}

// --- Groups ---

struct Account::Reading {
  std::map<std::string, std::vector<TakeGroup>> wanted;
  ApiEffort effort;
  std::map<std::string, GroupPtr> found;
  int pages = 0;

  void End(const std::optional<Error>& error, const std::weak_ptr<int>& alive) {
    for (auto& [name, takers] : wanted) {
      const auto at = found.find(name);
      Result<GroupPtr> told = Error{ErrorKind::kNotFound, "there is none of this name"};
      if (at != found.end()) {
        told = at->second;
      } else if (error) {
        told = *error;
      }
      for (const TakeGroup& take : takers) {
        if (alive.expired()) return;
        take(told);
      }
    }
  }
};

void Account::ReadGroup(const std::string& name, const ApiEffort& effort, TakeGroup take) {
  if (wanted_.empty()) {
    effort_ = effort;
    loop_.Post([this, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired()) Flush();
    });
  }
  effort_.timeout = std::max(effort_.timeout, effort.timeout);
  effort_.retries = std::max(effort_.retries, effort.retries);
  wanted_[name].push_back(std::move(take));
}

void Account::Flush() {
  Forget();
  auto wanted = std::exchange(wanted_, {});
  while (!wanted.empty()) {
    auto reading = std::make_shared<Reading>();
    reading->effort = effort_;
    while (!wanted.empty() && reading->wanted.size() < kGroupsAtOnce) {
      reading->wanted.insert(wanted.extract(wanted.begin()));
    }
    ReadPage(reading, "");
  }
}

void Account::ReadPage(const std::shared_ptr<Reading>& reading, const std::string& next) {
  ApiCall call{.action = "DescribeAutoScalingGroups", .effort = reading->effort};
  int n = 0;
  for (const auto& [name, takers] : reading->wanted) {
    call.parameters.emplace_back("AutoScalingGroupNames.member." + std::to_string(++n), name);
  }
  call.parameters.emplace_back("MaxRecords", std::to_string(kGroupsAtOnce));
  if (!next.empty()) call.parameters.emplace_back("NextToken", next);
  const std::string shown = "autoscaling:" + call.action;
  api_.Call(std::move(call), [this, reading, shown](Result<std::string> body) {
    auto page = body.ok() ? ParseGroups(*body) : Result<GroupPage>(std::move(body).error());
    if (!page.ok()) {
      Error error = std::move(page).error();
      if (!error.message.starts_with("autoscaling:")) error = std::move(error).Within(shown);
      return reading->End(std::move(error), alive_);
    }
    for (Group& group : page->groups) {
      std::string name = group.name;
      reading->found[name] = std::make_shared<const Group>(std::move(group));
    }
    if (page->next.empty()) return reading->End(std::nullopt, alive_);
    if (++reading->pages < kMostPages) return ReadPage(reading, page->next);
    reading->End(Error{ErrorKind::kUnavailable, shown + ": its pages have no end"}, alive_);
  });
}

// --- Addresses ---

struct Account::Lookup {
  std::vector<std::string> ids;  // the next at the end
  ApiEffort effort;
  std::function<void(Status)> done;
  std::vector<std::string> chunk;
  std::string next;
  int pages = 0;
};

void Account::ReadAddresses(const std::vector<std::string>& ids, bool fresh,
                            const ApiEffort& effort, std::function<void(Status)> done) {
  Forget();
  auto lookup = std::make_shared<Lookup>();
  lookup->effort = effort;
  lookup->done = std::move(done);
  const SteadyTime now = clocks_.steady();
  for (const std::string& id : ids) {
    const auto known = addresses_.find(id);
    const bool is_known = known != addresses_.end() && !known->second.addresses.private_ip.empty();
    if (!is_known || (fresh && now - known->second.read >= kFresh)) lookup->ids.push_back(id);
  }
  std::sort(lookup->ids.begin(), lookup->ids.end(), std::greater<>());
  lookup->ids.erase(std::unique(lookup->ids.begin(), lookup->ids.end()), lookup->ids.end());
  if (lookup->ids.empty()) return lookup->done(Ok{});
  ReadChunk(lookup);
}

// By a filter and not by the ids themselves: one that EC2 does not know (any more) would fail all.
void Account::ReadChunk(const std::shared_ptr<Lookup>& lookup) {
  if (lookup->next.empty()) {
    const size_t count = std::min(kIdsAtOnce, lookup->ids.size());
    lookup->chunk.assign(lookup->ids.end() - static_cast<long>(count), lookup->ids.end());
    lookup->ids.resize(lookup->ids.size() - count);
  }
  ApiCall call{.to = ApiCall::To::kEc2,
               .action = "DescribeInstances",
               .parameters = {{"Filter.1.Name", "instance-id"}},
               .effort = lookup->effort};
  for (size_t i = 0; i < lookup->chunk.size(); ++i) {
    call.parameters.emplace_back("Filter.1.Value." + std::to_string(i + 1), lookup->chunk[i]);
  }
  if (!lookup->next.empty()) call.parameters.emplace_back("NextToken", lookup->next);
  api_.Call(std::move(call), [this, lookup](Result<std::string> body) {
    auto page = body.ok() ? ParseAddresses(*body) : Result<AddressPage>(std::move(body).error());
    if (!page.ok()) return lookup->done(std::move(page).error());
    lookup->next = page->next;
    TakeAddresses(*page);
    if (lookup->next.empty() && lookup->ids.empty()) return lookup->done(Ok{});
    if (++lookup->pages < kMostPages) return ReadChunk(lookup);
    lookup->done(Error{ErrorKind::kUnavailable, "ec2:DescribeInstances: its pages have no end"});
  });
}

void Account::TakeAddresses(const AddressPage& page) {
  const SteadyTime now = clocks_.steady();
  for (const auto& [id, addresses] : page.by_id) {
    addresses_[id] = {.addresses = addresses, .read = now, .used = now};
  }
}

Addresses Account::AddressesOf(const std::string& id) {
  const auto known = addresses_.find(id);
  if (known == addresses_.end()) return {};
  known->second.used = clocks_.steady();
  return known->second.addresses;
}

void Account::Forget() {
  const SteadyTime now = clocks_.steady();
  std::erase_if(addresses_, [&](const auto& e) { return now - e.second.used >= kForgetAfter; });
  for (auto* times : {&ended_, &completed_}) {
    std::erase_if(*times, [&](const auto& entry) { return now - entry.second >= kForgetAfter; });
  }
}

// --- Shortages ---

std::optional<Error> Account::LookForShortage(const Group& group, int present,
                                              const ApiEffort& effort) {
  if (present >= group.desired) {
    shortages_.erase(group.name);
    return std::nullopt;
  }
  const SteadyTime now = clocks_.steady();
  Shortage& shortage =
      shortages_.try_emplace(group.name, Shortage{.since = now, .ask_at = now + kShortFor})
          .first->second;
  if (!shortage.busy && now >= shortage.ask_at && asking_ < kAsksAtOnce) {
    shortage.busy = true;
    shortage.ask_at = now + kAskAgain;
    ++asking_;
    AskActivities(group.name, effort);
  }
  return shortage.told;
}

void Account::AskActivities(const std::string& group, const ApiEffort& effort) {
  ApiCall call{.action = "DescribeScalingActivities",
               .parameters = {{"AutoScalingGroupName", group}, {"MaxRecords", "10"}},
               .effort = effort};
  api_.Call(std::move(call), [this, group](Result<std::string> body) {
    --asking_;
    const auto at = shortages_.find(group);
    if (at == shortages_.end()) return;
    at->second.busy = false;
    auto activities =
        body.ok() ? ParseActivities(*body) : Result<std::vector<Activity>>(std::move(body).error());
    // That it cannot be told is told, too: most often a right lacks.
    at->second.told = activities.ok() ? ShortageIn(*activities) : std::move(activities).error();
  });
}

// --- Lifecycle actions ---

void Account::Complete(const std::string& group, const std::string& hook, const std::string& id,
                       const ApiEffort& effort, std::function<void(Status)> done) {
  completed_[id] = clocks_.steady();
  ApiCall call{.action = "CompleteLifecycleAction",
               .parameters = {{"AutoScalingGroupName", group},
                              {"LifecycleHookName", hook},
                              {"LifecycleActionResult", "CONTINUE"},
                              {"InstanceId", id}},
               .effort = effort};
  api_.Call(std::move(call), [done = std::move(done)](const Result<std::string>& body) {
    const bool fine = body.ok() || body.error().kind == ErrorKind::kNotFound;
    done(fine ? Status(Ok{}) : Status(body.error()));
  });
}

void Account::CompleteOnce(const std::string& group, const std::string& hook, const std::string& id,
                           const ApiEffort& effort) {
  const auto at = completed_.find(id);
  if (at != completed_.end() && clocks_.steady() - at->second < kCompleteAgain) return;
  // What fails is done again with the next look, or at the hook's own time-out.
  Complete(group, hook, id, effort, [](const Status&) {});
}

}  // namespace autoscale::aws
