#include "providers/systemd/instance.h"

#include <utility>

namespace autoscale {

UnitInstance::UnitInstance(Surroundings surroundings, std::string service, std::string id,
                           UnitRecord record)
    : surroundings_(std::move(surroundings)),
      service_(std::move(service)),
      id_(std::move(id)),
      record_(std::move(record)),
      seen_from_(surroundings_.board.asked()),
      was_ready_(!record_.health.empty()) {}

UnitInstance::~UnitInstance() {
  if (force_) surroundings_.loop.Cancel(*force_);
}

void UnitInstance::SetTarget(std::shared_ptr<const SystemdTarget> target) {
  target_ = std::move(target);
  if (health_) health_->Follow(target_->health);
  if (!health_ && phase_ == UnitPhase::kRunning) WatchHealth();
}

void UnitInstance::Start(UnitBus::Done done) {
  UnitBus& bus = surroundings_.board.bus();
  life_ = Life::kAsked;
  found_ = false;
  job_result_.clear();
  // One that failed before we came counts its starts, and may not be allowed another.
  if (surroundings_.board.PhaseOf(record_.unit) == UnitPhase::kFailed) {
    bus.ResetFailed(record_.unit, [](const Status&) {});
  }
  bus.Start(record_.unit,
            [this, alive = std::weak_ptr<int>(alive_), done = std::move(done)](Status answer) {
              if (alive.expired()) return;
              life_ = answer.ok() ? Life::kStarted : Life::kClaimed;
              seen_from_ = surroundings_.board.asked();
              surroundings_.board.Refresh();
              done(std::move(answer));
            });
}

void UnitInstance::Stop(UnitBus::Done done) {
  if (gone()) return surroundings_.loop.Post([done = std::move(done)] { done(Ok{}); });
  stop_asked_ = true;
  Tell();
  if (target_ && target_->stop_timeout > Millis(0) && !force_) {
    force_ = surroundings_.loop.After(target_->stop_timeout, [this] { ForceEnd(); });
  }
  surroundings_.board.bus().Stop(record_.unit, [this, alive = std::weak_ptr<int>(alive_),
                                                done = std::move(done)](Status answer) {
    if (alive.expired()) return;
    if (!answer.ok()) {
      stop_asked_ = false;  // it is asked again
      if (force_) surroundings_.loop.Cancel(*std::exchange(force_, std::nullopt));
      Tell();
    }
    surroundings_.board.Refresh();
    done(std::move(answer));
  });
}

void UnitInstance::ForceEnd() {
  force_.reset();
  if (gone()) return;
  // Should it fail, Stop is asked again as long as the unit is there.
  surroundings_.board.bus().Kill(record_.unit, [](const Status&) {});
}

void UnitInstance::LetGo() {
  if (surroundings_.board.PhaseOf(record_.unit) == UnitPhase::kFailed) {
    surroundings_.board.bus().ResetFailed(record_.unit, [](const Status&) {});
  }
  surroundings_.board.Refresh();
}

void UnitInstance::TakeIn() {
  seen_from_ = 0;
  Look();
}

void UnitInstance::Look() {
  if (gone() || life_ == Life::kAsked || !surroundings_.board.HasListed(seen_from_)) return;
  const UnitPhase phase = surroundings_.board.PhaseOf(record_.unit);
  if (phase == UnitPhase::kAbsent) {
    if (life_ == Life::kClaimed && !stop_asked_) {
      lapsed_ = true;
      return;
    }
    return End(stop_asked_ ? "stopped" : DescribeJob(job_result_));
  }
  life_ = Life::kStarted;
  if (phase == UnitPhase::kFailed) {
    return ReadWhy([this](std::string why) {
      // Meanwhile somebody may have started it again.
      if (surroundings_.board.PhaseOf(record_.unit) == UnitPhase::kFailed) End(std::move(why));
    });
  }
  Become(phase);
}

void UnitInstance::Become(UnitPhase phase) {
  const UnitPhase before = std::exchange(phase_, phase);
  if (phase == UnitPhase::kRunning) {
    detail_.clear();
    if (!health_) WatchHealth();
  } else {
    health_.reset();  // the next process of this unit has to pass for itself
    found_ = false;
  }
  if (phase == UnitPhase::kRestarting && before != phase) {
    ReadWhy([this](std::string why) {
      if (phase_ != UnitPhase::kRestarting) return;
      detail_ = std::move(why) + "; systemd starts it again";
      Tell();
    });
  }
  Tell();
}

void UnitInstance::WatchHealth() {
  if (!target_) return;
  // What was ready before a restart of the daemon counts as ready until checks say otherwise.
  auto verdict = HealthWatch::Verdict::kUnknown;
  if (found_ && record_.health == "ready") verdict = HealthWatch::Verdict::kHealthy;
  if (found_ && record_.health == "unready") verdict = HealthWatch::Verdict::kUnhealthy;
  health_ = std::make_unique<HealthWatch>(surroundings_.loop, surroundings_.http, record_.host,
                                          record_.port, verdict, [this] { TakeVerdict(); });
  health_->Follow(target_->health);
}

void UnitInstance::TakeVerdict() {
  const bool ready = health_->verdict() == HealthWatch::Verdict::kHealthy;
  was_ready_ |= ready;
  const std::string health = ready ? "ready" : was_ready_ ? "unready" : "";
  if (health != record_.health) {
    record_.health = health;
    // Lost on a full disk: then the next daemon believes what was written before, until its checks
    // know better.
    static_cast<void>(surroundings_.records.Write(service_, id_, record_).ok());
  }
  Tell();
}

// Why the unit's main process has ended; not at all once this is destroyed.
void UnitInstance::ReadWhy(std::function<void(std::string)> use) {
  if (std::exchange(reading_, true)) {
    again_ = true;
    return;
  }
  surroundings_.board.bus().ReadEnd(record_.unit, [this, alive = std::weak_ptr<int>(alive_),
                                                   use = std::move(use)](Result<UnitEnd> end) {
    if (alive.expired()) return;
    reading_ = false;
    const bool again = std::exchange(again_, false);
    if (gone()) return;
    // The manager does not answer: it is read with the next list.
    if (!end.ok() && end.error().kind == ErrorKind::kUnavailable) return;
    use(end.ok() ? Describe(*end) : "failed");
    if (again) Look();
  });
}

void UnitInstance::End(std::string detail) {
  if (stop_asked_ && detail != "stopped") detail = "stopped; it " + detail;
  life_ = Life::kGone;
  detail_ = std::move(detail);
  health_.reset();
  if (force_) surroundings_.loop.Cancel(*std::exchange(force_, std::nullopt));
  Tell();
}

void UnitInstance::Tell() {
  if (!known()) return;
  ObservedInstance now = Observed();
  if (now.state == told_.state && now.detail == told_.detail && !told_.id.empty()) return;
  told_ = std::move(now);
  surroundings_.changed(*this);
}

InstanceState UnitInstance::State() const {
  if (gone()) return InstanceState::kGone;
  if (stop_asked_ || phase_ == UnitPhase::kStopping) return InstanceState::kStopping;
  const bool passes = health_ && health_->verdict() == HealthWatch::Verdict::kHealthy;
  if (phase_ == UnitPhase::kRunning && passes) return InstanceState::kReady;
  return was_ready_ ? InstanceState::kUnready : InstanceState::kStarting;
}

ObservedInstance UnitInstance::Observed() const {
  ObservedInstance observed{.id = id_,
                            .state = State(),
                            .endpoint = record_.host + ":" + std::to_string(record_.port),
                            .detail = detail_};
  if (health_ && !health_->trouble().empty()) observed.detail = health_->trouble();
  return observed;
}

}  // namespace autoscale
