#include "daemon/telemetry/notify.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>

namespace autoscale {
namespace {

// Stands for systemd: a datagram socket named in NOTIFY_SOCKET.
class NotifyTest : public testing::Test {
 protected:
  NotifyTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "notify-test-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    const std::string path = folder_ + "/socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~NotifyTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
    close(socket_);
    std::filesystem::remove_all(folder_);
  }

  // Sending to a unix datagram socket is done when it returns: nothing to wait for.
  std::string Received() const {
    std::array<char, 1024> buffer{};
    const ssize_t size = recv(socket_, buffer.data(), buffer.size(), 0);
    return size < 0 ? "(nothing)" : std::string(buffer.data(), static_cast<size_t>(size));
  }

  std::string folder_;
  int socket_ = -1;
};

TEST_F(NotifyTest, SystemdIsTold) {
  NotifyReady("12 services");
  EXPECT_EQ(Received(), "READY=1\nSTATUS=12 services");
  NotifyStatus("13 services");
  EXPECT_EQ(Received(), "STATUS=13 services");
  NotifyWatchdog();
  EXPECT_EQ(Received(), "WATCHDOG=1");
  NotifyStopping();
  EXPECT_EQ(Received(), "STOPPING=1");
}

TEST_F(NotifyTest, AStatusCannotSmuggleInAnAssignment) {
  NotifyStatus("fine\nSTOPPING=1");
  EXPECT_EQ(Received(), "STATUS=fine STOPPING=1");
}

TEST_F(NotifyTest, WithoutSystemdNothingHappens) {
  unsetenv("NOTIFY_SOCKET");
  NotifyReady("x");
  NotifyWatchdog();
  EXPECT_EQ(Received(), "(nothing)");
}

TEST_F(NotifyTest, TheWatchdogIsFedTwiceAsOftenAsAsked) {
  setenv("WATCHDOG_USEC", "30000000", 1);
  EXPECT_EQ(WatchdogInterval(), Millis(15'000));
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  EXPECT_EQ(WatchdogInterval(), Millis(15'000));
}

TEST_F(NotifyTest, NoWatchdogUnlessItIsMeantForUs) {
  EXPECT_EQ(WatchdogInterval(), std::nullopt);
  setenv("WATCHDOG_USEC", "30000000", 1);
  setenv("WATCHDOG_PID", std::to_string(getppid()).c_str(), 1);
  EXPECT_EQ(WatchdogInterval(), std::nullopt);
}

}  // namespace
}  // namespace autoscale
