#include "providers/plugin/plugin_provider.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "engine/model/text.h"
#include "providers/plugin/answer.h"
#include "providers/plugin/errors.h"

namespace autoscale {
namespace {

using Clock = std::chrono::steady_clock;
using TargetPtr = std::shared_ptr<const PluginTarget>;
using Observations = std::function<void(Result<std::vector<Observation>>)>;

constexpr size_t kMaxIdentity = 500;  // bytes
// All services are observed once a minute: one that was not for so long is no more.
constexpr Millis kForgotten = std::chrono::minutes(3);

// A service's target, and what the plugin thinks of its options.
struct Known {
  TargetPtr target;
  int judged_in = 0;  // the plugin's generation; 0: not yet
  std::string identity;
  std::optional<Error> fault;  // its options cannot be used
  // It asked us to wait: it is not observed before.
  Clock::time_point quiet_until;
  Error quiet;
  Clock::time_point seen;
  int wishes = 0;        // on their way to the plugin
  uint64_t wish_at = 0;  // the number of the last one
};

// One round of questions.
struct Round {
  std::vector<TargetRef> targets;
  std::map<std::string, Observation> seen;  // by service
  Observations done;
};

class PluginProvider final : public Provider {
 public:
  explicit PluginProvider(Plugin& plugin) : plugin_(plugin) {
    plugin_.SetListener([this] { LookAgain(); });
  }
  ~PluginProvider() override { plugin_.SetListener(nullptr); }
  PluginProvider(const PluginProvider&) = delete;
  PluginProvider& operator=(const PluginProvider&) = delete;

  void Observe(std::vector<TargetRef> targets, Observations done) override;
  void SetCapacity(TargetRef target, CapacityWish wish, std::function<void(Status)> done) override;
  void SetTargetListener(TargetListener listener) override { listener_ = std::move(listener); }

 private:
  void LookAgain();
  void ForgetOld();
  // Whether a wish for it is on its way, or was begun after so many.
  [[nodiscard]] bool IsOvertaken(const std::string& service, uint64_t wishes) const;
  void EndWish(const std::string& service);
  void Begin(const std::shared_ptr<Round>& round);
  void Validate(const std::shared_ptr<Round>& round, PluginChannel& channel);
  void TakeVerdicts(const std::shared_ptr<Round>& round, const v1::ValidateRequest& asked,
                    const Result<v1::ValidateResponse>& answer);
  void Judge(const std::string& service, const v1::Verdict* verdict);
  void Ask(const std::shared_ptr<Round>& round, PluginChannel& channel);
  void TakeStates(const std::shared_ptr<Round>& round, const Result<v1::ObserveResponse>& answer);
  void FailAll(const std::shared_ptr<Round>& round, const Error& error);
  static void Finish(const std::shared_ptr<Round>& round);
  void KeepQuiet(const std::shared_ptr<Round>& round);
  void Heed(const Error& error);
  // Also for targets of services that left, and are none.
  TargetPtr Remember(const TargetRef& ref);
  [[nodiscard]] Error Within(const Error& error, const std::string& rpc = {}) const;
  // Drops what comes after the end of this object.
  template <typename T>
  std::function<void(T)> Alive(std::function<void(T)> then);

  Plugin& plugin_;
  TargetListener listener_;
  std::map<std::string, Known> known_;         // by service
  std::map<std::string, std::string> owners_;  // services by identity; one may be gone since
  uint64_t wishes_ = 0;                        // begun so far, of all services
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

template <typename T>
std::function<void(T)> PluginProvider::Alive(std::function<void(T)> then) {
  return [alive = std::weak_ptr<int>(alive_), then = std::move(then)](T value) {
    if (!alive.expired()) then(std::move(value));
  };
}

Error PluginProvider::Within(const Error& error, const std::string& rpc) const {
  return Error(error).Within("plugin " + plugin_.name() + (rpc.empty() ? "" : ": " + rpc));
}

// A call that was late may mean that the plugin hangs.
void PluginProvider::Heed(const Error& error) {
  if (IsLate(error)) plugin_.OnLate();
}

TargetPtr PluginProvider::Remember(const TargetRef& ref) {
  auto target = std::dynamic_pointer_cast<const PluginTarget>(ref.target);
  if (!target) return nullptr;
  Known& known = known_[ref.service];
  if (!known.target || known.target->text != target->text) {
    known = {.wishes = known.wishes, .wish_at = known.wish_at};
  }
  known.target = target;
  known.seen = Clock::now();
  return target;
}

v1::Target ToWire(const std::string& service, const PluginTarget& target) {
  v1::Target wire;
  wire.set_service(service);
  *wire.mutable_options() = target.options;
  return wire;
}

// --- Observe ---

void PluginProvider::Observe(std::vector<TargetRef> targets, Observations done) {
  auto round = std::make_shared<Round>();
  round->targets = std::move(targets);
  round->done = std::move(done);
  for (const TargetRef& ref : round->targets) {
    Observation& observation = round->seen[ref.service];
    observation.service = ref.service;
    if (Remember(ref)) continue;
    observation.fault = Error{ErrorKind::kInternal, "not a target of plugin " + plugin_.name()};
  }
  KeepQuiet(round);
  ForgetOld();
  Begin(round);
}

void PluginProvider::ForgetOld() {
  const auto now = Clock::now();
  std::erase_if(known_, [now](const auto& entry) { return now - entry.second.seen > kForgotten; });
}

void PluginProvider::Begin(const std::shared_ptr<Round>& round) {
  plugin_.WhenReady(Alive<Result<PluginChannel*>>([this, round](Result<PluginChannel*> channel) {
    if (!channel.ok()) return FailAll(round, channel.error());
    Validate(round, **channel);
  }));
}

void PluginProvider::Validate(const std::shared_ptr<Round>& round, PluginChannel& channel) {
  v1::ValidateRequest request;
  for (const TargetRef& ref : round->targets) {
    const auto known = known_.find(ref.service);
    if (round->seen[ref.service].fault || known == known_.end()) continue;
    if (known->second.judged_in == plugin_.generation()) continue;
    *request.add_targets() = ToWire(ref.service, *known->second.target);
  }
  if (request.targets_size() == 0) return Ask(round, channel);
  channel.Validate(request, plugin_.call_timeout(),
                   Alive<Result<v1::ValidateResponse>>(
                       [this, round, request](const Result<v1::ValidateResponse>& answer) {
                         TakeVerdicts(round, request, answer);
                       }));
}

void PluginProvider::TakeVerdicts(const std::shared_ptr<Round>& round,
                                  const v1::ValidateRequest& asked,
                                  const Result<v1::ValidateResponse>& answer) {
  const bool unasked = !answer.ok() && IsUnimplemented(answer.error());
  if (!answer.ok() && !unasked) {
    Heed(answer.error());
    return FailAll(round, Within(answer.error(), "Validate"));
  }
  std::map<std::string, const v1::Verdict*> verdicts;
  if (answer.ok()) {
    for (const v1::Verdict& verdict : answer->verdicts()) verdicts[verdict.service()] = &verdict;
  }
  static const v1::Verdict kFine;
  for (const v1::Target& target : asked.targets()) {
    const auto verdict = verdicts.find(target.service());
    Judge(target.service(), unasked                     ? &kFine
                            : verdict == verdicts.end() ? nullptr
                                                        : verdict->second);
  }
  plugin_.WhenReady(Alive<Result<PluginChannel*>>([this, round](Result<PluginChannel*> channel) {
    if (!channel.ok()) return FailAll(round, channel.error());
    Ask(round, **channel);
  }));
}

// What is said of a service's options; null: nothing.
void PluginProvider::Judge(const std::string& service, const v1::Verdict* verdict) {
  const auto found = known_.find(service);
  if (found == known_.end()) return;
  Known& known = found->second;
  known.fault.reset();
  known.identity.clear();
  if (verdict == nullptr) {
    known.fault = Within({ErrorKind::kUnavailable, "says nothing of these options"}, "Validate");
    return;
  }
  if (verdict->has_fault()) {
    const Error error = ErrorOf(verdict->fault().code(), verdict->fault().message());
    known.fault = Within(error, "it refuses the options under 'provider'");
    if (error.kind != ErrorKind::kInvalid) return;  // it may be another time
  } else if (!verdict->identity().empty()) {
    const std::string identity = OneLine(verdict->identity(), kMaxIdentity);
    std::string& owner = owners_[identity];
    const auto other = known_.find(owner);
    if (owner != service && other != known_.end() && other->second.identity == identity) {
      known.fault =
          Within({ErrorKind::kInvalid, "the target is that of service '" + owner + "' already (" +
                                           identity + "); the two would fight over it"});
      return;
    }
    known.identity = identity;
    owner = service;
  }
  known.judged_in = plugin_.generation();
}

void PluginProvider::Ask(const std::shared_ptr<Round>& round, PluginChannel& channel) {
  v1::ObserveRequest request;
  for (const TargetRef& ref : round->targets) {
    Observation& observation = round->seen[ref.service];
    const auto known = known_.find(ref.service);
    if (observation.fault) continue;
    if (known == known_.end()) {
      observation.fault = Within({ErrorKind::kUnavailable, "was not asked of it in time"});
      continue;
    }
    observation.fault = known->second.fault;
    if (!observation.fault) *request.add_targets() = ToWire(ref.service, *known->second.target);
  }
  if (request.targets_size() == 0) return Finish(round);
  channel.Observe(
      std::move(request), plugin_.call_timeout(),
      Alive<Result<v1::ObserveResponse>>(
          [this, round](const Result<v1::ObserveResponse>& answer) { TakeStates(round, answer); }));
}

void PluginProvider::TakeStates(const std::shared_ptr<Round>& round,
                                const Result<v1::ObserveResponse>& answer) {
  if (!answer.ok()) {
    Heed(answer.error());
    return FailAll(round, Within(answer.error(), "Observe"));
  }
  std::map<std::string, const v1::TargetState*> states;
  std::set<std::string> twice;
  for (const v1::TargetState& state : answer->targets()) {
    if (!states.emplace(state.service(), &state).second) twice.insert(state.service());
  }
  for (auto& [service, observation] : round->seen) {
    if (observation.fault) continue;
    const auto state = states.find(service);
    if (state == states.end()) {
      observation.fault = Error{ErrorKind::kUnavailable, "says nothing of this target"};
    } else if (twice.contains(service)) {
      observation.fault = Error{ErrorKind::kUnavailable, "tells two states of this target"};
    } else {
      observation = ReadTargetState(*state->second);
    }
    if (observation.fault) observation.fault = Within(*observation.fault, "Observe");
  }
  Finish(round);
}

// Those that are not to be asked yet have their answer already.
void PluginProvider::KeepQuiet(const std::shared_ptr<Round>& round) {
  const auto now = Clock::now();
  for (auto& [service, observation] : round->seen) {
    const auto known = known_.find(service);
    if (observation.fault || known == known_.end() || now >= known->second.quiet_until) continue;
    observation.fault = known->second.quiet;
  }
}

void PluginProvider::FailAll(const std::shared_ptr<Round>& round, const Error& error) {
  for (auto& [service, observation] : round->seen) {
    if (observation.fault) continue;
    observation.fault = error;
    const auto known = known_.find(service);
    if (error.retry_after <= Millis(0) || known == known_.end()) continue;
    known->second.quiet_until = Clock::now() + error.retry_after;
    known->second.quiet = error;
  }
  Finish(round);
}

void PluginProvider::Finish(const std::shared_ptr<Round>& round) {
  std::vector<Observation> observations;
  observations.reserve(round->seen.size());
  for (auto& [service, observation] : round->seen) observations.push_back(std::move(observation));
  round->done(std::move(observations));
}

// Its services were held while it did not run.
void PluginProvider::LookAgain() {
  ForgetOld();
  auto round = std::make_shared<Round>();
  for (const auto& [service, known] : known_) {
    round->targets.push_back({service, known.target});
    round->seen[service].service = service;
  }
  KeepQuiet(round);
  round->done = [this, begun = wishes_](const Result<std::vector<Observation>>& answer) {
    if (!answer.ok() || !listener_) return;
    for (const Observation& observation : *answer) {
      // Our own change must not look like somebody else's. It is observed again soon.
      if (!IsOvertaken(observation.service, begun)) listener_(observation);
    }
  };
  if (!round->targets.empty()) Begin(round);
}

bool PluginProvider::IsOvertaken(const std::string& service, uint64_t wishes) const {
  const auto known = known_.find(service);
  return known != known_.end() && (known->second.wishes > 0 || known->second.wish_at > wishes);
}

// --- SetCapacity ---

void PluginProvider::SetCapacity(TargetRef ref, CapacityWish wish,
                                 std::function<void(Status)> done) {
  const auto target = Remember(ref);
  if (!target) {
    return done(Error{ErrorKind::kInternal, "not a target of plugin " + plugin_.name()});
  }
  Known& known = known_[ref.service];
  ++known.wishes;
  known.wish_at = ++wishes_;
  done = [this, service = ref.service, done = std::move(done)](Status status) {
    EndWish(service);
    done(std::move(status));
  };
  v1::SetCapacityRequest request;
  *request.mutable_target() = ToWire(ref.service, *target);
  request.set_capacity(wish.capacity);
  for (std::string& victim : wish.victims) request.add_victims(std::move(victim));
  request.set_seen(wish.seen);
  request.set_intent(wish.intent);
  plugin_.WhenReady(Alive<Result<PluginChannel*>>(
      [this, request = std::move(request), done = std::move(done)](Result<PluginChannel*> channel) {
        if (!channel.ok()) return done(channel.error());
        (*channel)->SetCapacity(request, plugin_.call_timeout(),
                                Alive<Result<Ok>>([this, done](const Result<Ok>& answer) {
                                  if (answer.ok()) return done(Ok{});
                                  Heed(answer.error());
                                  done(Within(answer.error(), "SetCapacity"));
                                }));
      }));
}

void PluginProvider::EndWish(const std::string& service) {
  const auto known = known_.find(service);
  if (known != known_.end() && known->second.wishes > 0) --known->second.wishes;
}

}  // namespace

std::unique_ptr<Provider> MakePluginProvider(Plugin& plugin) {
  return std::make_unique<PluginProvider>(plugin);
}

}  // namespace autoscale
