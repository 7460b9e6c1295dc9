// Tokens: Lua source as words, strings and symbols, as far as finding calls in it needs. Comments,
// and what stands in strings, are no tokens of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace autoscale {

struct Token {
  enum class Kind : uint8_t { kEnd, kWord, kString, kSymbol };
  Kind kind = Kind::kEnd;
  std::string_view text;  // a string's with its quotes or brackets
  size_t begin = 0;       // of the source
  int line = 0;
  [[nodiscard]] size_t end() const { return begin + text.size(); }
};

class Tokens {
 public:
  // `source` outlives it. What does not parse as Lua gives some tokens or other.
  explicit Tokens(std::string_view source);
  Token Next();

 private:
  void SkipBlanks();
  void SkipLong(int level);
  void SkipQuoted(char quote);
  [[nodiscard]] int LongLevel(size_t at) const;

  const std::string_view source_;
  size_t at_ = 0;
  size_t counted_ = 0;  // up to here lines are counted
  int line_ = 1;
};

// What a string token holds: between its quotes or brackets, escapes as written.
std::string_view Content(const Token& token);

}  // namespace autoscale
