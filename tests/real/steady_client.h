// Customers that ask one thing after the other: how many got no good answer.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "tests/real/http_probe.h"

namespace autoscale {

class SteadyClients {
 public:
  SteadyClients(int port, bool keep_alive, int count = 4) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, port, keep_alive] {
        HttpProbe probe(port);
        while (!leave_) {
          (probe.Get("/", keep_alive).status == 200 ? served_ : failed_) += 1;
        }
      });
    }
  }
  ~SteadyClients() { Stop(); }
  SteadyClients(const SteadyClients&) = delete;
  SteadyClients& operator=(const SteadyClients&) = delete;

  // How many requests failed; all have ended.
  int Stop() {
    leave_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return failed_;
  }
  [[nodiscard]] int served() const { return served_; }

 private:
  std::atomic<bool> leave_{false};
  std::atomic<int> served_{0}, failed_{0};
  std::vector<std::thread> threads_;
};

}  // namespace autoscale
