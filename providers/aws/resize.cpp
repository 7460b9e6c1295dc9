#include "providers/aws/resize.h"

#include <algorithm>
#include <utility>

#include "providers/aws/observation.h"

namespace autoscale::aws {
namespace {

// Where it is not known what became of a step, the group is looked at again; so often at most.
constexpr int kLooks = 4;

class Resizing : public std::enable_shared_from_this<Resizing> {
 public:
  Resizing(Account& account, std::shared_ptr<const AwsTarget> target, CapacityWish wish,
           std::function<void(Status)> done)
      : account_(account),
        target_(std::move(target)),
        wish_(std::move(wish)),
        done_(std::move(done)),
        effort_{.timeout = target_->timeout, .retries = target_->retries} {}

  // Each look is a fresh one: how many have to go, and who is still there, is never remembered.
  void Look() {
    ++looks_;
    account_.ReadGroup(target_->group, effort_,
                       [self = shared_from_this()](const Result<GroupPtr>& group) {
                         if (!group.ok()) return self->Fail(group.error());
                         self->Take(**group);
                       });
  }

 private:
  void Fail(Error error) { done_(std::move(error).Within(target_->Shown())); }

  void Take(const Group& group) {
    victims_.clear();
    waiting_.clear();
    for (const std::string& id : wish_.victims) {
      const GroupInstance* instance = group.Find(id);
      if (instance == nullptr) continue;
      if (IsPresent(*instance)) victims_.push_back(id);
      if (instance->lifecycle == "Terminating:Wait" && !target_->hook.empty()) {
        waiting_.push_back(id);
      }
    }
    surplus_ = group.desired - wish_.capacity;
    if (auto error = FaultIn(group)) {
      fault_ = std::move(error);
    } else {
      fault_.reset();
    }
    CompleteNext();
  }

  // Why nothing may be changed; nothing: go on.
  std::optional<Error> FaultIn(const Group& group) const {
    if (surplus_ == 0 && victims_.empty()) return std::nullopt;
    const auto gone = static_cast<int>(wish_.victims.size() - victims_.size());
    const bool as_seen = group.desired == wish_.seen || group.desired == wish_.capacity ||
                         group.desired == wish_.seen - gone;  // what we have done already
    if (!as_seen) {
      return Error{ErrorKind::kConflict, "its capacity is " + std::to_string(group.desired) +
                                             " now, not " + std::to_string(wish_.seen) +
                                             ": somebody else changed it"};
    }
    auto fault = surplus_ < 0 ? FaultInGrowth(group) : FaultInShrinking(group);
    return fault ? fault : FaultInEnding(group);
  }

  std::optional<Error> FaultInGrowth(const Group& group) const {
    if (wish_.capacity > group.max) return OutOfRange(group);
    if (group.IsSuspended("Launch")) return Blocked("its process Launch is suspended");
    return std::nullopt;
  }

  std::optional<Error> FaultInShrinking(const Group& group) const {
    if (surplus_ > 0 && wish_.capacity < group.min) return OutOfRange(group);
    // More are to go than are named: fine while they have not come; else AWS would choose.
    const auto named = static_cast<int>(victims_.size());
    if (surplus_ > named && CountPresent(group) - named > wish_.capacity) {
      return Error{ErrorKind::kConflict,
                   "it has instances that were not known when this was decided"};
    }
    return std::nullopt;
  }

  // A growing wish may name victims, too: others come in their place.
  std::optional<Error> FaultInEnding(const Group& group) const {
    const bool ends = surplus_ > 0 || !victims_.empty();
    if (ends && group.IsSuspended("Terminate")) {
      return Blocked("its process Terminate is suspended");
    }
    for (const std::string& id : victims_) {
      if (group.Find(id)->is_protected) return Blocked(id + " is protected from scale-in");
    }
    return std::nullopt;
  }

  [[nodiscard]] Error OutOfRange(const Group& group) const {
    return {ErrorKind::kOutOfRange,
            "it allows " + std::to_string(group.min) + " to " + std::to_string(group.max) +
                " instances (MinSize, MaxSize), not " + std::to_string(wish_.capacity) +
                ": compare the service's min and max with them"};
  }

  static Error Blocked(const std::string& why) { return {ErrorKind::kBlocked, why}; }

  // Those that wait to end have been drained by now, whatever else may be done or not.
  void CompleteNext() {
    if (waiting_.empty()) return fault_ ? Fail(*fault_) : EndNext();
    const std::string id = waiting_.back();
    waiting_.pop_back();
    account_.RememberEnded(id);
    account_.Complete(target_->group, target_->hook, id, effort_,
                      [self = shared_from_this()](Status status) {
                        if (!status.ok()) return self->Fail(std::move(status).error());
                        self->CompleteNext();
                      });
  }

  // One at a time: what became of the one before is known then.
  void EndNext() {
    if (victims_.empty()) return SetDesired();
    const std::string id = victims_.back();
    const bool smaller = surplus_ > 0;  // else another one is to take its place
    ApiCall call{.action = "TerminateInstanceInAutoScalingGroup",
                 .parameters = {{"InstanceId", id},
                                {"ShouldDecrementDesiredCapacity", smaller ? "true" : "false"}},
                 .effort = effort_,
                 .is_repeatable = false};
    account_.api().Call(std::move(call), [self = shared_from_this(), id,
                                          smaller](const Result<std::string>& answer) {
      Status status = answer.ok() ? ParseDone(*answer, "TerminateInstanceInAutoScalingGroup")
                                  : Status(answer.error());
      if (!status.ok()) return self->Doubt(std::move(status).error());
      self->account_.RememberEnded(id);
      self->victims_.pop_back();
      if (smaller) --self->surplus_;
      self->EndNext();
    });
  }

  // It may have been done, or its instance is gone by itself: the group tells.
  void Doubt(Error error) {
    const bool unclear =
        error.kind == ErrorKind::kUnavailable || error.kind == ErrorKind::kNotFound;
    if (!unclear || looks_ >= kLooks) return Fail(std::move(error));
    Look();
  }

  void SetDesired() {
    if (surplus_ == 0) return done_(Ok{});
    ApiCall call{.action = "SetDesiredCapacity",
                 .parameters = {{"AutoScalingGroupName", target_->group},
                                {"DesiredCapacity", std::to_string(wish_.capacity)},
                                {"HonorCooldown", "false"}},
                 .effort = effort_};
    account_.api().Call(
        std::move(call), [self = shared_from_this()](const Result<std::string>& answer) {
          Status status =
              answer.ok() ? ParseDone(*answer, "SetDesiredCapacity") : Status(answer.error());
          if (!status.ok()) return self->Fail(std::move(status).error());
          self->done_(Ok{});
        });
  }

  Account& account_;
  const std::shared_ptr<const AwsTarget> target_;
  const CapacityWish wish_;
  const std::function<void(Status)> done_;
  const ApiEffort effort_;
  int looks_ = 0;
  int surplus_ = 0;                   // what the group is set to, beyond the wish
  std::vector<std::string> victims_;  // that are still there
  std::vector<std::string> waiting_;  // for their lifecycle action to be completed
  std::optional<Error> fault_;        // why nothing else may be done
};

}  // namespace

void Resize(Account& account, std::shared_ptr<const AwsTarget> target, CapacityWish wish,
            std::function<void(Status)> done) {
  std::make_shared<Resizing>(account, std::move(target), std::move(wish), std::move(done))->Look();
}

}  // namespace autoscale::aws
