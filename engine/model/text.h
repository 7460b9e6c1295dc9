// Text that others wrote, as our own messages may show it.
#pragma once

#include <string>
#include <string_view>

namespace autoscale {

// Makes a space of each character that a terminal may obey instead of showing it: the controls of
// ASCII and those of Latin-1 (U+0080 to U+009F), and what turns the direction of writing (U+202A to
// U+202E, U+2066 to U+2069). Line feeds stay where `keep_lines`.
void BlankControls(std::string& text, bool keep_lines = false);

// At most `max_bytes` of it (at least 4) on one line: controls become spaces, and what is left out
// is an ellipsis. UTF-8 stays UTF-8.
std::string OneLine(std::string_view text, size_t max_bytes);

}  // namespace autoscale
