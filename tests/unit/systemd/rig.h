// A provider `systemd` before a manager made by hand.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "providers/local/ports.h"
#include "providers/systemd/systemd_provider.h"
#include "tests/unit/systemd/fake_unit_bus.h"

namespace autoscale {

inline const Error kGone{ErrorKind::kUnavailable, "cannot reach systemd"};

// The first of six free ports in a row, below those that clients are given.
inline int SixPorts() {
  for (int first = 21'000 + getpid() % 900 * 6;; first += 6) {
    bool free = true;
    for (int port = first; port < first + 6; ++port) {
      free = free && ChoosePort("127.0.0.1", port, port, {}).ok();
    }
    if (free) return first;
  }
}

class SystemdRig : public testing::Test {
 protected:
  SystemdRig() : first_(SixPorts()) {
    std::string folder = (std::filesystem::temp_directory_path() / "units-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) std::abort();
    folder_ = folder;
    target_ = std::make_shared<SystemdTarget>();
    target_->unit = *UnitTemplate::Parse("web@.service");
    target_->bus = "system";
    target_->first_port = first_;
    target_->last_port = first_ + 5;
    target_->health.interval = Millis(50);
    target_->health.unhealthy_after = 1;
    StartProvider();
  }
  ~SystemdRig() override {
    provider_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Another daemon on the same folder.
  void StartProvider() {
    provider_.reset();
    told_.clear();
    provider_ = MakeSystemdProvider({.loop = loop_, .http = http_, .state_dir = folder_},
                                    [this](const std::string& bus) {
                                      buses_.push_back(bus);
                                      return systemd_.Connect();
                                    });
    provider_->SetListener([this](const std::string& service, const ObservedInstance& observed) {
      EXPECT_EQ(service, "web");
      told_[observed.id] = observed;
      ends_ += observed.state == InstanceState::kGone ? 1 : 0;
    });
    provider_->SetTargetListener([this](const Observation& seen) { pushed_.push_back(seen); });
  }

  std::string Unit(int i) const { return target_->unit.Unit(first_ + i); }
  [[nodiscard]] TargetRef Ref() const { return {"web", target_}; }

  // Runs the loop until it holds; false when it does not within a generous time.
  bool Until(const std::function<bool()>& holds, Millis patience = std::chrono::seconds(10)) {
    const auto late = std::chrono::steady_clock::now() + patience;
    std::function<void()> look = [&] {
      if (holds() || std::chrono::steady_clock::now() > late) return loop_.Stop();
      timer_ = loop_.After(Millis(1), look);
    };
    loop_.Post(look);
    loop_.Run();
    loop_.Cancel(timer_);
    return holds();
  }

  std::vector<InstanceUsage> Usage() {
    std::optional<std::vector<InstanceUsage>> read;
    provider_->ReadUsage([&](std::vector<InstanceUsage> usage) { read = std::move(usage); });
    EXPECT_TRUE(Until([&] { return read.has_value(); }));
    return *read;
  }

  Observation Observe() {
    std::optional<Observation> seen;
    provider_->Observe({Ref()}, [&](Result<std::vector<Observation>> answer) {
      ASSERT_TRUE(answer.ok());
      ASSERT_EQ(answer->size(), 1u);
      seen = answer->front();
    });
    EXPECT_TRUE(Until([&] { return seen.has_value(); }));
    return seen.value_or(Observation{});
  }

  std::vector<Status> Launch(const std::vector<std::string>& ids) {
    std::optional<std::vector<Status>> answers;
    provider_->Launch(Ref(), ids, [&](std::vector<Status> got) { answers = std::move(got); });
    EXPECT_TRUE(Until([&] { return answers.has_value(); }));
    return answers.value_or(std::vector<Status>{});
  }

  std::vector<Status> Terminate(const std::vector<std::string>& ids) {
    std::optional<std::vector<Status>> answers;
    provider_->Terminate(Ref(), ids, [&](std::vector<Status> got) { answers = std::move(got); });
    EXPECT_TRUE(Until([&] { return answers.has_value(); }));
    return answers.value_or(std::vector<Status>{});
  }

  bool Await(const std::string& id, InstanceState state) {
    return Until([&] { return told_.contains(id) && told_[id].state == state; });
  }

  // Until what has been told so far is worked off.
  void Settle() { Observe(); }

  static std::vector<std::string> Ids(const Observation& seen) {
    std::vector<std::string> ids;
    for (const ObservedInstance& one : seen.instances) ids.push_back(one.id);
    return ids;
  }
  using Names = std::vector<std::string>;

  EventLoop loop_;
  HttpClient http_{loop_, 8};
  FakeSystemd systemd_{loop_};
  std::string folder_;
  const int first_;
  std::shared_ptr<SystemdTarget> target_;
  std::unique_ptr<Provider> provider_;
  std::map<std::string, ObservedInstance> told_;
  int ends_ = 0;  // how many were told
  std::vector<Observation> pushed_;
  std::vector<std::string> buses_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace autoscale
