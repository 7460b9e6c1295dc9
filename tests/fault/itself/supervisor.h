// Supervisor: systemd, as far as the daemon tells it that it lives.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace autoscale {

// Stands for systemd, which asks for a sign of life within the interval. Reads at once what it is
// told, or who tells it would wait.
class Supervisor {
 public:
  explicit Supervisor(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    reader_ = std::thread([this] { Read(); });
  }
  ~Supervisor() {
    shutdown(socket_, SHUT_RDWR);
    reader_.join();
    close(socket_);
  }
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // What it was told since it was asked before.
  std::vector<std::string> News() {
    const std::lock_guard lock(mutex_);
    return std::exchange(news_, {});
  }
  // The longest time without a sign of life since the first one, the present one included.
  std::chrono::steady_clock::duration LongestSilence() {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    return heard_ ? std::max(silence_, now - *heard_) : silence_;
  }
  // Signs of life among the news.
  int Beats() {
    const std::vector<std::string> news = News();
    return static_cast<int>(std::ranges::count(news, "WATCHDOG=1"));
  }

 private:
  void Read() {
    std::array<char, 1024> text{};
    for (ssize_t size = 1; (size = recv(socket_, text.data(), text.size(), 0)) > 0;) {
      const std::lock_guard lock(mutex_);
      news_.emplace_back(text.data(), static_cast<size_t>(size));
      if (news_.back() != "WATCHDOG=1") continue;
      const auto now = std::chrono::steady_clock::now();
      if (heard_) silence_ = std::max(silence_, now - *heard_);
      heard_ = now;
    }
  }

  const int socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  std::mutex mutex_;
  std::vector<std::string> news_;
  std::optional<std::chrono::steady_clock::time_point> heard_;
  std::chrono::steady_clock::duration silence_{0};
  std::thread reader_;
};

}  // namespace autoscale
