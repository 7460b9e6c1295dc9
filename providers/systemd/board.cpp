#include "providers/systemd/board.h"

#include <utility>

namespace autoscale {
namespace {

// A start is a handful of signals; they come together.
constexpr Millis kSettle{10};
// One that could not be read is read again, unless the manager shows itself before.
constexpr Millis kReadAgain = std::chrono::seconds(5);
// Though nothing was told: a manager that hangs tells nothing either.
constexpr Millis kReadAnyway = std::chrono::seconds(10);

}  // namespace

UnitBoard::UnitBoard(EventLoop& loop, std::unique_ptr<UnitBus> bus, Listener listener)
    : loop_(loop), bus_(std::move(bus)), listener_(std::move(listener)) {
  bus_->SetListener(
      {.changed =
           [this](const std::string& unit) {
             if (!unit.empty() && !units_.contains(unit) && !patterns_.contains(unit) &&
                 !patterns_.contains(PatternOfTemplate(unit))) {
               return;
             }
             Refresh();
           },
       .job_ended = [this](const std::string& unit,
                           const std::string& result) { listener_.job_ended(unit, result); }});
}

UnitBoard::~UnitBoard() {
  if (timer_) loop_.Cancel(*timer_);
}

void UnitBoard::Refresh() {
  if (listing_) {
    again_ = true;
  } else {
    ListSoon(kSettle);
  }
}

void UnitBoard::ListSoon(Millis delay) {
  if (timer_ && waits_ <= delay) return;
  if (timer_) loop_.Cancel(*timer_);
  waits_ = delay;
  timer_ = loop_.After(delay, [this] {
    timer_.reset();
    List();
  });
}

void UnitBoard::List() {
  if (listing_) {  // one timer was left from before
    again_ = true;
    return;
  }
  if (patterns_.empty()) {  // which the manager would take for all units
    units_.clear();
    return;
  }
  listing_ = true;
  bus_->List({patterns_.begin(), patterns_.end()},
             [this, alive = std::weak_ptr<int>(alive_),
              number = ++asked_](Result<std::vector<UnitStatus>> answer) {
               if (!alive.expired()) Take(number, std::move(answer));
             });
}

void UnitBoard::Take(uint64_t number, Result<std::vector<UnitStatus>> answer) {
  listing_ = false;
  answered_ = number;
  if (answer.ok()) {
    listed_ = number;
    fault_.reset();
    units_.clear();
    for (UnitStatus& status : *answer) units_[status.name] = std::move(status);
    ListSoon(kReadAnyway);
  } else {
    fault_ = std::move(answer).error();
    ListSoon(kReadAgain);
  }
  if (std::exchange(again_, false)) ListSoon(kSettle);
  listener_.changed();
}

UnitPhase UnitBoard::PhaseOf(const std::string& unit) const {
  const auto status = units_.find(unit);
  return status == units_.end() ? UnitPhase::kAbsent : autoscale::PhaseOf(status->second);
}

}  // namespace autoscale
