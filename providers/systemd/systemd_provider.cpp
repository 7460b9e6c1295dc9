#include "providers/systemd/systemd_provider.h"

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <utility>

#include "providers/local/ports.h"
#include "providers/systemd/roster.h"
#include "providers/systemd/sd_unit_bus.h"
#include "providers/systemd/usage.h"

namespace autoscale {
namespace {

using TargetPtr = std::shared_ptr<const SystemdTarget>;

// A look that waits for a manager is answered by then, with what is known: a call and its repeat.
constexpr Millis kPatience = kUnitCallTimeout * 2;
// A service that nobody asked about for so long is no more: all are asked about each minute.
constexpr std::chrono::minutes kForgotten{10};

// What one Launch or Terminate waits for.
struct Errand {
  std::vector<Status> answers;
  size_t missing = 0;
  std::function<void(std::vector<Status>)> done;
};

class SystemdProvider final : public Provider {
 public:
  SystemdProvider(const ProviderContext& context, UnitBusMaker maker)
      : loop_(context.loop),
        http_(context.http),
        maker_(std::move(maker)),
        records_(context.state_dir) {
    for (auto& [service, records] : records_.Read()) {
      for (auto& [id, record] : records) Make(service, id, record);
    }
    for (auto& [bus, board] : boards_) ListAgain(bus);
  }
  ~SystemdProvider() override {
    for (const Look& look : looks_) loop_.Cancel(look.deadline);
  }

  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override;
  void Launch(TargetRef ref, std::vector<std::string> ids,
              std::function<void(std::vector<Status>)> done) override;
  void Terminate(TargetRef ref, std::vector<std::string> ids,
                 std::function<void(std::vector<Status>)> done) override;
  void Forget(const std::string& service, const std::string& id) override;
  void ReadUsage(std::function<void(std::vector<InstanceUsage>)> done) override;
  void SetListener(InstanceListener listener) override { listener_ = std::move(listener); }
  void SetTargetListener(TargetListener listener) override {
    target_listener_ = std::move(listener);
  }

 private:
  struct Followed {
    TargetPtr target;
    uint64_t since = 0;        // lists asked for until then do not hold its units
    bool unreachable = false;  // as was told last
    std::chrono::steady_clock::time_point observed;
  };
  struct Look {
    std::vector<std::string> services;
    std::map<std::string, uint64_t> after;  // by bus: lists that are too old
    std::function<void(Result<std::vector<Observation>>)> done;
    EventLoop::TimerId deadline = 0;
  };

  UnitBoard& Board(const std::string& bus);
  void ListAgain(const std::string& bus);
  void Follow(const std::string& service, const TargetPtr& target);
  UnitInstance& Make(const std::string& service, const std::string& id, const UnitRecord& record);

  void TakeList(const std::string& bus);
  void TakeIn(const std::string& service, const TargetPtr& target, std::set<std::string>& taken);
  void AnswerLooks();
  void Answer(std::list<Look>::iterator look);
  Observation See(const std::string& service);

  void LaunchOne(const TargetRef& ref, const TargetPtr& target, const std::string& id,
                 UnitBus::Done done);
  [[nodiscard]] std::set<int> ClaimedPorts(const SystemdTarget& target,
                                           const UnitBoard& board) const;
  void Tell(const UnitInstance& instance);

  // An Errand of so many answers; the i-th goes to what Answering(errand, i) makes.
  static std::shared_ptr<Errand> MakeErrand(size_t size,
                                            std::function<void(std::vector<Status>)> done);
  static UnitBus::Done Answering(const std::shared_ptr<Errand>& errand, size_t i);

  EventLoop& loop_;
  HttpClient& http_;
  const UnitBusMaker maker_;
  const UnitRecords records_;
  InstanceListener listener_;
  TargetListener target_listener_;
  std::map<std::string, std::unique_ptr<UnitBoard>> boards_;  // by bus
  std::map<std::string, Followed> followed_;                  // by service
  UnitRoster roster_{records_};
  std::list<Look> looks_;  // not answered yet
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

// --- What there is ---

UnitBoard& SystemdProvider::Board(const std::string& bus) {
  auto& board = boards_[bus];
  if (!board) {
    board = std::make_unique<UnitBoard>(
        loop_, maker_(bus),
        UnitBoard::Listener{.changed = [this, bus] { TakeList(bus); },
                            .job_ended =
                                [this, bus](const std::string& unit, const std::string& result) {
                                  roster_.TakeJob(bus, unit, result);
                                }});
  }
  return *board;
}

// All that is followed there: whole templates, and units left over from another one.
void SystemdProvider::ListAgain(const std::string& bus) {
  std::set<std::string> patterns;
  for (const auto& [service, followed] : followed_) {
    if (followed.target->bus == bus) patterns.insert(followed.target->unit.Pattern());
  }
  for (const std::string& unit : roster_.Units(bus)) {
    if (!patterns.contains(PatternOfTemplate(unit))) patterns.insert(unit);
  }
  UnitBoard& board = Board(bus);
  board.Follow(std::move(patterns));
  board.Refresh();
}

void SystemdProvider::Follow(const std::string& service, const TargetPtr& target) {
  Followed& followed = followed_[service];
  const bool known = followed.target && followed.target->identity() == target->identity();
  followed.target = target;
  followed.observed = std::chrono::steady_clock::now();
  // Whoever had this template before is not there any more: two may not share one.
  std::erase_if(followed_, [&](const auto& other) {
    return other.first != service && other.second.target->identity() == target->identity();
  });
  for (auto& [id, instance] : roster_.Of(service)) instance->SetTarget(target);
  if (!known) {
    followed.since = Board(target->bus).asked();
    ListAgain(target->bus);
  }
}

UnitInstance& SystemdProvider::Make(const std::string& service, const std::string& id,
                                    const UnitRecord& record) {
  return roster_.Add({.loop = loop_,
                      .http = http_,
                      .records = records_,
                      .board = Board(record.bus),
                      .changed = [this](const UnitInstance& changed) { Tell(changed); }},
                     service, id, record);
}

// --- What a manager tells ---

void SystemdProvider::TakeList(const std::string& bus) {
  UnitBoard& board = *boards_.at(bus);
  if (!board.fault()) roster_.Look(bus);
  std::set<std::string> taken = roster_.Units(bus);
  for (auto& [service, followed] : followed_) {
    if (followed.target->bus != bus) continue;
    if (!board.fault() && board.HasListed(followed.since)) TakeIn(service, followed.target, taken);
    const bool unreachable = board.fault().has_value();
    if (std::exchange(followed.unreachable, unreachable) == unreachable) continue;
    loop_.Post([this, alive = std::weak_ptr<int>(alive_), name = service] {
      if (!alive.expired() && target_listener_) target_listener_(See(name));
    });
  }
  AnswerLooks();
}

// Units that somebody else started: they serve like ours from now on.
void SystemdProvider::TakeIn(const std::string& service, const TargetPtr& target,
                             std::set<std::string>& taken) {
  for (const auto& [name, status] : boards_.at(target->bus)->units()) {
    const int port = target->PortOf(name);
    const UnitPhase phase = PhaseOf(status);
    const bool runs = phase == UnitPhase::kStarting || phase == UnitPhase::kRunning ||
                      phase == UnitPhase::kRestarting;
    if (port == 0 || !runs || taken.contains(name)) continue;
    const UnitRecord record{
        .bus = target->bus, .unit = name, .host = target->host, .port = port, .health = {}};
    const std::string id = UnitStem(name);
    if (!records_.Write(service, id, record).ok()) continue;  // with the next list
    taken.insert(name);
    UnitInstance& instance = Make(service, id, record);
    instance.SetTarget(target);
    instance.TakeIn();
  }
}

// By a task of its own: the listener may call any method.
void SystemdProvider::Tell(const UnitInstance& instance) {
  loop_.Post([this, alive = std::weak_ptr<int>(alive_), service = instance.service(),
              observed = instance.Observed()] {
    if (!alive.expired() && listener_) listener_(service, observed);
  });
}

// --- Observe ---

void SystemdProvider::Observe(std::vector<TargetRef> targets,
                              std::function<void(Result<std::vector<Observation>>)> done) {
  const auto before = std::chrono::steady_clock::now() - kForgotten;
  std::erase_if(followed_, [&](const auto& one) { return one.second.observed < before; });
  Look look{.services = {}, .after = {}, .done = std::move(done), .deadline = 0};
  for (const TargetRef& ref : targets) {
    const auto target = std::dynamic_pointer_cast<const SystemdTarget>(ref.target);
    if (!target) continue;
    Follow(ref.service, target);
    look.services.push_back(ref.service);
    look.after[target->bus] = Board(target->bus).asked();
    Board(target->bus).Refresh();
  }
  const auto at = looks_.insert(looks_.end(), std::move(look));
  at->deadline = loop_.After(kPatience, [this, at] { Answer(at); });
  loop_.Post([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) AnswerLooks();  // of no target at all
  });
}

void SystemdProvider::AnswerLooks() {
  for (auto look = looks_.begin(); look != looks_.end();) {
    const auto next = std::next(look);
    const bool known = std::all_of(look->after.begin(), look->after.end(), [&](const auto& after) {
      return boards_.at(after.first)->HasAnswered(after.second);
    });
    if (known) Answer(look);
    look = next;
  }
}

void SystemdProvider::Answer(std::list<Look>::iterator look) {
  loop_.Cancel(look->deadline);
  std::list<Look> taken;
  taken.splice(taken.begin(), looks_, look);
  std::vector<Observation> observations;
  for (const std::string& service : taken.front().services) observations.push_back(See(service));
  taken.front().done(std::move(observations));
}

Observation SystemdProvider::See(const std::string& service) {
  Observation observation{.service = service};
  const auto followed = followed_.find(service);
  if (followed == followed_.end()) {
    observation.fault = Error{ErrorKind::kInternal, "its units are another service's now"};
    return observation;
  }
  const UnitBoard& board = *boards_.at(followed->second.target->bus);
  if (board.fault()) {
    observation.fault = board.fault();
  } else if (!board.HasListed(followed->second.since)) {
    observation.fault = Error{ErrorKind::kUnavailable, "systemd has not told of its units yet"};
  }
  if (observation.fault) return observation;
  for (const auto& [id, instance] : roster_.Of(service)) {
    if (instance->known()) observation.instances.push_back(instance->Observed());
  }
  return observation;
}

// --- Launch, Terminate, Forget ---

std::shared_ptr<Errand> SystemdProvider::MakeErrand(size_t size,
                                                    std::function<void(std::vector<Status>)> done) {
  auto errand = std::make_shared<Errand>();
  errand->answers.assign(size, Ok{});
  errand->missing = size;
  errand->done = std::move(done);
  return errand;
}

UnitBus::Done SystemdProvider::Answering(const std::shared_ptr<Errand>& errand, size_t i) {
  return [errand, i](Status answer) {
    errand->answers[i] = std::move(answer);
    if (--errand->missing == 0) errand->done(std::move(errand->answers));
  };
}

void SystemdProvider::Launch(TargetRef ref, std::vector<std::string> ids,
                             std::function<void(std::vector<Status>)> done) {
  const auto target = std::dynamic_pointer_cast<const SystemdTarget>(ref.target);
  if (!target || ids.empty()) {
    return Provider::Launch(std::move(ref), std::move(ids), std::move(done));
  }
  Follow(ref.service, target);
  const auto errand = MakeErrand(ids.size(), std::move(done));
  for (size_t i = 0; i < ids.size(); ++i) {
    LaunchOne(ref, target, ids[i], Answering(errand, i));
  }
}

void SystemdProvider::LaunchOne(const TargetRef& ref, const TargetPtr& target,
                                const std::string& id, UnitBus::Done done) {
  const auto answer = [&](Status status) {
    loop_.Post([done, status = std::move(status)] { done(status); });
  };
  if (UnitInstance* const known = roster_.Find(ref.service, id)) {
    if (!known->startable()) return answer(Ok{});
    return known->Start(std::move(done));
  }
  UnitBoard& board = Board(target->bus);
  if (board.fault()) return answer(*board.fault());
  if (!board.HasListed(followed_.at(ref.service).since)) {
    return answer(Error{ErrorKind::kUnavailable, "systemd has not told of its units yet"});
  }
  const auto port =
      ChoosePort(target->host, target->first_port, target->last_port, ClaimedPorts(*target, board));
  if (!port.ok()) return answer(port.error());
  const UnitRecord record{.bus = target->bus,
                          .unit = target->unit.Unit(*port),
                          .host = target->host,
                          .port = *port,
                          .health = {}};
  // The claim comes first: whatever is started can be found again as what it is.
  if (Status written = records_.Write(ref.service, id, record); !written.ok()) {
    return answer(std::move(written));
  }
  UnitInstance& instance = Make(ref.service, id, record);
  instance.SetTarget(target);
  instance.Start([this, service = ref.service, id, done = std::move(done)](Status started) {
    // Without an answer it may run all the same: the next list tells, or it is asked again.
    const bool refused = !started.ok() && started.error().kind != ErrorKind::kUnavailable;
    if (refused) roster_.Drop(service, id);
    done(std::move(started));
  });
}

// What a new unit cannot have: ports of instances, and of units that others are ending just now.
std::set<int> SystemdProvider::ClaimedPorts(const SystemdTarget& target,
                                            const UnitBoard& board) const {
  std::set<int> ports = roster_.Ports();
  for (const auto& [name, status] : board.units()) {
    const UnitPhase phase = PhaseOf(status);
    if (phase != UnitPhase::kAbsent && phase != UnitPhase::kFailed) {
      ports.insert(target.PortOf(name));
    }
  }
  return ports;
}

void SystemdProvider::Terminate(TargetRef ref, std::vector<std::string> ids,
                                std::function<void(std::vector<Status>)> done) {
  const auto target = std::dynamic_pointer_cast<const SystemdTarget>(ref.target);
  const auto errand = MakeErrand(ids.size(), std::move(done));
  if (ids.empty()) return errand->done({});
  for (size_t i = 0; i < ids.size(); ++i) {
    UnitInstance* const instance = roster_.Find(ref.service, ids[i]);
    if (instance == nullptr) {
      loop_.Post([answer = Answering(errand, i)] { answer(Ok{}); });
      continue;
    }
    if (target) instance->SetTarget(target);
    instance->Stop(Answering(errand, i));
  }
}

void SystemdProvider::Forget(const std::string& service, const std::string& id) {
  UnitInstance* const instance = roster_.Find(service, id);
  if (instance == nullptr || !instance->gone()) return;
  instance->LetGo();
  roster_.Drop(service, id);
}

void SystemdProvider::ReadUsage(std::function<void(std::vector<InstanceUsage>)> done) {
  std::vector<UsageQuestion> questions;
  for (const UnitInstance* instance : roster_.Running()) {
    const UnitRecord& record = instance->record();
    questions.push_back({.bus = &Board(record.bus).bus(),
                         .unit = record.unit,
                         .usage = {.service = instance->service(),
                                   .instance = instance->id(),
                                   .endpoint = instance->Observed().endpoint}});
  }
  AskForUsage(std::move(questions), std::move(done));
}

}  // namespace

std::unique_ptr<Provider> MakeSystemdProvider(const ProviderContext& context, UnitBusMaker maker) {
  return std::make_unique<SystemdProvider>(context, std::move(maker));
}

Result<std::unique_ptr<Provider>> CreateSystemdProvider(const ProviderContext& context) {
  return MakeSystemdProvider(
      context, [&loop = context.loop](const std::string& bus) { return MakeSdUnitBus(loop, bus); });
}

}  // namespace autoscale
