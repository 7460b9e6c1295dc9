#include "engine/policy/modules.h"

#include <algorithm>

#include "engine/policy/tokens.h"

namespace autoscale {
namespace {

constexpr size_t kMaxName =
    50;  // so that Lua's messages, which have room for 59, show its file whole

// FNV-1a, 64 bits.
class Hash {
 public:
  void Add(std::string_view text) {
    for (const char c : text) Add(c);
  }
  void Add(char c) { value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u; }
  [[nodiscard]] uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

bool IsSymbol(const Token& token, std::string_view text) {
  return token.kind == Token::Kind::kSymbol && token.text == text;
}

}  // namespace

Requirements FindRequirements(std::string_view source) {
  Requirements out;
  Tokens tokens(source);
  Token before;
  for (Token token = tokens.Next(); token.kind != Token::Kind::kEnd;) {
    // A field or a method of that name is none of ours.
    const bool ours = token.kind == Token::Kind::kWord && token.text == "require" &&
                      !IsSymbol(before, ".") && !IsSymbol(before, ":");
    before = token;
    token = tokens.Next();
    if (!ours) continue;
    const int line = before.line;
    const bool bracket = IsSymbol(token, "(");
    if (bracket) token = tokens.Next();
    const Token name = token;
    if (bracket && name.kind == Token::Kind::kString) token = tokens.Next();
    if (name.kind == Token::Kind::kString && (!bracket || IsSymbol(token, ")"))) {
      out.found.push_back({std::string(Content(name)), line});
    } else if (out.unclear_line == 0) {
      out.unclear_line = line;
    }
  }
  return out;
}

bool IsModuleName(std::string_view name) {
  if (name.empty() || name.size() > kMaxName || name.front() == '.' || name.back() == '.') {
    return false;
  }
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return name.find("..") == std::string_view::npos && std::all_of(name.begin(), name.end(), fits);
}

std::string ModuleFile(std::string_view name) {
  std::string file(name);
  std::replace(file.begin(), file.end(), '.', '/');
  return file + ".lua";
}

uint64_t HashBundle(std::string_view text, const PolicyModules& modules) {
  Hash hash;
  hash.Add(text);
  for (const auto& module : modules) {
    for (const std::string& part : {module->name, module->text}) {
      hash.Add('\0');
      hash.Add(std::to_string(part.size()));
      hash.Add(':');
      hash.Add(part);
    }
  }
  return hash.value();
}

std::string WithWholePath(const PolicySource& source, const std::string& message) {
  const auto begins_with = [&](const std::string& file) { return message.starts_with(file + ":"); };
  const std::string file = source.path.substr(source.path.rfind('/') + 1);
  if (begins_with(file)) return source.path + message.substr(file.size());
  for (const auto& module : source.modules) {
    const std::string its = ModuleFile(module->name);
    if (begins_with(its)) return module->path + message.substr(its.size());
  }
  return message;
}

}  // namespace autoscale
