// Child: a program that a test runs, with its output in files.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/sanitized.h"

namespace autoscale {

// Far beyond what is ever needed: only a failing test waits so long.
constexpr std::chrono::seconds kPatience{30 * kSlower};

// Looks every few milliseconds until it holds; false: it never did.
bool Eventually(const std::function<bool()>& holds, std::chrono::seconds patience = kPatience);
std::string ReadWhole(const std::filesystem::path& path);

class Child {
 public:
  // Starts the program; its output goes to `output`.out and `output`.err. It dies with the test.
  Child(const std::vector<std::string>& command, std::filesystem::path output);
  // Kills it if it still runs.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  // Its exit code, or 128 + the signal that ended it; nothing: it still runs.
  std::optional<int> Wait(std::chrono::seconds patience = kPatience);
  [[nodiscard]] std::string Output() const;
  [[nodiscard]] std::string Errors() const;

 private:
  std::filesystem::path output_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

}  // namespace autoscale
