// What demo-load measures: counts, failures by cause and a histogram of latencies.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace autoscale::demo {

// What happened in one second, and in all of them.
class Window {
 public:
  void Arrived() { ++arrived_; }
  void Succeeded(int64_t nanos) {
    ++succeeded_;
    ++buckets_[BucketOf(nanos)];
  }
  void Failed(const std::string& cause) {
    ++failed_;
    ++causes_[cause];
  }
  void Add(const Window& other) {
    arrived_ += other.arrived_;
    succeeded_ += other.succeeded_;
    failed_ += other.failed_;
    for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    for (const auto& [cause, count] : other.causes_) causes_[cause] += count;
  }

  // Fields of a JSON object, without its braces.
  [[nodiscard]] std::string Json() const {
    char text[256];
    std::snprintf(text, sizeof text,
                  "\"arrived\":%llu,\"succeeded\":%llu,\"failed\":%llu,\"p50_ms\":%.1f,"
                  "\"p95_ms\":%.1f,\"p99_ms\":%.1f,\"causes\":{",
                  arrived_, succeeded_, failed_, QuantileMs(0.50), QuantileMs(0.95),
                  QuantileMs(0.99));
    std::string json = text;
    for (const auto& [cause, count] : causes_) {
      if (json.back() != '{') json += ',';
      json += "\"" + cause + "\":" + std::to_string(count);
    }
    return json + "}";
  }

 private:
  // Buckets 5 % apart from 10 µs; the last takes all that is longer than the time-out.
  static constexpr double kFirstNanos = 10'000, kGrowth = 1.05;
  static size_t BucketOf(int64_t nanos) {
    const double steps = std::log(std::max(1.0, static_cast<double>(nanos) / kFirstNanos));
    return std::min<size_t>(static_cast<size_t>(steps / std::log(kGrowth)), 299);
  }
  [[nodiscard]] double QuantileMs(double quantile) const {
    if (succeeded_ == 0) return 0;
    const auto rank = static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(succeeded_)));
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= rank) return kFirstNanos * std::pow(kGrowth, static_cast<double>(i) + 1) / 1e6;
    }
    return 0;
  }

  unsigned long long arrived_ = 0, succeeded_ = 0, failed_ = 0;
  std::map<std::string, unsigned long long> causes_;
  std::vector<uint64_t> buckets_ = std::vector<uint64_t>(300);
};

}  // namespace autoscale::demo
