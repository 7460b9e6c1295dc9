// Our way to a real systemd, over its own socket and over a D-Bus.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>

#include "providers/systemd/sd_unit_bus.h"
#include "tests/real/systemd_process.h"

namespace autoscale {
namespace {

constexpr uid_t kNobody = 65534;
constexpr const char* kBroker = "/usr/bin/dbus-daemon";

class UnitBusRealTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = SystemdProcess::Missing(); !missing.empty()) {
      GTEST_SKIP() << missing;
    }
    std::string folder = (std::filesystem::temp_directory_path() / "unit-bus-XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = std::filesystem::canonical(folder);
    std::filesystem::permissions(folder_, std::filesystem::perms(0755));  // others look for the bus
    systemd_.emplace(folder_ / "systemd");
    systemd_->WriteUnit("nap@.service",
                        "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\n");
    systemd_->WriteUnit(
        "bad@.service",
        "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sh -c 'exit 3'\n");
  }
  void StartWith(const std::string& service) {
    ASSERT_TRUE(systemd_->Start()) << systemd_->Log();
    ASSERT_TRUE(Eventually([&] {
      return service.empty() || systemd_->Ctl({"is-active", service}).starts_with("active");
    })) << systemd_->Ctl({"status", service})
        << systemd_->Log();
  }
  ~UnitBusRealTest() override {
    EXPECT_EQ(seteuid(0), 0);
    bus_.reset();
    systemd_.reset();
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  void Connect(const std::string& address) {
    bus_ = MakeSdUnitBus(loop_, address);
    bus_->SetListener({.changed = [this](const std::string& unit) { changed_.insert(unit); },
                       .job_ended = [this](const std::string& unit,
                                           const std::string& result) { jobs_[unit] = result; }});
  }

  bool Until(const std::function<bool()>& holds) {
    const auto late = std::chrono::steady_clock::now() + kPatience;
    EventLoop::TimerId timer = 0;
    std::function<void()> look = [&] {
      if (holds() || std::chrono::steady_clock::now() > late) return loop_.Stop();
      timer = loop_.After(Millis(2), look);
    };
    loop_.Post(look);
    loop_.Run();
    loop_.Cancel(timer);
    return holds();
  }

  using Order = void (UnitBus::*)(const std::string&, UnitBus::Done);
  Status Ask(Order order, const std::string& unit) {
    std::optional<Status> answer;
    (*bus_.*order)(unit, [&](Status got) { answer = std::move(got); });
    EXPECT_TRUE(Until([&] { return answer.has_value(); }));
    return answer.value_or(Status(Error{}));
  }
  std::vector<UnitStatus> List(const std::string& pattern) {
    std::optional<Result<std::vector<UnitStatus>>> answer;
    bus_->List({pattern}, [&](Result<std::vector<UnitStatus>> got) { answer = std::move(got); });
    EXPECT_TRUE(Until([&] { return answer.has_value(); }));
    if (!answer || !answer->ok()) return {};
    return **answer;
  }
  UnitEnd End(const std::string& unit) {
    std::optional<Result<UnitEnd>> answer;
    bus_->ReadEnd(unit, [&](Result<UnitEnd> got) { answer = std::move(got); });
    EXPECT_TRUE(Until([&] { return answer.has_value(); }));
    return answer && answer->ok() ? **answer : UnitEnd{};
  }

  // All that is asked of it, as the manager's own socket and a D-Bus must answer alike.
  void SpeaksAll() {
    ASSERT_TRUE(Until([&] { return changed_.contains(""); }));  // it can be reached
    EXPECT_TRUE(List("nap@*.service").empty());
    const Status started = Ask(&UnitBus::Start, "nap@1.service");
    ASSERT_TRUE(started.ok()) << started.error().message << "\n" << systemd_->Log();
    EXPECT_TRUE(Until([&] { return changed_.contains("nap@1.service"); }));
    EXPECT_TRUE(Until([&] { return jobs_["nap@1.service"] == "done"; }));
    const auto listed = List("nap@*.service");
    ASSERT_EQ(listed.size(), 1u);
    EXPECT_EQ(listed[0].name, "nap@1.service");
    EXPECT_EQ(PhaseOf(listed[0]), UnitPhase::kRunning);

    EXPECT_TRUE(Ask(&UnitBus::Start, "bad@1.service").ok());
    EXPECT_TRUE(Until([&] {
      const auto bad = List("bad@1.service");
      return bad.size() == 1 && PhaseOf(bad[0]) == UnitPhase::kFailed;
    }));
    EXPECT_EQ(Describe(End("bad@1.service")), "exited with status 3");
    EXPECT_TRUE(Ask(&UnitBus::ResetFailed, "bad@1.service").ok());
    EXPECT_TRUE(Until([&] { return List("bad@1.service").empty(); }));

    EXPECT_TRUE(Ask(&UnitBus::Kill, "nap@1.service").ok());
    EXPECT_TRUE(Until([&] { return Describe(End("nap@1.service")) == "was killed by SIGKILL"; }));
    EXPECT_TRUE(Ask(&UnitBus::Start, "nap@2.service").ok());
    EXPECT_TRUE(Ask(&UnitBus::Stop, "nap@2.service").ok());
    EXPECT_TRUE(Until([&] { return List("nap@2.service").empty(); }));
    EXPECT_TRUE(Ask(&UnitBus::Stop, "none@1.service").ok());  // as was asked for
    const Status none = Ask(&UnitBus::Start, "none@1.service");
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().kind, ErrorKind::kNotFound) << none.error().message;
  }

  std::filesystem::path folder_;
  std::optional<SystemdProcess> systemd_;
  EventLoop loop_;
  std::unique_ptr<UnitBus> bus_;
  std::set<std::string> changed_;
  std::map<std::string, std::string> jobs_;
};

TEST_F(UnitBusRealTest, SpeaksWithTheManagerItself) {
  ASSERT_NO_FATAL_FAILURE(StartWith(""));
  Connect(systemd_->Bus());
  SpeaksAll();
}

TEST_F(UnitBusRealTest, ListsUnitsOfAnEscapedName) {
  const auto escaped = UnitTemplate::Parse("long\\x2dnap@.service");
  ASSERT_TRUE(escaped.ok());
  systemd_->WriteUnit(escaped->name(),
                      "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\n");
  ASSERT_NO_FATAL_FAILURE(StartWith(""));
  Connect(systemd_->Bus());
  ASSERT_TRUE(Until([&] { return changed_.contains(""); }));
  EXPECT_TRUE(Ask(&UnitBus::Start, escaped->Unit(1)).ok());
  for (const std::string& pattern : {escaped->Pattern(), escaped->Unit(1)}) {
    const auto listed = List(pattern);
    ASSERT_EQ(listed.size(), 1u) << pattern;
    EXPECT_EQ(listed[0].name, escaped->Unit(1));
  }
}

TEST_F(UnitBusRealTest, SpeaksWithAUsersManager) {
  systemd_->AddUser();
  ASSERT_NO_FATAL_FAILURE(StartWith("user.service"));
  const char* const before = std::getenv("XDG_RUNTIME_DIR");
  const std::string kept = before != nullptr ? before : "";
  setenv("XDG_RUNTIME_DIR", systemd_->UserFolder().c_str(), 1);
  Connect("user");
  SpeaksAll();
  if (before == nullptr) {
    unsetenv("XDG_RUNTIME_DIR");
  } else {
    setenv("XDG_RUNTIME_DIR", kept.c_str(), 1);
  }
}

TEST_F(UnitBusRealTest, SpeaksOverADBus) {
  if (access(kBroker, X_OK) != 0) GTEST_SKIP() << "there is no " << kBroker;
  systemd_->AddBroker();
  ASSERT_NO_FATAL_FAILURE(StartWith("dbus.service"));
  Connect(systemd_->Broker());
  SpeaksAll();
}

TEST_F(UnitBusRealTest, WhoHasNoRightIsToldWhichToGrant) {
  if (access(kBroker, X_OK) != 0) GTEST_SKIP() << "there is no " << kBroker;
  systemd_->AddBroker();
  ASSERT_NO_FATAL_FAILURE(StartWith("dbus.service"));
  ASSERT_EQ(seteuid(kNobody), 0);
  Connect(systemd_->Broker());
  ASSERT_TRUE(Until([&] { return changed_.contains(""); }));
  EXPECT_FALSE(List("*.service").empty());  // to look is everybody's right
  const Status answer = Ask(&UnitBus::Start, "nap@1.service");
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().kind, ErrorKind::kForbidden);
  EXPECT_NE(answer.error().message.find("org.freedesktop.systemd1.manage-units"), std::string::npos)
      << answer.error().message;
}

TEST_F(UnitBusRealTest, ALostConnectionIsToldAndMadeAnew) {
  ASSERT_NO_FATAL_FAILURE(StartWith(""));
  Connect(systemd_->Bus());
  ASSERT_TRUE(Until([&] { return changed_.contains(""); }));
  systemd_->Kill();
  ASSERT_TRUE(Until([&] { return !Ask(&UnitBus::Start, "nap@1.service").ok(); }));
  EXPECT_EQ(Ask(&UnitBus::Start, "nap@1.service").error().kind, ErrorKind::kUnavailable);
  ASSERT_TRUE(systemd_->Start());
  EXPECT_TRUE(Until([&] { return Ask(&UnitBus::Start, "nap@1.service").ok(); }));
  changed_.clear();
  systemd_->Ctl({"start", "nap@2.service"});  // its signals are heard again
  EXPECT_TRUE(Until([&] { return changed_.contains("nap@2.service"); }));
}

}  // namespace
}  // namespace autoscale
