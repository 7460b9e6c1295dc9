#include "config/scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include "config/section.h"

namespace autoscale {
namespace {

struct Scale {
  std::string_view name;
  int64_t factor;
};

// "ms" stands before "m": the longest name that fits is the one meant.
constexpr std::array<Scale, 5> kDurations = {
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Scale, 4> kSizes = {
    {{"KiB", int64_t{1} << 10}, {"MiB", int64_t{1} << 20}, {"GiB", int64_t{1} << 30}, {"", 1}}};

Error BadDuration() {
  return {ErrorKind::kInvalid, "a duration is written with its unit, such as 250ms, 15s or 1h30m"};
}

Error BadBytes() {
  return {ErrorKind::kInvalid, "a size is written such as 512, 16KiB, 64MiB or 2GiB"};
}

// Reads digits from the front of `text`.
std::optional<int64_t> TakeDigits(std::string_view& text) {
  int64_t value = 0;
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

// The optimal string alignment distance: a swap of neighbours is one slip.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] =
          std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::optional<int64_t> ParseInt(std::string_view text) {
  int64_t value = 0;
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> ParseDouble(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<bool> ParseBool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

Result<Millis> ParseDuration(std::string_view text) {
  if (text.empty()) return BadDuration();
  int64_t total = 0;
  while (!text.empty()) {
    const std::optional<int64_t> count = TakeDigits(text);
    if (!count) return BadDuration();
    const auto* unit =
        std::find_if(kDurations.begin(), kDurations.end(),
                     [&](const Scale& candidate) { return text.starts_with(candidate.name); });
    if (unit == kDurations.end()) return BadDuration();
    text.remove_prefix(unit->name.size());
    int64_t part = 0;
    if (__builtin_mul_overflow(*count, unit->factor, &part) ||
        __builtin_add_overflow(total, part, &total)) {
      return Error{ErrorKind::kInvalid, "the duration is too long"};
    }
  }
  return Millis(total);
}

std::string FormatDuration(Millis d) {
  if (d < Millis(0)) return d == Millis::min() ? "-" : "-" + FormatDuration(-d);
  int64_t rest = d.count();
  std::string text;
  for (auto unit = kDurations.rbegin(); unit != kDurations.rend(); ++unit) {
    // Seconds that are not whole stay in one piece: "1500ms", not "1s500ms".
    if (unit->factor == 1000 && rest % 1000 != 0) continue;
    if (rest < unit->factor) continue;
    text += std::to_string(rest / unit->factor);
    text += unit->name;
    rest %= unit->factor;
  }
  return text.empty() ? "0s" : text;
}

Result<int64_t> ParseBytes(std::string_view text) {
  const std::optional<int64_t> count = TakeDigits(text);
  if (!count) return BadBytes();
  for (const Scale& scale : kSizes) {
    if (text != scale.name) continue;
    int64_t bytes = 0;
    if (__builtin_mul_overflow(*count, scale.factor, &bytes)) return BadBytes();
    return bytes;
  }
  return BadBytes();
}

std::string FormatBytes(int64_t bytes) {
  for (size_t i = 3; i-- > 0;) {
    if (bytes != 0 && bytes % kSizes[i].factor == 0) {
      return std::to_string(bytes / kSizes[i].factor) + std::string(kSizes[i].name);
    }
  }
  return std::to_string(bytes);
}

std::string FormatNumber(double value) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::string(text.data(), end) : std::string("?");
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string JoinOr(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& words) {
  constexpr size_t kLongestWord = 64;  // quadratic work; names are shorter
  if (word.size() > kLongestWord) return {};
  const std::string* best = nullptr;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : words) {
    if (candidate.size() > kLongestWord) continue;
    const size_t distance = Distance(word, candidate);
    // A word all of whose letters differ is no slip.
    if (distance < best_distance && distance < candidate.size()) {
      best = &candidate;
      best_distance = distance;
    }
  }
  return best == nullptr ? std::string() : "; did you mean '" + *best + "'?";
}

}  // namespace autoscale
