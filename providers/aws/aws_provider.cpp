#include "providers/aws/aws_provider.h"

#include <map>
#include <set>
#include <utility>

#include "providers/aws/account.h"
#include "providers/aws/observation.h"
#include "providers/aws/resize.h"

namespace autoscale {
namespace {

using aws::Account;
using aws::ApiEffort;
using aws::Group;
using aws::GroupPtr;
using TargetPtr = std::shared_ptr<const AwsTarget>;

ApiEffort EffortOf(const AwsTarget& target) {
  return {.timeout = target.timeout, .retries = target.retries};
}

// One Observe: groups first, then the addresses of what is in them.
struct Survey {
  struct Seen {
    std::string service;
    TargetPtr target;
    Account* account = nullptr;
    std::optional<Result<GroupPtr>> group;
  };
  // Addresses that one account is asked for.
  struct Need {
    std::vector<std::string> ids;
    bool is_fresh = false;
    ApiEffort effort;
    std::optional<Status> outcome;
  };
  std::vector<Seen> seen;
  std::map<Account*, Need> needs;
  size_t missing = 0;
  std::function<void(Result<std::vector<Observation>>)> done;
};
using SurveyPtr = std::shared_ptr<Survey>;

class AwsProvider final : public Provider {
 public:
  AwsProvider(EventLoop& loop, HttpClient& http, aws::ApiOptions options)
      : loop_(loop), http_(http), options_(std::move(options)) {}

  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override;
  void SetCapacity(TargetRef target, CapacityWish wish, std::function<void(Status)> done) override;

 private:
  Account& AccountOf(const AwsTarget& target);
  void TakeGroups(const SurveyPtr& survey);
  static void Conclude(const SurveyPtr& survey);
  static Observation See(const Survey::Seen& seen, const Survey& survey);

  EventLoop& loop_;
  HttpClient& http_;
  const aws::ApiOptions options_;
  std::map<std::string, std::unique_ptr<Account>> accounts_;  // by AwsAccess::Key
};

Account& AwsProvider::AccountOf(const AwsTarget& target) {
  auto& account = accounts_[target.access.Key()];
  if (!account) account = std::make_unique<Account>(loop_, http_, target.access, options_);
  return *account;
}

// --- Observe ---

void AwsProvider::Observe(std::vector<TargetRef> targets,
                          std::function<void(Result<std::vector<Observation>>)> done) {
  auto survey = std::make_shared<Survey>();
  survey->done = std::move(done);
  survey->missing = 1;  // this one ends when all are asked
  for (const TargetRef& ref : targets) {
    survey->seen.push_back(
        {.service = ref.service, .target = std::dynamic_pointer_cast<const AwsTarget>(ref.target)});
  }
  for (size_t i = 0; i < survey->seen.size(); ++i) {
    Survey::Seen& seen = survey->seen[i];
    if (!seen.target) continue;
    seen.account = &AccountOf(*seen.target);
    ++survey->missing;
    seen.account->ReadGroup(seen.target->group, EffortOf(*seen.target),
                            [this, survey, i](const Result<GroupPtr>& group) {
                              survey->seen[i].group = group;
                              if (--survey->missing == 0) TakeGroups(survey);
                            });
  }
  if (--survey->missing == 0) TakeGroups(survey);
}

void AwsProvider::TakeGroups(const SurveyPtr& survey) {
  for (const Survey::Seen& seen : survey->seen) {
    if (!seen.group || !seen.group->ok() || seen.target->port == 0) continue;
    Survey::Need& need = survey->needs[seen.account];
    for (std::string& id : aws::IdsOf(***seen.group)) need.ids.push_back(std::move(id));
    need.is_fresh |= seen.target->is_public;
    need.effort = EffortOf(*seen.target);
  }
  survey->missing = survey->needs.size() + 1;
  for (auto& [account, need] : survey->needs) {
    // A map's elements stay where they are.
    account->ReadAddresses(need.ids, need.is_fresh, need.effort,
                           [survey, outcome = &need.outcome](Status status) {
                             outcome->emplace(std::move(status));
                             if (--survey->missing == 0) Conclude(survey);
                           });
  }
  if (--survey->missing == 0) Conclude(survey);
}

void AwsProvider::Conclude(const SurveyPtr& survey) {
  std::vector<Observation> observations;
  observations.reserve(survey->seen.size());
  for (const Survey::Seen& seen : survey->seen) observations.push_back(See(seen, *survey));
  survey->done(std::move(observations));
}

Observation AwsProvider::See(const Survey::Seen& seen, const Survey& survey) {
  Observation observation;
  observation.service = seen.service;
  if (!seen.target) {
    observation.fault = Error{ErrorKind::kInternal, "not a target of the provider aws"};
    return observation;
  }
  const AwsTarget& target = *seen.target;
  observation.abilities = {.names_instances = false, .ends_exactly = true, .poll = target.poll};
  if (!seen.group->ok()) {
    observation.fault = Error(seen.group->error()).Within(target.Shown());
    return observation;
  }
  const Group& group = ***seen.group;
  Account& account = *seen.account;
  Status addresses = Ok{};
  const auto need = survey.needs.find(seen.account);
  if (need != survey.needs.end()) addresses = *need->second.outcome;
  // A right that lacks does not come by itself: a person is to hear of it.
  if (target.port != 0 && !addresses.ok() && addresses.error().kind == ErrorKind::kForbidden) {
    observation.fault = Error(addresses.error()).Within(target.Shown());
    return observation;
  }
  observation = aws::Describe(seen.service, target, group, account, addresses);
  observation.shortage = account.LookForShortage(group, aws::CountPresent(group), EffortOf(target));
  for (const aws::GroupInstance& instance : group.instances) {
    if (target.hook.empty() || instance.lifecycle != "Terminating:Wait") continue;
    if (account.HasEnded(instance.id)) {
      account.CompleteOnce(target.group, target.hook, instance.id, EffortOf(target));
    }
  }
  return observation;
}

// --- SetCapacity ---

void AwsProvider::SetCapacity(TargetRef target, CapacityWish wish,
                              std::function<void(Status)> done) {
  auto group = std::dynamic_pointer_cast<const AwsTarget>(target.target);
  if (!group) return done(Error{ErrorKind::kInternal, "not a target of the provider aws"});
  Account& account = AccountOf(*group);
  aws::Resize(account, std::move(group), std::move(wish), std::move(done));
}

}  // namespace

std::unique_ptr<Provider> MakeAwsProvider(EventLoop& loop, HttpClient& http,
                                          aws::ApiOptions options) {
  return std::make_unique<AwsProvider>(loop, http, std::move(options));
}

Result<std::unique_ptr<Provider>> CreateAwsProvider(const ProviderContext& context) {
  return MakeAwsProvider(context.loop, context.http, {});
}

}  // namespace autoscale
