// The format between the daemon and its policy worker: both are of the same build, on one machine,
// so that numbers are in native order. Every read is bounded: the worker runs users' code and is
// not trusted.
//
// A frame is a length (u32, without itself) and a payload whose first byte is its FrameKind. The
// daemon sends kConfigure once and is answered kReady; then kZone, kModule and kPolicy frames,
// unanswered, and kBatch frames, each answered by one kAnswers, or kTrials frames, each answered by
// one kVerdicts. One side speaks at a time, so that no batch can deadlock.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/policy/evaluator.h"

namespace autoscale {

enum class FrameKind : uint8_t {
  kConfigure = 1,
  kReady,
  kZone,
  kModule,
  kPolicy,
  kBatch,
  kAnswers,
  kTrials,  // requests whose policies are tried on made-up samples: their own do not count
  kVerdicts
};

inline constexpr size_t kMaxFrame = 64u << 20;
// After so long the worker answers what it has: the first requests of the batch. What a hang costs
// others stays small, and the daemon can end when its time is over.
inline constexpr Millis kSlice{20};
inline constexpr int kWorkerSocket = 3;    // the worker's end of the socket pair
inline constexpr int kWorkerProgress = 4;  // the memory in which it tells what it runs

// Shared memory. Its lower 16 bits: 0: no request of the batch is running; n: the n-th is. The
// upper ones count the evaluations of a trial, each of which is bounded by itself.
using Progress = std::atomic<uint32_t>;
static_assert(Progress::is_always_lock_free);
inline constexpr size_t kMaxBatch = 1024;  // requests
constexpr uint32_t PositionIn(uint32_t progress) { return progress & 0xffff; }

// Appends values to a frame; Finish writes its length.
class FrameWriter {
 public:
  explicit FrameWriter(std::string& out) : out_(out), begin_(out.size()) {}
  void Begin(FrameKind kind) {
    begin_ = out_.size();
    Put(uint32_t{0});
    Put(kind);
  }
  template <typename T>
  void Put(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void PutText(std::string_view text) {
    Put(static_cast<uint32_t>(text.size()));
    out_.append(text);
  }
  void Finish() {
    const auto length = static_cast<uint32_t>(out_.size() - begin_ - sizeof(uint32_t));
    std::memcpy(out_.data() + begin_, &length, sizeof length);
  }

 private:
  std::string& out_;
  size_t begin_;
};

// Reads values from a payload. After the first read past the end, or of a value that cannot be, all
// reads answer zero and ok() is false.
class FrameReader {
 public:
  explicit FrameReader(std::string_view payload) : rest_(payload) {}
  [[nodiscard]] bool ok() const { return ok_; }
  // Everything was read, and nothing was wrong.
  [[nodiscard]] bool Done() const { return ok_ && rest_.empty(); }
  void Fail() {
    ok_ = false;
    rest_ = {};
  }

  template <typename T>
  T Get() {
    static_assert(std::is_trivially_copyable_v<T> && !std::is_enum_v<T>);
    T value{};
    if (rest_.size() < sizeof value) {
      Fail();
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  // An enumerator of E no greater than `last`.
  template <typename E>
  E GetEnum(E last) {
    const auto value = Get<uint8_t>();
    if (value > static_cast<uint8_t>(last)) Fail();
    return ok_ ? static_cast<E>(value) : E{};
  }
  std::string_view GetText() {
    const auto length = Get<uint32_t>();
    if (length > rest_.size()) Fail();
    if (!ok_) return {};
    const std::string_view text = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return text;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// What came of trying a policy for a service.
struct TrialVerdict {
  enum class Kind : uint8_t { kFine, kDoubt, kError, kUntried };
  Kind kind = Kind::kFine;
  std::string text;    // of a doubt or an error, as PolicyHost::Check says it
  bool named = false;  // the policy may have asked for the service's name
};

// A request as the worker reads it; reused from one to the next. Views point into the payload.
struct WireRequest {
  uint32_t policy = 0;
  std::vector<uint32_t> zones;  // as they were sent; the snapshot's are empty
  Snapshot snapshot;
  std::vector<DeclaredMetric> metrics;
  std::vector<Sample> samples;
  Params params;
};

void PutLimits(FrameWriter& out, const PolicyLimits& limits);
PolicyLimits GetLimits(FrameReader& in);
void PutZone(FrameWriter& out, const Zone& zone);
Zone GetZone(FrameReader& in);
void PutRequest(FrameWriter& out, uint32_t policy, std::span<const uint32_t> zones,
                const Snapshot& snapshot);
void GetRequest(FrameReader& in, WireRequest& request);
void PutEvaluation(FrameWriter& out, const Evaluation& evaluation);
Evaluation GetEvaluation(FrameReader& in);
void PutVerdict(FrameWriter& out, const TrialVerdict& verdict);
TrialVerdict GetVerdict(FrameReader& in);

}  // namespace autoscale
