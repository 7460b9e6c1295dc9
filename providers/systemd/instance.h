// UnitInstance: one instance and its unit, from the claim of its port to its end.
//
// The unit's state comes from the board, its health from our own check. All on the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "providers/local/health.h"
#include "providers/provider.h"
#include "providers/systemd/board.h"
#include "providers/systemd/options.h"
#include "providers/systemd/records.h"

namespace autoscale {

class UnitInstance {
 public:
  struct Surroundings {
    EventLoop& loop;
    HttpClient& http;
    const UnitRecords& records;
    UnitBoard& board;
    // What it is observed as has changed. Must not destroy it.
    std::function<void(const UnitInstance&)> changed;
  };
  UnitInstance(Surroundings surroundings, std::string service, std::string id, UnitRecord record);
  ~UnitInstance();
  UnitInstance(const UnitInstance&) = delete;
  UnitInstance& operator=(const UnitInstance&) = delete;

  // Health checks and stops follow it from now on.
  void SetTarget(std::shared_ptr<const SystemdTarget> target);
  // Asks for the unit; its record is written. `done` once that is answered.
  void Start(UnitBus::Done done);
  // Asks for its end, and sees to it that it comes within the target's bound.
  void Stop(UnitBus::Done done);
  // It is in the present list, started by somebody else.
  void TakeIn();
  // The board has listed anew.
  void Look();
  // A job of the unit has ended so.
  void TakeJob(const std::string& result) { job_result_ = result; }
  // It is gone, and others have stored that: the unit is not kept for its failure any more.
  void LetGo();

  [[nodiscard]] const std::string& service() const { return service_; }
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const UnitRecord& record() const { return record_; }
  // Whether it is known to run, or to have run: before that there is nothing to tell.
  [[nodiscard]] bool known() const { return life_ == Life::kStarted || life_ == Life::kGone; }
  [[nodiscard]] bool gone() const { return life_ == Life::kGone; }
  // Whether its start may be asked for (again).
  [[nodiscard]] bool startable() const { return life_ == Life::kClaimed && !stop_asked_; }
  // It turned out never to have been started, and nobody asks for that now.
  [[nodiscard]] bool lapsed() const { return lapsed_; }
  [[nodiscard]] ObservedInstance Observed() const;

 private:
  enum class Life : uint8_t {
    kClaimed,  // has a record; whether it was started is not known
    kAsked,    // its start is on the way
    kStarted,
    kGone,
  };
  void Become(UnitPhase phase);
  void WatchHealth();
  void TakeVerdict();
  void ReadWhy(std::function<void(std::string)> use);
  void End(std::string detail);
  void ForceEnd();
  void Tell();
  [[nodiscard]] InstanceState State() const;

  Surroundings surroundings_;
  const std::string service_;
  const std::string id_;
  UnitRecord record_;
  std::shared_ptr<const SystemdTarget> target_;
  Life life_ = Life::kClaimed;
  UnitPhase phase_ = UnitPhase::kAbsent;  // as seen last
  uint64_t seen_from_;                    // what was listed before says nothing
  bool found_ = true;                     // not seen to run yet since the daemon began
  bool was_ready_;
  bool stop_asked_ = false;
  bool lapsed_ = false;
  bool reading_ = false;  // why it has ended
  bool again_ = false;    // that was asked meanwhile, for another end
  std::string detail_;    // of its end, or of its last one while systemd starts it again
  std::string job_result_;
  std::unique_ptr<HealthWatch> health_;
  std::optional<EventLoop::TimerId> force_;
  ObservedInstance told_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace autoscale
