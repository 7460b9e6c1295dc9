// What the fuzz targets share: a finding, and cutting an input into its parts.
//
// A target is one file with LLVMFuzzerTestOneInput. clang links it with libFuzzer (`make fuzz`),
// gcc with replay.cpp, which runs the kept corpus as a unit test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace autoscale::fuzz {

// Ends the run with a finding unless `holds`.
inline void Expect(bool holds, std::string_view what, std::string_view detail = {}) {
  if (holds) return;
  std::string line = "finding: ";
  line.append(what).append(": '").append(detail).append("'\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::abort();
}

// What a person reads: something, on one line, and not the megabytes that somebody sent.
inline void ExpectMessage(std::string_view message, size_t longest = 1000) {
  Expect(!message.empty(), "no error without a message");
  Expect(message.size() <= longest, "a message is short", message);
  for (const char c : message) {
    Expect(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "a message is one line", message);
  }
}

inline std::string_view ToText(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Takes the first byte off: which of `count` things the rest is. '0' is the first, so that inputs
// can be written by hand.
inline unsigned TakeChoice(std::string_view& text, unsigned count) {
  if (text.empty()) return 0;
  const auto byte = static_cast<unsigned char>(text.front());
  text.remove_prefix(1);
  return static_cast<unsigned>(byte - '0') % count;
}

// Takes the text up to the separator off, or all of it.
inline std::string_view TakeUntil(std::string_view& text, std::string_view separator) {
  const size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + separator.size());
  return part;
}

}  // namespace autoscale::fuzz
