#include "providers/systemd/sd_unit_bus.h"

#include <systemd/sd-bus.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <list>
#include <optional>
#include <utility>

#include "providers/systemd/bus_address.h"
#include "providers/systemd/bus_answer.h"
#include "providers/systemd/bus_error.h"

namespace autoscale {
namespace {

constexpr const char* kName = "org.freedesktop.systemd1";
constexpr const char* kPath = "/org/freedesktop/systemd1";
constexpr const char* kUnits = "/org/freedesktop/systemd1/unit";
constexpr const char* kInterface = "org.freedesktop.systemd1.Manager";
constexpr const char* kService = "org.freedesktop.systemd1.Service";
constexpr const char* kProperties = "org.freedesktop.DBus.Properties";

constexpr Millis kFirstWait{250}, kLongestWait = std::chrono::seconds(10);
// Messages taken in one go, before others on the loop have theirs.
constexpr int kMessagesAtOnce = 200;

uint64_t Micros(Millis d) { return static_cast<uint64_t>(d.count()) * 1000; }

uint64_t NowMicros() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

class SdUnitBus final : public UnitBus {
 public:
  SdUnitBus(EventLoop& loop, std::string bus) : loop_(loop), name_(std::move(bus)) {}
  ~SdUnitBus() override {
    calls_.clear();
    Close();
    if (connect_timer_) loop_.Cancel(*connect_timer_);
  }

  void SetListener(Listener listener) override {
    listener_ = std::move(listener);
    Connect();
  }

  void List(std::vector<std::string> patterns,
            std::function<void(Result<std::vector<UnitStatus>>)> done) override {
    sd_bus_message* call = New(kPath, kInterface, "ListUnitsByPatterns");
    if (call != nullptr) {
      sd_bus_message_append(call, "as", 0);  // in whatever state
      sd_bus_message_open_container(call, 'a', "s");
      for (const std::string& pattern : patterns) {
        sd_bus_message_append(call, "s", pattern.c_str());
      }
      sd_bus_message_close_container(call);
    }
    Send(call, "", [done = std::move(done)](sd_bus_message* reply, const Error* fault) {
      if (fault != nullptr) return done(*fault);
      done(ReadUnits(reply));
    });
  }

  void Start(const std::string& unit, Done done) override {
    SendFor(NewJob("StartUnit", unit), unit, std::move(done));
  }

  void Stop(const std::string& unit, Done done) override {
    sd_bus_message* call = NewJob("StopUnit", unit);
    Send(call, unit, [unit, done = std::move(done)](sd_bus_message* reply, const Error* fault) {
      if (fault == nullptr) return done(Ok{});
      if (reply == nullptr) return done(*fault);
      const auto [name, text] = ReadError(*reply);
      done(JudgeStop(name, text, unit));
    });
  }

  void Kill(const std::string& unit, Done done) override {
    sd_bus_message* call = New(kPath, kInterface, "KillUnit");
    if (call != nullptr) sd_bus_message_append(call, "ssi", unit.c_str(), "all", SIGKILL);
    SendFor(call, unit, std::move(done));
  }

  void ResetFailed(const std::string& unit, Done done) override {
    sd_bus_message* call = New(kPath, kInterface, "ResetFailedUnit");
    if (call != nullptr) sd_bus_message_append(call, "s", unit.c_str());
    SendFor(call, unit, std::move(done));
  }

  // One after the other: all properties of a unit would be a hundred times as much.
  void ReadUsage(const std::string& unit, std::function<void(Result<UnitUsage>)> done) override {
    ReadCount(unit, "CPUUsageNSec", [this, unit, done = std::move(done)](auto nanos) mutable {
      if (!nanos.ok()) return done(std::move(nanos).error());
      ReadCount(unit, "MemoryCurrent", [nanos = *nanos, done = std::move(done)](auto bytes) {
        if (!bytes.ok()) return done(std::move(bytes).error());
        UnitUsage usage;
        if (nanos) usage.cpu_seconds = static_cast<double>(*nanos) / 1e9;
        if (*bytes) usage.memory_bytes = static_cast<double>(**bytes);
        done(usage);
      });
    });
  }

  void ReadEnd(const std::string& unit, std::function<void(Result<UnitEnd>)> done) override {
    sd_bus_message* call = NewAbout(unit, "GetAll");
    if (call != nullptr) sd_bus_message_append(call, "s", kService);
    Send(call, unit, [done = std::move(done)](sd_bus_message* reply, const Error* fault) {
      if (fault != nullptr) return done(*fault);
      done(ReadUnitEnd(reply));
    });
  }

 private:
  // With a fault the reply is what says so; null: there was none.
  using Take = std::function<void(sd_bus_message* reply, const Error* fault)>;
  struct Call {
    SdUnitBus* owner = nullptr;
    std::string unit;
    Take take;
    sd_bus_slot* slot = nullptr;
    std::list<Call>::iterator self;

    Call() = default;
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() { sd_bus_slot_unref(slot); }
  };

  // --- The connection ---

  void Connect() {
    connect_timer_.reset();
    const BusAddress where =
        ChooseBusAddress(name_, geteuid(), [](const char* key) { return std::getenv(key); });
    address_ = where.address;
    sd_bus* bus = nullptr;
    int fault = sd_bus_new(&bus);
    bus_ = bus;
    if (fault >= 0) fault = sd_bus_set_address(bus_, where.address.c_str());
    if (fault >= 0) fault = sd_bus_set_bus_client(bus_, where.broker ? 1 : 0);
    if (fault >= 0) fault = sd_bus_set_method_call_timeout(bus_, Micros(kUnitCallTimeout));
    if (fault >= 0) fault = sd_bus_start(bus_);
    if (fault >= 0) fault = Subscribe(where.broker);
    if (fault < 0) return Lose(fault);
    Arm();
  }

  // What is told from now on; answered, it proves that the manager is there.
  int Subscribe(bool broker) {
    std::string rule = "type='signal',path_namespace='";
    rule += std::string(kPath) + "'";
    if (broker) rule += std::string(",sender='") + kName + "'";
    const int fault =
        sd_bus_add_match_async(bus_, nullptr, rule.c_str(), &SdUnitBus::OnSignal, nullptr, this);
    if (fault < 0) return fault;
    Send(New(kPath, kInterface, "Subscribe"), "", [this](sd_bus_message*, const Error* error) {
      if (error != nullptr && error->kind == ErrorKind::kUnavailable) return;  // lost already
      wait_ = kFirstWait;
      listener_.changed("");
    });
    return 0;
  }

  void Lose(int fault) {
    Lose(Error{ErrorKind::kUnavailable,
               "cannot reach systemd at " + address_ + ": " + std::strerror(-fault)});
  }

  // All that waits for an answer gets this one.
  void Lose(Error why) {
    lost_ = std::move(why);
    must_lose_ = false;
    Close();
    std::list<Call> calls;
    calls.swap(calls_);
    for (Call& call : calls) PostFault(std::move(call.take), *lost_);
    calls.clear();
    connect_timer_ = loop_.After(wait_, [this] { Connect(); });
    wait_ = std::min(wait_ * 2, kLongestWait);
    loop_.Post([this, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired()) listener_.changed("");
    });
  }

  void Close() {
    if (timer_) loop_.Cancel(*std::exchange(timer_, std::nullopt));
    if (fd_ >= 0) loop_.Unwatch(std::exchange(fd_, -1));
    events_ = 0;
    for (Call& call : calls_) call.slot = sd_bus_slot_unref(call.slot);
    if (bus_ != nullptr) sd_bus_close_unref(std::exchange(bus_, nullptr));
  }

  // Takes what there is; must not be called by what it calls.
  void Pump() {
    int result = 1;
    pumping_ = true;
    for (int i = 0; i < kMessagesAtOnce && result > 0 && !must_lose_; ++i) {
      result = sd_bus_process(bus_, nullptr);
    }
    pumping_ = false;
    if (must_lose_) return Lose(std::move(*why_lose_));
    if (result < 0) return Lose(result);
    Arm();
  }

  // Waits for what sd-bus wants to wait for.
  void Arm() {
    if (bus_ == nullptr || pumping_) return;
    const int fd = sd_bus_get_fd(bus_), events = sd_bus_get_events(bus_);
    if (fd < 0 || events < 0) return Lose(fd < 0 ? fd : events);
    if (fd != fd_ || events != events_) {
      if (fd_ >= 0 && fd != fd_) loop_.Unwatch(fd_);
      fd_ = fd;
      events_ = events;
      // The bits of poll are those of epoll.
      loop_.Watch(fd, static_cast<uint32_t>(events), [this](uint32_t) { Pump(); });
    }
    if (timer_) loop_.Cancel(*std::exchange(timer_, std::nullopt));
    uint64_t until = UINT64_MAX;
    if (sd_bus_get_timeout(bus_, &until) < 0 || until == UINT64_MAX) return;
    const uint64_t now = NowMicros();
    const Millis delay(until <= now ? 0 : static_cast<int64_t>((until - now) / 1000 + 1));
    timer_ = loop_.After(delay, [this] {
      timer_.reset();
      Pump();
    });
  }

  // --- Calls ---

  sd_bus_message* New(const char* path, const char* interface, const char* member) {
    sd_bus_message* call = nullptr;
    if (bus_ == nullptr) return nullptr;
    if (sd_bus_message_new_method_call(bus_, &call, kName, path, interface, member) < 0) {
      return nullptr;
    }
    return call;
  }

  sd_bus_message* NewJob(const char* method, const std::string& unit) {
    sd_bus_message* call = New(kPath, kInterface, method);
    if (call != nullptr) sd_bus_message_append(call, "ss", unit.c_str(), "replace");
    return call;
  }

  // About the properties of a unit.
  sd_bus_message* NewAbout(const std::string& unit, const char* method) {
    char* path = nullptr;
    if (sd_bus_path_encode(kUnits, unit.c_str(), &path) < 0) return nullptr;
    sd_bus_message* const call = New(path, kProperties, method);
    std::free(path);  // NOLINT(cppcoreguidelines-no-malloc): as sd-bus wants it
    return call;
  }

  // A property that is a count; nothing where the manager does not count.
  void ReadCount(const std::string& unit, const char* property,
                 std::function<void(Result<std::optional<uint64_t>>)> done) {
    sd_bus_message* call = NewAbout(unit, "Get");
    if (call != nullptr) sd_bus_message_append(call, "ss", kService, property);
    Send(call, unit, [done = std::move(done)](sd_bus_message* reply, const Error* fault) {
      if (fault != nullptr) return done(*fault);
      done(ReadCountOf(reply));
    });
  }

  void SendFor(sd_bus_message* call, const std::string& unit, Done done) {
    Send(call, unit, [done = std::move(done)](sd_bus_message*, const Error* fault) {
      done(fault == nullptr ? Status(Ok{}) : Status(*fault));
    });
  }

  // Takes the message over; null: there is no connection.
  void Send(sd_bus_message* message, const std::string& unit, Take take) {
    if (message == nullptr) {
      const Error none{ErrorKind::kUnavailable, "there is no connection to systemd"};
      return PostFault(std::move(take), bus_ == nullptr && lost_ ? *lost_ : none);
    }
    Call& call = calls_.emplace_back();
    call.owner = this;
    call.unit = unit;
    call.take = std::move(take);
    call.self = std::prev(calls_.end());
    const int sent = sd_bus_call_async(bus_, &call.slot, message, &SdUnitBus::OnReply, &call,
                                       Micros(kUnitCallTimeout));
    sd_bus_message_unref(message);
    if (sent < 0) {
      PostFault(std::move(call.take), {ErrorKind::kUnavailable,
                                       std::string("cannot ask systemd: ") + std::strerror(-sent)});
      calls_.erase(call.self);
    }
    Arm();
  }

  void PostFault(Take take, Error fault) {
    loop_.Post(
        [alive = std::weak_ptr<int>(alive_), take = std::move(take), fault = std::move(fault)] {
          if (!alive.expired()) take(nullptr, &fault);
        });
  }

  static int OnReply(sd_bus_message* reply, void* data, sd_bus_error* /*out*/) {
    auto* const call = static_cast<Call*>(data);
    SdUnitBus& bus = *call->owner;
    std::list<Call> taken;
    taken.splice(taken.begin(), bus.calls_, call->self);
    if (sd_bus_message_get_error(reply) == nullptr) {
      call->take(reply, nullptr);
      return 0;
    }
    const auto [name, text] = ReadError(*reply);
    const Error fault = ExplainBusError(name, text, call->unit);
    if (IsBusLost(name)) {
      bus.must_lose_ = true;
      bus.why_lose_ = fault;
    }
    call->take(reply, &fault);
    return 0;
  }

  static std::pair<std::string, std::string> ReadError(sd_bus_message& reply) {
    const sd_bus_error* const error = sd_bus_message_get_error(&reply);
    const auto text = [](const char* one) { return std::string(one != nullptr ? one : ""); };
    return {text(error->name), text(error->message)};
  }

  // --- Signals ---

  static int OnSignal(sd_bus_message* signal, void* data, sd_bus_error* /*out*/) {
    auto& bus = *static_cast<SdUnitBus*>(data);
    const char* unit = nullptr;
    if (sd_bus_message_is_signal(signal, kProperties, "PropertiesChanged") > 0) {
      char* name = nullptr;
      if (sd_bus_path_decode(sd_bus_message_get_path(signal), kUnits, &name) > 0) {
        bus.listener_.changed(name);
        std::free(name);  // NOLINT(cppcoreguidelines-no-malloc): as sd-bus wants it
      }
    } else if (sd_bus_message_is_signal(signal, kInterface, "JobRemoved") > 0) {
      const char* result = nullptr;
      if (sd_bus_message_read(signal, "uoss", nullptr, nullptr, &unit, &result) > 0) {
        bus.listener_.job_ended(unit, result);
        bus.listener_.changed(unit);
      }
    } else if (sd_bus_message_is_signal(signal, kInterface, "UnitNew") > 0 ||
               sd_bus_message_is_signal(signal, kInterface, "UnitRemoved") > 0) {
      if (sd_bus_message_read(signal, "so", &unit, nullptr) > 0) bus.listener_.changed(unit);
    }
    return 0;
  }

  EventLoop& loop_;
  const std::string name_;
  std::string address_;
  Listener listener_;
  sd_bus* bus_ = nullptr;  // null: there is no connection
  std::optional<Error> lost_;
  std::list<Call> calls_;  // not answered yet
  int fd_ = -1, events_ = 0;
  bool pumping_ = false;
  bool must_lose_ = false;  // once the present messages are through
  std::optional<Error> why_lose_;
  std::optional<EventLoop::TimerId> timer_, connect_timer_;
  Millis wait_ = kFirstWait;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace

std::unique_ptr<UnitBus> MakeSdUnitBus(EventLoop& loop, const std::string& bus) {
  return std::make_unique<SdUnitBus>(loop, bus);
}

}  // namespace autoscale
