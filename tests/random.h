// Random numbers for tests that can be repeated, and what the environment says of such tests.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace autoscale {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t Bits() { return engine_(); }
  int64_t Whole(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(engine_);
  }
  int Int(int least, int most) { return static_cast<int>(Whole(least, most)); }
  double Real(double least, double most) {
    return std::uniform_real_distribution<double>(least, most)(engine_);
  }
  bool Chance(int percent) { return Whole(1, 100) <= percent; }
  std::string Bytes(int most) {
    std::string bytes(static_cast<size_t>(Whole(0, most)), '\0');
    for (char& c : bytes) c = static_cast<char>(Chance(70) ? Whole('a', 'z') : Whole(0, 255));
    return bytes;
  }

 private:
  std::mt19937_64 engine_;
};

// The variable's number; `otherwise` where it is not set.
inline uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* said = std::getenv(name);
  return said == nullptr || *said == 0 ? otherwise : std::strtoull(said, nullptr, 10);
}

}  // namespace autoscale
