#include "engine/policy/callers.h"

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

namespace autoscale {
namespace {

// They give exactly one value, so that the parentheses change nothing but the kind of call.
constexpr std::string_view kFunctions[] = {"hold",  "scale_up",  "scale_down", "scale_to",
                                           "track", "threshold", "error"};

bool IsWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

class Scanner {
 public:
  explicit Scanner(std::string_view source) : source_(source) {}

  // (position, bracket) to insert, in order of position.
  std::vector<std::pair<size_t, char>> Run() {
    while (at_ < source_.size()) Step();
    std::sort(inserts_.begin(), inserts_.end());
    return std::move(inserts_);
  }

 private:
  enum class Expect { kNothing, kName, kCall };
  struct Open {
    size_t depth;       // of brackets where the call began
    size_t name_begin;  // where its opening parenthesis goes
  };

  void Step() {
    const char c = source_[at_];
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++at_;
    } else if (source_.substr(at_, 2) == "--") {
      SkipComment();
    } else if (IsWord(c)) {
      Word();
    } else if (c == '"' || c == '\'' || LongLevel(at_) >= 0) {
      String(c);
    } else {
      Symbol(c);
    }
  }

  void Word() {
    const size_t begin = at_;
    while (at_ < source_.size() && IsWord(source_[at_])) ++at_;
    const std::string_view word = source_.substr(begin, at_ - begin);
    const bool ours =
        std::find(std::begin(kFunctions), std::end(kFunctions), word) != std::end(kFunctions);
    if (expect_ == Expect::kName && ours) {
      expect_ = Expect::kCall;
      name_begin_ = begin;
    } else {
      expect_ = word == "return" ? Expect::kName : Expect::kNothing;
    }
  }

  void Symbol(char c) {
    ++at_;
    if (c == '(' || c == '{' || c == '[') {
      if (c == '(' && expect_ == Expect::kCall) open_.push_back({depth_, name_begin_});
      ++depth_;
    } else if ((c == ')' || c == '}' || c == ']') && depth_ > 0) {
      --depth_;
      if (!open_.empty() && open_.back().depth == depth_) {
        Wrap(open_.back().name_begin);
        open_.pop_back();
      }
    }
    expect_ = Expect::kNothing;
  }

  // `hold "text"` and `hold [[text]]` are calls too.
  void String(char quote) {
    const bool call = expect_ == Expect::kCall;
    if (quote == '[') {
      SkipLong(LongLevel(at_));
    } else {
      for (++at_; at_ < source_.size() && source_[at_] != quote; ++at_) {
        if (source_[at_] == '\\') ++at_;
      }
      at_ = std::min(at_ + 1, source_.size());
    }
    if (call) Wrap(name_begin_);
    expect_ = Expect::kNothing;
  }

  void Wrap(size_t begin) {
    inserts_.emplace_back(begin, '(');
    inserts_.emplace_back(at_, ')');
  }

  // The number of '=' in a long bracket that opens at `at`; -1 when none does.
  [[nodiscard]] int LongLevel(size_t at) const {
    if (at >= source_.size() || source_[at] != '[') return -1;
    size_t end = at + 1;
    while (end < source_.size() && source_[end] == '=') ++end;
    return end < source_.size() && source_[end] == '[' ? static_cast<int>(end - at - 1) : -1;
  }

  void SkipLong(int level) {
    const std::string close = "]" + std::string(static_cast<size_t>(level), '=') + "]";
    const size_t end = source_.find(close, at_);
    at_ = end == std::string_view::npos ? source_.size() : end + close.size();
  }

  void SkipComment() {
    at_ += 2;
    if (const int level = LongLevel(at_); level >= 0) {
      SkipLong(level);
    } else {
      at_ = std::min(source_.find('\n', at_), source_.size());
    }
  }

  const std::string_view source_;
  size_t at_ = 0, depth_ = 0, name_begin_ = 0;
  Expect expect_ = Expect::kNothing;
  std::vector<Open> open_;
  std::vector<std::pair<size_t, char>> inserts_;
};

}  // namespace

std::string KeepCallers(std::string_view source) {
  std::string out;
  out.reserve(source.size() + 16);
  size_t copied = 0;
  for (const auto& [position, bracket] : Scanner(source).Run()) {
    out.append(source.substr(copied, position - copied)).push_back(bracket);
    copied = position;
  }
  return out.append(source.substr(copied));
}

}  // namespace autoscale
