// Text for people: times, tables, colours. Pure; the same input gives the same text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/model/time.h"

namespace autoscale::cli {

enum class Paint { kPlain, kBold, kDim, kGood, kWarn, kBad };

// How to write: at which moment, how wide, with colours or without.
struct Style {
  TimePoint now;
  size_t width = 100;  // columns
  bool colour = false;
  [[nodiscard]] std::string Apply(Paint paint, std::string_view text) const;
};

// "03:12:07 UTC", with the date in front when it is not today's.
std::string FormatTime(TimePoint t, const Style& style);
// "2026-01-02 03:12:07 UTC (04:12:07 CET)"; the local time only where it differs.
std::string FormatFullTime(TimePoint t);
// "03:12:07.120", UTC.
std::string FormatClockMillis(TimePoint t);
// "4 s ago", "3 min ago", "2 h ago"; "just now" below a second and for what lies ahead.
std::string FormatAgo(TimePoint t, const Style& style);
// "1 instance", "3 instances".
std::string Count(int n, std::string_view noun);
// At most four significant digits, never an exponent below a billion: "0.91", "612".
std::string FormatNumber(double value);
// Without what a terminal may obey, but for newlines: a policy's reason may hold anything.
std::string Printable(std::string_view text);
// With U+FFFD for what is no UTF-8, which the wire does not take: words of another locale.
std::string ToUtf8(const std::string& text);
// Columns that UTF-8 text takes, where each code point takes one.
size_t Columns(std::string_view text);

// Breaks text at spaces and newlines to the width; lines after the first are indented. No newline
// at the end.
std::string Wrap(std::string_view text, size_t first_indent, size_t indent, size_t width);

struct Cell {
  std::string text;
  Paint paint = Paint::kPlain;
};

// A table of left-aligned columns, two spaces apart, the last one wrapped to the style's width.
class Table {
 public:
  // Without headers: no first line.
  Table(size_t indent, std::vector<std::string> headers);
  void Add(std::vector<Cell> row);
  [[nodiscard]] std::string Render(const Style& style) const;

 private:
  size_t indent_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace autoscale::cli
