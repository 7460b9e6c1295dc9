#include "engine/model/text.h"

#include <algorithm>

namespace autoscale {

std::string OneLine(std::string_view text, size_t max_bytes) {
  constexpr std::string_view kEllipsis = "...";
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const auto is_continuation = [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
  };
  const bool cut = text.size() > max_bytes;
  size_t size = cut ? max_bytes - kEllipsis.size() : text.size();
  while (cut && size > 0 && is_continuation(text[size])) --size;  // not within a character
  std::string line(text.substr(0, size));
  std::replace_if(line.begin(), line.end(), is_control, ' ');
  if (cut) line += kEllipsis;
  return line;
}

}  // namespace autoscale
