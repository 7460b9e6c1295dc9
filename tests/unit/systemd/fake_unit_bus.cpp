#include "tests/unit/systemd/fake_unit_bus.h"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <utility>

namespace autoscale {
namespace {

UniqueFd ListenFor(const std::string& unit) {
  const size_t at = unit.find('@');
  if (std::isdigit(static_cast<unsigned char>(unit[at + 1])) == 0) return {};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(unit.substr(at + 1))));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
  listen(fd.get(), 64);
  return fd;
}

}  // namespace

class FakeUnitBus final : public UnitBus {
 public:
  explicit FakeUnitBus(FakeSystemd& systemd) : systemd_(systemd) {}
  ~FakeUnitBus() override {
    if (systemd_.heard_by_ != this) return;
    systemd_.heard_by_ = nullptr;
    systemd_.listener_ = {};
  }
  void SetListener(Listener listener) override {
    systemd_.heard_by_ = this;
    systemd_.listener_ = std::move(listener);
  }

  void List(std::vector<std::string> patterns,
            std::function<void(Result<std::vector<UnitStatus>>)> done) override {
    ++systemd_.lists;
    Result<std::vector<UnitStatus>> answer = std::vector<UnitStatus>{};
    if (const auto refusal = systemd_.Refusal("list")) {
      answer = *refusal;
    } else {
      for (const auto& [name, status] : systemd_.units_) {
        const bool fits = patterns.empty() ||
                          std::any_of(patterns.begin(), patterns.end(), [&](const auto& pattern) {
                            return fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
                          });
        if (fits) answer->push_back(status);
      }
    }
    EventLoop::Task answering = [done = std::move(done), answer = std::move(answer)] {
      done(answer);
    };
    if (systemd_.holds_lists_) {
      systemd_.held_.push_back(std::move(answering));
    } else {
      systemd_.loop_.Post(std::move(answering));
    }
  }

  void Start(const std::string& unit, Done done) override {
    systemd_.history.push_back("start " + unit);
    const auto refusal = systemd_.Refusal("start");
    if (!refusal || systemd_.drops_starts) {
      if (systemd_.holds_starts) {
        systemd_.Set(unit, "activating", "start", "start");
      } else {
        systemd_.Run(unit);
      }
    }
    systemd_.Answer(std::move(done), refusal ? Status(*refusal) : Status(Ok{}));
  }

  void Stop(const std::string& unit, Done done) override {
    systemd_.history.push_back("stop " + unit);
    if (const auto refusal = systemd_.Refusal("stop")) {
      return systemd_.Answer(std::move(done), *refusal);
    }
    if (systemd_.ignores_sigterm) {
      systemd_.Set(unit, "deactivating", "stop-sigterm", "stop");
    } else {
      systemd_.Vanish(unit);
    }
    systemd_.Answer(std::move(done), Ok{});
  }

  void Kill(const std::string& unit, Done done) override {
    systemd_.history.push_back("kill " + unit);
    systemd_.Fail(unit, {.result = "signal", .code = CLD_KILLED, .status = SIGKILL});
    systemd_.Answer(std::move(done), Ok{});
  }

  void ResetFailed(const std::string& unit, Done done) override {
    systemd_.history.push_back("reset " + unit);
    systemd_.Vanish(unit);
    systemd_.Answer(std::move(done), Ok{});
  }

  void ReadUsage(const std::string& unit, std::function<void(Result<UnitUsage>)> done) override {
    Result<UnitUsage> answer = systemd_.usages[unit];
    if (const auto refusal = systemd_.Refusal("usage")) answer = *refusal;
    systemd_.loop_.Post([done = std::move(done), answer = std::move(answer)] { done(answer); });
  }

  void ReadEnd(const std::string& unit, std::function<void(Result<UnitEnd>)> done) override {
    ++systemd_.reads;
    EventLoop::Task answering = [done = std::move(done), end = systemd_.ends_[unit]] { done(end); };
    if (systemd_.holds_ends) {
      systemd_.held_.push_back(std::move(answering));
    } else {
      systemd_.loop_.Post(std::move(answering));
    }
  }

 private:
  FakeSystemd& systemd_;
};

std::unique_ptr<UnitBus> FakeSystemd::Connect() { return std::make_unique<FakeUnitBus>(*this); }

void FakeSystemd::Set(const std::string& unit, const std::string& active, const std::string& sub,
                      const std::string& job) {
  units_[unit] = {.name = unit, .active = active, .sub = sub, .job = job};
  if (active != "active") {
    listeners_.erase(unit);
  } else if (!listeners_.contains(unit)) {
    listeners_.emplace(unit, ListenFor(unit));
  }
  Tell(unit);
}

void FakeSystemd::Fail(const std::string& unit, UnitEnd end) {
  ends_[unit] = std::move(end);
  Set(unit, "failed", "failed");
}

void FakeSystemd::Vanish(const std::string& unit, const std::string& job_result) {
  units_.erase(unit);
  listeners_.erase(unit);
  if (!job_result.empty() && listener_.job_ended) listener_.job_ended(unit, job_result);
  Tell(unit);
}

void FakeSystemd::Break(std::optional<Error> why) {
  broken_ = std::move(why);
  Tell("");
}

void FakeSystemd::LetGo() {
  holds_lists_ = false;
  for (EventLoop::Task& answering : std::exchange(held_, {})) loop_.Post(std::move(answering));
}

void FakeSystemd::Tell(const std::string& unit) {
  loop_.Post([this, unit] {
    if (listener_.changed) listener_.changed(unit);
  });
}

void FakeSystemd::Answer(UnitBus::Done done, Status status) {
  loop_.Post([done = std::move(done), status = std::move(status)] { done(status); });
}

std::optional<Error> FakeSystemd::Refusal(const std::string& verb) const {
  if (broken_) return broken_;
  const auto answer = answers.find(verb);
  return answer == answers.end() ? std::nullopt : std::optional<Error>(answer->second);
}

int FakeSystemd::Asked(const std::string& what) const {
  return static_cast<int>(std::count(history.begin(), history.end(), what));
}

}  // namespace autoscale
