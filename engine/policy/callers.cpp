#include "engine/policy/callers.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "engine/policy/tokens.h"

namespace autoscale {
namespace {

// They give exactly one value, so that the parentheses change nothing but the kind of call.
constexpr std::string_view kFunctions[] = {"hold",  "scale_up",  "scale_down", "scale_to",
                                           "track", "threshold", "error"};

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

class Scanner {
 public:
  explicit Scanner(std::string_view source) : tokens_(source) {}

  // (position, bracket) to insert, in order of position.
  std::vector<std::pair<size_t, char>> Run() {
    for (;;) {
      const Token token = tokens_.Next();
      if (EndsReturn(token)) EndReturn();
      if (token.kind == Token::Kind::kEnd) break;
      if (return_ && !return_->begin) return_->begin = token.begin;
      if (token.kind == Token::Kind::kWord) {
        Word(token);
      } else if (token.kind == Token::Kind::kString) {
        // `hold "text"` and `hold [[text]]` are calls too.
        if (expect_ == Expect::kCall) Wrap(name_begin_, token.end());
        expect_ = Expect::kNothing;
      } else {
        Symbol(token);
      }
      last_end_ = token.end();
    }
    std::sort(inserts_.begin(), inserts_.end());
    return std::move(inserts_);
  }

 private:
  enum class Expect { kNothing, kName, kCall };
  struct Open {
    size_t depth;       // of brackets where the call began
    size_t name_begin;  // where its opening parenthesis goes
  };
  // A `return` of the file's own body, up to the end of its block.
  struct Return {
    std::optional<size_t> begin = {};  // of what is returned
    size_t blocks = 0, depth = 0;
    bool several = false;
  };

  [[nodiscard]] bool EndsReturn(const Token& token) const {
    if (!return_ || blocks_.size() != return_->blocks || depth_ != return_->depth) return false;
    return token.kind == Token::Kind::kEnd || token.text == ";" ||
           (token.kind == Token::Kind::kWord &&
            IsOneOf(token.text, {"end", "else", "elseif", "until"}));
  }

  void EndReturn() {
    if (return_->begin && !return_->several) Wrap(*return_->begin, last_end_);
    return_.reset();
  }

  void Word(const Token& token) {
    const std::string_view word = token.text;
    const bool ours =
        std::find(std::begin(kFunctions), std::end(kFunctions), word) != std::end(kFunctions);
    if (expect_ == Expect::kName && ours) {
      expect_ = Expect::kCall;
      name_begin_ = token.begin;
      return;
    }
    expect_ = Expect::kNothing;
    if (IsOneOf(word, {"function", "if", "do", "repeat"})) {
      blocks_.push_back(word == "function");
      functions_ += word == "function" ? 1 : 0;
    } else if (IsOneOf(word, {"end", "until"}) && !blocks_.empty()) {
      functions_ -= blocks_.back() ? 1 : 0;
      blocks_.pop_back();
    } else if (word == "return") {
      if (functions_ > 0) {
        expect_ = Expect::kName;
      } else {
        return_ = Return{.blocks = blocks_.size(), .depth = depth_};
      }
    }
  }

  void Symbol(const Token& token) {
    const char c = token.text[0];
    if (c == '(' || c == '{' || c == '[') {
      if (c == '(' && expect_ == Expect::kCall) open_.push_back({depth_, name_begin_});
      ++depth_;
    } else if ((c == ')' || c == '}' || c == ']') && depth_ > 0) {
      --depth_;
      if (!open_.empty() && open_.back().depth == depth_) {
        Wrap(open_.back().name_begin, token.end());
        open_.pop_back();
      }
    } else if (c == ',' && return_ && depth_ == return_->depth &&
               blocks_.size() == return_->blocks) {
      return_->several = true;
    }
    expect_ = Expect::kNothing;
  }

  void Wrap(size_t begin, size_t end) {
    inserts_.emplace_back(begin, '(');
    inserts_.emplace_back(end, ')');
  }

  Tokens tokens_;
  size_t depth_ = 0, name_begin_ = 0, last_end_ = 0;
  Expect expect_ = Expect::kNothing;
  std::vector<bool> blocks_;  // that are open; true: a function's body
  int functions_ = 0;
  std::optional<Return> return_;
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
