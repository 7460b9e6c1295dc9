// UnitBoard: what one service manager says of the units that are followed, kept up to date.
//
// What changes is told by signals, and then all are listed anew: a signal may be lost, a list
// cannot. Lists are numbered, so that whoever has just asked for something can tell those that were
// asked for afterwards. On the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "net/event_loop.h"
#include "providers/systemd/unit_bus.h"

namespace autoscale {

class UnitBoard {
 public:
  struct Listener {
    std::function<void()> changed;  // a list was answered, well or not
    std::function<void(const std::string& unit, const std::string& result)> job_ended;
  };
  UnitBoard(EventLoop& loop, std::unique_ptr<UnitBus> bus, Listener listener);
  ~UnitBoard();
  UnitBoard(const UnitBoard&) = delete;
  UnitBoard& operator=(const UnitBoard&) = delete;

  UnitBus& bus() { return *bus_; }
  // What is listed from the next list on.
  void Follow(std::set<std::string> patterns) { patterns_ = std::move(patterns); }
  // Lists them soon, if any are followed: those who ask within a moment share one list.
  void Refresh();

  // How many lists were asked for so far; and whether one asked for after so many was answered.
  [[nodiscard]] uint64_t asked() const { return asked_; }
  [[nodiscard]] bool HasAnswered(uint64_t after) const { return answered_ > after; }
  // Whether it was answered with a list.
  [[nodiscard]] bool HasListed(uint64_t after) const { return listed_ > after; }
  // Why the last one was not answered with a list.
  [[nodiscard]] const std::optional<Error>& fault() const { return fault_; }

  // As listed last. kAbsent of one that is not.
  [[nodiscard]] UnitPhase PhaseOf(const std::string& unit) const;
  [[nodiscard]] const std::map<std::string, UnitStatus>& units() const { return units_; }

 private:
  void ListSoon(Millis delay);
  void List();
  void Take(uint64_t number, Result<std::vector<UnitStatus>> answer);

  EventLoop& loop_;
  std::unique_ptr<UnitBus> bus_;
  Listener listener_;
  std::set<std::string> patterns_;
  std::map<std::string, UnitStatus> units_;
  std::optional<Error> fault_;
  uint64_t asked_ = 0, answered_ = 0, listed_ = 0;
  bool listing_ = false;
  bool again_ = false;  // when the present list is answered
  std::optional<EventLoop::TimerId> timer_;
  Millis waits_{0};  // of the timer
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace autoscale
