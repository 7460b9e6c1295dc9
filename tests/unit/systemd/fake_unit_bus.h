// FakeSystemd: a manager made by hand, with the ways to it. Its units listen at the ports of their
// names while they run. All on the thread that runs the loop.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/event_loop.h"
#include "providers/local/unique_fd.h"
#include "providers/systemd/unit_bus.h"

namespace autoscale {

class FakeSystemd {
 public:
  explicit FakeSystemd(EventLoop& loop) : loop_(loop) {}

  // A new way to it; the last one made hears the signals.
  std::unique_ptr<UnitBus> Connect();

  // As systemd would report it, with its signal. Running ones listen.
  void Set(const std::string& unit, const std::string& active, const std::string& sub,
           const std::string& job = "");
  void Run(const std::string& unit) { Set(unit, "active", "running"); }
  void Fail(const std::string& unit, UnitEnd end);
  // It has ended and is unloaded; its start job had the result.
  void Vanish(const std::string& unit, const std::string& job_result = "");
  // Nobody can reach it, or somebody can again (null).
  void Break(std::optional<Error> why);
  // Answers to lists wait from now on, as they are when they are asked for; or come now.
  void HoldLists() { holds_lists_ = true; }
  void LetGo();  // of ends, too
  // Without a signal.
  void Drop(const std::string& unit) {
    units_.erase(unit);
    listeners_.erase(unit);
  }

  [[nodiscard]] bool Has(const std::string& unit) const { return units_.contains(unit); }
  // How often it was asked so: "start web@20000.service".
  [[nodiscard]] int Asked(const std::string& what) const;

  std::vector<std::string> history;      // all that was asked but lists
  std::map<std::string, Error> answers;  // by verb ("start"): what is answered instead
  std::map<std::string, UnitUsage> usages;
  int lists = 0;                 // that were asked for
  int reads = 0;                 // of ends
  bool holds_ends = false;       // answers to those wait
  bool holds_starts = false;     // starts are taken, and nothing follows
  bool drops_starts = false;     // starts have their effect, and the answer is lost
  bool ignores_sigterm = false;  // a stop leaves units deactivating

 private:
  friend class FakeUnitBus;
  void Tell(const std::string& unit);
  void Answer(UnitBus::Done done, Status status);
  [[nodiscard]] std::optional<Error> Refusal(const std::string& verb) const;

  EventLoop& loop_;
  std::map<std::string, UnitStatus> units_;
  std::map<std::string, UnitEnd> ends_;
  std::map<std::string, UniqueFd> listeners_;
  std::optional<Error> broken_;
  bool holds_lists_ = false;
  std::vector<EventLoop::Task> held_;
  UnitBus* heard_by_ = nullptr;
  UnitBus::Listener listener_;
};

}  // namespace autoscale
