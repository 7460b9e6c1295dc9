// What a plugin prints, line by line, and never more than can be borne.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "net/event_loop.h"
#include "providers/plugin/descriptor.h"

namespace autoscale {

// Bytes -> lines. What is longer than `max_bytes` is cut there, and the rest of it dropped.
class LineCutter {
 public:
  using Listener = std::function<void(std::string_view line)>;
  explicit LineCutter(size_t max_bytes) : max_bytes_(max_bytes) {}
  void Take(std::string_view bytes, const Listener& on_line);
  // The last line may have no end.
  void Finish(const Listener& on_line);

 private:
  size_t max_bytes_;
  std::string line_;
};

// So many lines a period; the rest is counted.
class LineQuota {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr int kLines = 100;
  static constexpr std::chrono::seconds kPeriod{10};

  // Whether one more line may be told; `left_out`: how many were not before it, for once.
  bool Allows(Time now, uint64_t& left_out);

 private:
  Time since_{};
  int told_ = 0;
  uint64_t left_out_ = 0;
};

// Reads a pipe (not blocking) on the loop's thread until its end. A writer that is faster than
// kMostBytes a second has to wait.
class OutputReader {
 public:
  static constexpr size_t kMostBytes = 1u << 20;
  static constexpr size_t kMaxLine = 2048;

  // The callback must not destroy this object.
  OutputReader(EventLoop& loop, Descriptor pipe, LineCutter::Listener on_line);
  ~OutputReader();
  OutputReader(const OutputReader&) = delete;
  OutputReader& operator=(const OutputReader&) = delete;

  // Takes what is there now, at most a pipe's worth, and its end without one.
  void Drain();

 private:
  void OnReadable();
  // How much there was; 0: nothing any more.
  ssize_t Read();
  void Rest();

  EventLoop& loop_;
  Descriptor pipe_;
  LineCutter cutter_{kMaxLine};
  LineCutter::Listener on_line_;
  size_t taken_ = 0;  // in this second
  std::chrono::steady_clock::time_point second_{};
  std::optional<EventLoop::TimerId> resting_;
};

}  // namespace autoscale
