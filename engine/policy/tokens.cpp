#include "engine/policy/tokens.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace autoscale {
namespace {

// LuaJIT takes every byte beyond ASCII for a letter.
bool IsWord(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::isalnum(byte) != 0 || c == '_' || byte >= 0x80;
}

bool IsBlank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

}  // namespace

Tokens::Tokens(std::string_view source) : source_(source) {
  if (source_.starts_with("\xef\xbb\xbf")) at_ = 3;  // a byte order mark
  if (at_ < source_.size() && source_[at_] == '#')
    at_ = std::min(source_.find('\n'), source_.size());
}

Token Tokens::Next() {
  SkipBlanks();
  line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(counted_),
                                       source_.begin() + static_cast<std::ptrdiff_t>(at_), '\n'));
  counted_ = at_;
  Token token{.begin = at_, .line = line_};
  if (at_ >= source_.size()) return token;
  const char c = source_[at_];
  if (IsWord(c)) {
    token.kind = Token::Kind::kWord;
    while (at_ < source_.size() && IsWord(source_[at_])) ++at_;
  } else if (c == '"' || c == '\'') {
    token.kind = Token::Kind::kString;
    SkipQuoted(c);
  } else if (const int level = LongLevel(at_); level >= 0) {
    token.kind = Token::Kind::kString;
    SkipLong(level);
  } else {
    token.kind = Token::Kind::kSymbol;
    while (at_ < source_.size() && source_[at_] == c && (c == '.' || c == ':'))
      ++at_;  // `..`, `::`
    at_ = std::max(at_, token.begin + 1);
  }
  token.text = source_.substr(token.begin, at_ - token.begin);
  return token;
}

void Tokens::SkipBlanks() {
  while (at_ < source_.size()) {
    if (IsBlank(source_[at_])) {
      ++at_;
    } else if (source_.substr(at_, 2) == "--") {
      at_ += 2;
      if (const int level = LongLevel(at_); level >= 0) {
        SkipLong(level);
      } else {
        at_ = std::min(source_.find('\n', at_), source_.size());
      }
    } else {
      return;
    }
  }
}

// The number of '=' in a long bracket that opens at `at`; -1 when none does.
int Tokens::LongLevel(size_t at) const {
  if (at >= source_.size() || source_[at] != '[') return -1;
  size_t end = at + 1;
  while (end < source_.size() && source_[end] == '=') ++end;
  return end < source_.size() && source_[end] == '[' ? static_cast<int>(end - at - 1) : -1;
}

void Tokens::SkipLong(int level) {
  const std::string close = "]" + std::string(static_cast<size_t>(level), '=') + "]";
  const size_t end = source_.find(close, at_);
  at_ = end == std::string_view::npos ? source_.size() : end + close.size();
}

// A line's end ends it too, unless a backslash stands before it; after \z blanks are skipped.
void Tokens::SkipQuoted(char quote) {
  for (++at_; at_ < source_.size() && source_[at_] != quote && source_[at_] != '\n'; ++at_) {
    if (source_[at_] != '\\' || ++at_ >= source_.size() || source_[at_] != 'z') continue;
    while (at_ + 1 < source_.size() && IsBlank(source_[at_ + 1])) ++at_;
  }
  at_ = std::min(at_ + 1, source_.size());
}

std::string_view Content(const Token& token) {
  size_t edge = 1;
  if (token.text.starts_with('[')) edge = token.text.find('[', 1) + 1;
  return token.text.size() < 2 * edge ? std::string_view()
                                      : token.text.substr(edge, token.text.size() - 2 * edge);
}

}  // namespace autoscale
