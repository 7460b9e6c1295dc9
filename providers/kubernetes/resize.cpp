#include "providers/kubernetes/resize.h"

#include <algorithm>
#include <utility>

namespace autoscale::kubernetes {
namespace {

// What a ReplicaSet ends first: the lowest cost there is.
constexpr const char* kCost = "controller.kubernetes.io/pod-deletion-cost";
constexpr const char* kLowest = "-2147483648";
// An object's version changes with its status too, as when a pod becomes ready: that is no conflict
// about its capacity. So many times it is read and tried again.
constexpr int kAttempts = 5;

class Resizing : public std::enable_shared_from_this<Resizing> {
 public:
  Resizing(Cluster& cluster, TargetPtr target, CapacityWish wish, std::function<void(Status)> done)
      : cluster_(cluster),
        target_(std::move(target)),
        wish_(std::move(wish)),
        done_(std::move(done)) {}

  void Start() {
    path_ = cluster_.PathOf(*target_);
    const Workload* const workload = cluster_.Find(*target_);
    if (workload == nullptr || !workload->replicas) {  // as after a start
      return Read([self = shared_from_this()] { self->Mark(); });
    }
    version_ = workload->version;
    replicas_ = *workload->replicas;
    Mark();
  }

 private:
  using Next = std::function<void()>;

  void Finish(Status status) { done_(std::move(status)); }
  void Fail(Error error) { done_(std::move(error).Within(target_->Shown())); }

  void FailNoScale() { Fail({ErrorKind::kUnavailable, "the answer is no scale"}); }

  // Whether there is something to do, and may be done.
  bool Proceeds() {
    if (replicas_ == wish_.capacity) {
      cluster_.TakeScale(*target_, replicas_, version_);
      Finish(Ok{});
      return false;
    }
    if (replicas_ == wish_.seen) return !EndsUndrained();
    cluster_.TakeScale(*target_, replicas_, version_);
    Fail({ErrorKind::kConflict, "it was set to " + std::to_string(replicas_) + " meanwhile, not " +
                                    std::to_string(wish_.seen)});
    return false;
  }

  // Whoever decided this knows the endpoints only. When those are not all there for a moment, pods
  // seem to have gone that serve; where victims are named, none of the others may end. Pods without
  // a Service, such as workers of a queue, have none to be drained from. Those above
  // the replicas that are set are on their way out already. Of a workload that was only read by its
  // scale nothing is known: that is so before the first look, and nothing is decided then.
  bool EndsUndrained() {
    const Workload* const workload = cluster_.Find(*target_);
    if (wish_.capacity >= replicas_ || !cluster_.EndsExactly(*target_) || !workload->ready ||
        !cluster_.HasEndpoints(*target_)) {
      return false;
    }
    const int serving = std::min(*workload->ready, replicas_);
    if (serving - static_cast<int>(wish_.victims.size()) <= wish_.capacity) return false;
    Fail({ErrorKind::kConflict, std::to_string(serving) + " pods are ready, more than " +
                                    std::to_string(wish_.capacity) +
                                    " and those that are drained: the endpoints do not show them "
                                    "all"});
    return true;
  }

  void Read(Next next) {
    ApiCall call;
    call.path = path_ + "/scale";
    cluster_.api().Send(std::move(call), [self = shared_from_this(), next = std::move(next)](
                                             const Result<std::string>& answer) {
      if (!answer.ok()) return self->Fail(answer.error());
      if (!self->TakeScale(*answer)) return self->FailNoScale();
      next();
    });
  }

  // False: it is no scale, as what a proxy answers in the server's place.
  bool TakeScale(const std::string& answer) {
    const Json scale = Json::parse(answer, nullptr, false);
    version_ = Text(At(scale, "metadata", "resourceVersion"));
    replicas_ = Number(At(scale, "spec", "replicas"), 0);  // a zero is left out
    return !version_.empty();
  }

  void Mark() {
    if (!Proceeds()) return;
    marks_ = wish_.victims.size();
    if (marks_ == 0) return Set();
    const Json body = {{"metadata", {{"annotations", {{kCost, kLowest}}}}}};
    for (const std::string& victim : wish_.victims) {
      ApiCall call;
      call.method = "PATCH";
      call.path = "/api/v1/namespaces/" + target_->api_namespace + "/pods/" + victim;
      call.content_type = "application/merge-patch+json";
      call.body = body.dump();
      cluster_.api().Send(std::move(call),
                          [self = shared_from_this()](const Result<std::string>& answer) {
                            self->TakeMark(answer);
                          });
    }
  }

  void TakeMark(const Result<std::string>& answer) {
    // One that has gone by itself is what was wished.
    if (!answer.ok() && answer.error().kind != ErrorKind::kNotFound && !fault_) {
      fault_ = answer.error();
    }
    if (--marks_ > 0) return;
    if (fault_) return Fail(std::move(*fault_).Within("marking who is to end"));
    Set();
  }

  void Set() {
    const Json body = {{"metadata", {{"resourceVersion", version_}}},
                       {"spec", {{"replicas", wish_.capacity}}}};
    ApiCall call;
    call.method = "PATCH";
    call.path = path_ + "/scale";
    call.content_type = "application/merge-patch+json";  // custom resources take no other
    call.body = body.dump();
    cluster_.api().Send(std::move(call),
                        [self = shared_from_this()](const Result<std::string>& answer) {
                          self->TakeAnswer(answer);
                        });
  }

  void TakeAnswer(const Result<std::string>& answer) {
    if (answer.ok()) {
      if (!TakeScale(*answer)) return FailNoScale();
      cluster_.TakeScale(*target_, replicas_, version_);
      return Finish(Ok{});
    }
    if (answer.error().kind != ErrorKind::kConflict || ++attempts_ >= kAttempts) {
      return Fail(answer.error());
    }
    Read([self = shared_from_this()] {
      if (self->Proceeds()) self->Set();
    });
  }

  Cluster& cluster_;
  const TargetPtr target_;
  const CapacityWish wish_;
  const std::function<void(Status)> done_;
  std::string path_;
  std::string version_;
  int replicas_ = 0;
  size_t marks_ = 0;  // on their way
  std::optional<Error> fault_;
  int attempts_ = 0;
};

}  // namespace

void Resize(Cluster& cluster, TargetPtr target, CapacityWish wish,
            std::function<void(Status)> done) {
  std::make_shared<Resizing>(cluster, std::move(target), std::move(wish), std::move(done))->Start();
}

}  // namespace autoscale::kubernetes
