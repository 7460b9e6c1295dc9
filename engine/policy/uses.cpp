#include "engine/policy/uses.h"

#include <algorithm>
#include <array>
#include <set>

#include "engine/policy/tokens.h"

namespace autoscale {
namespace {

constexpr std::array<std::string_view, 21> kKeywords = {
    "and",   "break", "do",  "else", "elseif", "end",    "false", "for",  "function", "if",   "in",
    "local", "nil",   "not", "or",   "repeat", "return", "then",  "true", "until",    "while"};

constexpr std::string_view kGlobals[] = {
    "assert",   "bit",      "capacity", "error",   "hold",  "ipairs", "local_time", "math",
    "metric",   "next",     "now",      "pairs",   "param", "pcall",  "require",    "scale_down",
    "scale_to", "scale_up", "select",   "service", "state", "string", "table",      "threshold",
    "time_at",  "tonumber", "tostring", "track",   "type",  "unpack"};

bool IsKeyword(std::string_view word) {
  return std::find(kKeywords.begin(), kKeywords.end(), word) != kKeywords.end();
}

class Finder {
 public:
  explicit Finder(std::string_view source) {
    Tokens tokens(source);
    for (Token token = tokens.Next(); token.kind != Token::Kind::kEnd; token = tokens.Next()) {
      tokens_.push_back(token);
    }
  }

  PolicyUses Run() {
    for (size_t i = 0; i < tokens_.size(); ++i) CollectLocals(i);
    for (size_t i = 0; i < tokens_.size(); ++i) {
      Nest(i);
      if (IsWord(i, "metric")) FindCall(i, uses_.metrics, uses_.metrics_computed);
      if (IsWord(i, "param")) FindCall(i, uses_.params, uses_.params_computed);
      FindAssignment(i);
      FindRead(i);
    }
    RemoveAssigned();
    return std::move(uses_);
  }

 private:
  [[nodiscard]] bool IsWord(size_t i, std::string_view text) const {
    return i < tokens_.size() && tokens_[i].kind == Token::Kind::kWord && tokens_[i].text == text;
  }
  [[nodiscard]] bool IsName(size_t i) const {
    return i < tokens_.size() && tokens_[i].kind == Token::Kind::kWord &&
           !IsKeyword(tokens_[i].text) && (tokens_[i].text[0] < '0' || tokens_[i].text[0] > '9');
  }
  [[nodiscard]] bool IsSymbol(size_t i, std::string_view text) const {
    return i < tokens_.size() && tokens_[i].kind == Token::Kind::kSymbol && tokens_[i].text == text;
  }
  [[nodiscard]] bool IsString(size_t i) const {
    return i < tokens_.size() && tokens_[i].kind == Token::Kind::kString;
  }
  // `x.name` and `x:name` are no names of ours.
  [[nodiscard]] bool IsField(size_t i) const {
    return i > 0 && (IsSymbol(i - 1, ".") || IsSymbol(i - 1, ":"));
  }

  // Names that are local somewhere count as local everywhere: a doubt less is better than a false
  // one.
  void CollectLocals(size_t i) {
    if (IsField(i)) return;
    if (IsWord(i, "local")) return CollectList(IsWord(i + 1, "function") ? i + 2 : i + 1);
    if (IsWord(i, "for")) return CollectList(i + 1);
    if (!IsWord(i, "function")) return;
    size_t at = i + 1;
    while (IsName(at) || IsSymbol(at, ".") || IsSymbol(at, ":")) ++at;
    if (IsSymbol(at, "(")) CollectList(at + 1);
  }
  void CollectList(size_t at) {
    for (; IsName(at); at += 2) {
      locals_.insert(tokens_[at].text);
      if (!IsSymbol(at + 1, ",")) return;
    }
  }

  // What is open where the token stands: '{' for a table, 'b' for a block, '(' for the rest.
  void Nest(size_t i) {
    const auto is_any = [&](std::initializer_list<std::string_view> words) {
      return std::any_of(words.begin(), words.end(),
                         [&](std::string_view word) { return IsWord(i, word); });
    };
    if (IsField(i)) return;
    if (is_any({"function", "if", "do", "repeat"})) {
      open_.push_back('b');
    } else if (IsSymbol(i, "{") || IsSymbol(i, "(") || IsSymbol(i, "[")) {
      open_.push_back(tokens_[i].text[0]);
    } else if (is_any({"end", "until"}) || IsSymbol(i, "}") || IsSymbol(i, ")") ||
               IsSymbol(i, "]")) {
      if (!open_.empty()) open_.pop_back();
    }
  }

  // metric "cpu", metric("cpu"), param("target", 0.6)
  void FindCall(size_t i, std::vector<NamedUse>& found, bool& computed) {
    if (IsField(i) || (i > 0 && IsWord(i - 1, "function"))) return;
    const bool bracket = IsSymbol(i + 1, "(");
    const size_t name = bracket ? i + 2 : i + 1;
    if (!IsString(name)) {
      // As a value (`pcall(metric, name)`) it may name anything; a local of that name may not.
      if (bracket || !locals_.contains(tokens_[i].text)) computed = true;
      return;
    }
    if (bracket && !IsSymbol(name + 1, ")") && !IsSymbol(name + 1, ",")) {
      computed = true;
      return;
    }
    found.push_back({.name = std::string(Content(tokens_[name])),
                     .line = tokens_[i].line,
                     .needed = !(bracket && IsSymbol(name + 1, ","))});
  }

  // NAME {, NAME} = ..., outside of a table
  void FindAssignment(size_t i) {
    if (!IsName(i) || !IsSymbol(i + 1, "=") || IsEquality(i + 1)) return;
    if (!open_.empty() && open_.back() != 'b') return;
    for (size_t at = i;; at -= 2) {
      if (!IsName(at) || IsField(at)) return;
      const std::string_view name = tokens_[at].text;
      if (name != "state" && !locals_.contains(name)) {
        uses_.globals.push_back({.name = std::string(name), .line = tokens_[at].line});
      }
      if (at < 2 || !IsSymbol(at - 1, ",")) return;
    }
  }

  // A name that stands for a value: no field, no key of a table, no label.
  void FindRead(size_t i) {
    if (!IsName(i) || IsField(i) || IsWord(i, "goto") || IsWord(i, "self")) return;
    const bool label = IsSymbol(i - 1, "::") || IsWord(i - 1, "goto");
    if (i > 0 && (label || IsWord(i - 1, "function"))) return;
    const std::string_view name = tokens_[i].text;
    if (IsSymbol(i + 1, "=") && !IsEquality(i + 1)) return;
    if (locals_.contains(name) || !seen_.insert(name).second) return;
    if (std::find(std::begin(kGlobals), std::end(kGlobals), name) != std::end(kGlobals)) return;
    uses_.unknown.push_back({.name = std::string(name), .line = tokens_[i].line});
  }
  // What is given a value somewhere was told as that.
  void RemoveAssigned() {
    std::set<std::string_view> known;
    for (const NamedUse& use : uses_.globals) known.insert(use.name);
    for (size_t i = 1; i < tokens_.size(); ++i) {
      if (IsWord(i - 1, "function") && IsName(i)) known.insert(tokens_[i].text);
    }
    std::erase_if(uses_.unknown, [&](const NamedUse& use) { return known.contains(use.name); });
  }

  [[nodiscard]] bool IsEquality(size_t i) const {
    return IsSymbol(i + 1, "=") && tokens_[i + 1].begin == tokens_[i].end();
  }

  std::vector<Token> tokens_;
  std::set<std::string_view> locals_, seen_;
  std::vector<char> open_;
  PolicyUses uses_;
};

}  // namespace

std::span<const std::string_view> GlobalNames() { return kGlobals; }

PolicyUses FindUses(std::string_view source) { return Finder(source).Run(); }

std::string DescribeGlobal(const std::string& name) {
  return "'" + name + "' is a global, which is gone after the evaluation: write local " + name +
         ", or state." + name + " for what is to be kept";
}

}  // namespace autoscale
