#include "cli/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "engine/model/text.h"

namespace autoscale::cli {
namespace {

constexpr size_t kGap = 2;           // spaces between columns
constexpr size_t kLeastColumn = 20;  // a wrapped column is never narrower

std::tm Utc(TimePoint t) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return parts;
}

std::string Format(const std::tm& parts, const char* form) {
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), form, &parts)};
}

}  // namespace

std::string Style::Apply(Paint paint, std::string_view text) const {
  constexpr std::array<std::string_view, 6> kCodes = {"", "1", "2", "32", "33", "31"};
  if (!colour || paint == Paint::kPlain || text.empty()) return std::string(text);
  std::string out = "\x1b[";
  out += kCodes[static_cast<size_t>(paint)];
  out += 'm';
  out += text;
  return out + "\x1b[0m";
}

std::string FormatTime(TimePoint t, const Style& style) {
  const std::tm at = Utc(t);
  const std::tm today = Utc(style.now);
  const bool same_day = at.tm_year == today.tm_year && at.tm_yday == today.tm_yday;
  return Format(at, same_day ? "%H:%M:%S UTC" : "%Y-%m-%d %H:%M:%S UTC");
}

std::string FormatFullTime(TimePoint t) {
  const std::tm utc = Utc(t);
  std::string text = Format(utc, "%Y-%m-%d %H:%M:%S UTC");
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count();
  std::tm local{};
  localtime_r(&seconds, &local);
  if (local.tm_gmtoff != 0) {
    text +=
        Format(local, local.tm_mday == utc.tm_mday ? " (%H:%M:%S %Z)" : " (%Y-%m-%d %H:%M:%S %Z)");
  }
  return text;
}

std::string FormatClockMillis(TimePoint t) {
  const auto millis = (t - std::chrono::floor<std::chrono::seconds>(t)).count();
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03d", static_cast<int>(millis));
  return Format(Utc(t), "%H:%M:%S") + fraction.data();
}

std::string FormatAgo(TimePoint t, const Style& style) {
  const int64_t seconds = std::chrono::floor<std::chrono::seconds>(style.now - t).count();
  if (seconds < 1) return "just now";
  if (seconds < 120) return std::to_string(seconds) + " s ago";
  if (seconds < 2 * 3600) return std::to_string(seconds / 60) + " min ago";
  if (seconds < 2 * 86400) return std::to_string(seconds / 3600) + " h ago";
  return std::to_string(seconds / 86400) + " d ago";
}

std::string Count(int n, std::string_view noun) {
  std::string text = std::to_string(n) + " ";
  text += noun;
  return n == 1 ? text : text + "s";
}

std::string FormatNumber(double value) {
  std::array<char, 64> text{};
  const bool whole = std::abs(value) >= 1000 && std::abs(value) < 1e9;
  std::snprintf(text.data(), text.size(), whole ? "%.0f" : "%.4g", value);
  return text.data();
}

std::string Printable(std::string_view text) {
  std::string out(text);
  BlankControls(out, true);
  return out;
}

std::string ToUtf8(const std::string& text) {
  using nlohmann::json;
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace));
}

size_t Columns(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string Wrap(std::string_view text, size_t first_indent, size_t indent, size_t width) {
  std::string out(first_indent, ' ');
  size_t column = first_indent;
  bool line_is_empty = true;
  while (!text.empty()) {
    const size_t end = text.find_first_of(" \n");
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (word.empty()) continue;
    if (!line_is_empty && column + 1 + Columns(word) > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
      line_is_empty = true;
    }
    if (!line_is_empty) {
      out += ' ';
      ++column;
    }
    out += word;
    column += Columns(word);
    line_is_empty = false;
  }
  return out;
}

Table::Table(size_t indent, std::vector<std::string> headers) : indent_(indent) {
  if (headers.empty()) return;
  rows_.emplace_back();
  for (std::string& header : headers) rows_.back().push_back({std::move(header), Paint::kDim});
}

void Table::Add(std::vector<Cell> row) {
  for (Cell& cell : row) {
    cell.text = Printable(cell.text);
    std::replace(cell.text.begin(), cell.text.end(), '\n', ' ');
  }
  rows_.push_back(std::move(row));
}

std::string Table::Render(const Style& style) const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Columns(row[i].text));
  }
  std::string out;
  for (const auto& row : rows_) {
    size_t column = indent_;
    std::string line(indent_, ' ');
    for (size_t i = 0; i < row.size(); ++i) {
      const Cell& cell = row[i];
      if (i + 1 < row.size()) {
        line += style.Apply(cell.paint, cell.text);
        line += std::string(widths[i] - Columns(cell.text) + kGap, ' ');
        column += widths[i] + kGap;
      } else {
        const size_t width = std::max(style.width, column + kLeastColumn);
        // Wrapped as if it stood there, then without the indent that the line already has.
        line += style.Apply(cell.paint, Wrap(cell.text, column, column, width).substr(column));
      }
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace autoscale::cli
