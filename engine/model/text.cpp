#include "engine/model/text.h"

#include <algorithm>

namespace autoscale {
namespace {

// The length of the control that stands at this place; 0: none does.
size_t ControlAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x20 || first == 0x7f) return 1;
  if (first == 0xc2 && byte(1) >= 0x80 && byte(1) <= 0x9f) return 2;
  const bool turns = first == 0xe2 && ((byte(1) == 0x80 && byte(2) >= 0xaa && byte(2) <= 0xae) ||
                                       (byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9));
  return turns ? 3 : 0;
}

}  // namespace

void BlankControls(std::string& text, bool keep_lines) {
  size_t end = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t length = keep_lines && text[at] == '\n' ? 0 : ControlAt(text, at);
    text[end++] = length > 0 ? ' ' : text[at];
    at += std::max<size_t>(length, 1);
  }
  text.resize(end);
}

std::string OneLine(std::string_view text, size_t max_bytes) {
  constexpr std::string_view kEllipsis = "...";
  const auto is_continuation = [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
  };
  const bool cut = text.size() > max_bytes;
  size_t size = cut ? max_bytes - kEllipsis.size() : text.size();
  while (cut && size > 0 && is_continuation(text[size])) --size;  // not within a character
  std::string line(text.substr(0, size));
  BlankControls(line);
  if (cut) line += kEllipsis;
  return line;
}

}  // namespace autoscale
