// Scalars: numbers, booleans and suggestions, as the configuration writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoscale {

// Decimal digits with an optional minus. No leading zero: "010" is eight to some readers.
std::optional<int64_t> ParseInt(std::string_view text);
// A finite number.
std::optional<double> ParseDouble(std::string_view text);
// "true" or "false" and nothing else.
std::optional<bool> ParseBool(std::string_view text);

// The shortest text that reads back as the same number.
std::string FormatNumber(double value);

// As ParseBytes reads it: "64MiB".
std::string FormatBytes(int64_t bytes);

// "a, b, c".
std::string Join(const std::vector<std::string>& words);
// "a, b or c".
std::string JoinOr(const std::vector<std::string>& words);
// "; did you mean 'ports'?" when a word is close enough to be a slip of the fingers, else "".
std::string DidYouMean(std::string_view word, const std::vector<std::string>& words);

}  // namespace autoscale
