#include "config/section.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>

#include "config/scalar.h"

namespace autoscale {
namespace {

constexpr size_t kQuotedLength = 60;  // of a value, in a message

int LineOf(const YAML::Node& node) { return node.Mark().line + 1; }

// Quotes make text of what looks like a number: yaml-cpp tags what was written without them "?".
bool IsPlain(const YAML::Node& node) { return node.Tag() == "?"; }

std::string Shortened(const std::string& text) {
  return text.size() <= kQuotedLength ? text : text.substr(0, kQuotedLength) + "...";
}

// What stands there instead, for "must be ..., not ...".
std::string Describe(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a mapping";
    case YAML::NodeType::Scalar:
      return IsPlain(node) ? "'" + Shortened(node.Scalar()) + "'"
                           : "the quoted text \"" + Shortened(node.Scalar()) + "\"";
    default:
      return "nothing";
  }
}

bool IsVariableName(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

}  // namespace

std::string ToString(const Diagnostic& diagnostic) {
  std::string text = diagnostic.file;
  if (diagnostic.line > 0) text += ":" + std::to_string(diagnostic.line);
  text += diagnostic.severity == Diagnostic::Severity::kWarning ? ": warning: " : ": ";
  return text + diagnostic.message;
}

struct Section::State {
  struct Entry {
    std::string key;
    int line = 0;
    YAML::Node value;
    bool asked = false;
  };

  std::string file;
  YAML::Node node;
  std::string path;
  std::vector<Diagnostic>* diagnostics = nullptr;
  int line = 0;
  std::vector<Entry> entries;
  std::vector<std::string> known;  // every key asked for, present or not
  bool finished = false;

  [[nodiscard]] const Entry* Find(std::string_view key) const {
    for (const Entry& entry : entries) {
      if (entry.key == key) return &entry;
    }
    return nullptr;
  }

  // As Find, and the key is known from now on.
  Entry* Ask(std::string_view key) {
    if (std::find(known.begin(), known.end(), key) == known.end()) known.emplace_back(key);
    for (Entry& entry : entries) {
      if (entry.key != key) continue;
      entry.asked = true;
      return &entry;
    }
    return nullptr;
  }

  [[nodiscard]] std::string Name(std::string_view key) const {
    return path.empty() ? std::string(key) : path + "." + std::string(key);
  }

  void Report(Diagnostic::Severity severity, int at, std::string message) const {
    diagnostics->push_back({severity, file, at, std::move(message)});
  }
  void Error(int at, std::string message) const {
    Report(Diagnostic::Severity::kError, at, std::move(message));
  }

  // "'provider.ports' must be a whole number, not 'x'".
  void WrongType(const Entry& entry, const std::string& expected) const {
    if (entry.value.IsNull()) {
      return Error(entry.line, "'" + Name(entry.key) + "' has no value; give it " + expected +
                                   " or remove the key");
    }
    Error(entry.line,
          "'" + Name(entry.key) + "' must be " + expected + ", not " + Describe(entry.value));
  }

  void Unparsed(const Entry& entry, const autoscale::Error& error) const {
    Error(entry.line,
          "'" + Name(entry.key) + "': " + error.message + ", not " + Describe(entry.value));
  }

  // The key's scalar, or null after reporting any other thing found there.
  const Entry* Scalar(std::string_view key, const std::string& expected, bool quotes_allowed) {
    const Entry* entry = Ask(key);
    if (entry == nullptr) return nullptr;
    if (entry->value.IsScalar() && (quotes_allowed || IsPlain(entry->value))) return entry;
    WrongType(*entry, expected);
    return nullptr;
  }

  template <typename T, typename Format>
  bool InRange(const Entry& entry, T value, T min, T max, Format format) const {
    if (value >= min && value <= max) return true;
    Error(entry.line, "'" + Name(entry.key) + "' must be " +
                          (value < min ? "at least " + format(min) : "at most " + format(max)) +
                          ", not " + format(value));
    return false;
  }

  // Reads a number by `parse`, reports what does not parse or lies outside the range.
  template <typename T, typename Range, typename Parse, typename Format>
  std::optional<T> Number(std::string_view key, Range range, const std::string& expected,
                          Parse parse, Format format) {
    const Entry* entry = Scalar(key, expected, false);
    if (entry == nullptr) return std::nullopt;
    const std::optional<T> value = parse(entry->value.Scalar());
    if (!value) {
      WrongType(*entry, expected);
      return std::nullopt;
    }
    if (InRange<T>(*entry, *value, range.min, range.max, format)) return value;
    return std::nullopt;
  }

  std::optional<int64_t> Whole(std::string_view key, IntRange range) {
    return Number<int64_t>(key, range, "a whole number", ParseInt,
                           [](int64_t value) { return std::to_string(value); });
  }

  bool Require(std::string_view key) {
    if (Find(key) != nullptr) return true;
    Ask(key);
    Error(line, "'" + Name(key) + "' is missing");
    return false;
  }
};

Section::Section(std::string file, const YAML::Node& node, std::string path,
                 std::vector<Diagnostic>* diagnostics)
    : state_(std::make_shared<State>()) {
  state_->file = std::move(file);
  state_->path = std::move(path);
  state_->diagnostics = diagnostics;
  if (!node.IsDefined()) return;
  state_->node.reset(node);
  state_->line = LineOf(node);
  if (!node.IsMap()) {
    state_->Error(state_->line, (state_->path.empty() ? "this" : "'" + state_->path + "'") +
                                    " must be a mapping, not " + Describe(node));
    return;
  }
  state_->entries.reserve(node.size());
  for (const auto& pair : node) {
    // Keys that are no text, given twice or merged were reported when the file was parsed.
    if (!pair.first.IsScalar() || pair.first.Scalar() == "<<") continue;
    if (state_->Find(pair.first.Scalar()) != nullptr) continue;
    state_->entries.push_back({pair.first.Scalar(), LineOf(pair.first), pair.second});
  }
}

Section::Section(const Section&) = default;
Section::Section(Section&&) noexcept = default;
Section::~Section() = default;

bool Section::Has(std::string_view key) const { return state_->Find(key) != nullptr; }

std::vector<std::string> Section::Keys() const {
  std::vector<std::string> keys;
  keys.reserve(state_->entries.size());
  for (const State::Entry& entry : state_->entries) keys.push_back(entry.key);
  return keys;
}

std::string Section::String(std::string_view key, const std::string& fallback) {
  const State::Entry* entry = state_->Scalar(key, "text", true);
  return entry == nullptr ? fallback : entry->value.Scalar();
}

std::string Section::RequiredString(std::string_view key) {
  if (!state_->Require(key)) return {};
  const State::Entry* entry = state_->Scalar(key, "text", true);
  if (entry == nullptr) return {};
  if (entry->value.Scalar().empty()) {
    state_->Error(entry->line, "'" + state_->Name(key) + "' must not be empty");
  }
  return entry->value.Scalar();
}

int64_t Section::Int(std::string_view key, int64_t fallback, IntRange range) {
  return state_->Whole(key, range).value_or(fallback);
}

int64_t Section::RequiredInt(std::string_view key, IntRange range) {
  return state_->Require(key) ? state_->Whole(key, range).value_or(range.min) : range.min;
}

double Section::Double(std::string_view key, double fallback, DoubleRange range) {
  return OptionalDouble(key, range).value_or(fallback);
}

std::optional<double> Section::OptionalDouble(std::string_view key, DoubleRange range) {
  return state_->Number<double>(key, range, "a number", ParseDouble, FormatNumber);
}

bool Section::Bool(std::string_view key, bool fallback) {
  const std::string expected = "true or false";
  const State::Entry* entry = state_->Scalar(key, expected, false);
  if (entry == nullptr) return fallback;
  const std::optional<bool> value = ParseBool(entry->value.Scalar());
  if (!value) state_->WrongType(*entry, expected);
  return value.value_or(fallback);
}

Millis Section::Duration(std::string_view key, Millis fallback, DurationRange range) {
  const State::Entry* entry = state_->Scalar(key, "a duration such as 250ms, 15s or 1h30m", true);
  if (entry == nullptr) return fallback;
  const Result<Millis> value = ParseDuration(entry->value.Scalar());
  if (!value.ok()) {
    state_->Unparsed(*entry, value.error());
    return fallback;
  }
  return state_->InRange(*entry, *value, range.min, range.max, FormatDuration) ? *value : fallback;
}

int64_t Section::Bytes(std::string_view key, int64_t fallback, IntRange range) {
  const State::Entry* entry = state_->Scalar(key, "a size such as 16KiB or 64MiB", true);
  if (entry == nullptr) return fallback;
  const Result<int64_t> value = ParseBytes(entry->value.Scalar());
  if (!value.ok()) {
    state_->Unparsed(*entry, value.error());
    return fallback;
  }
  return state_->InRange(*entry, *value, range.min, range.max, FormatBytes) ? *value : fallback;
}

size_t Section::Choice(std::string_view key, size_t fallback,
                       const std::vector<std::string>& choices) {
  const std::string expected = JoinOr(choices);
  const State::Entry* entry = state_->Scalar(key, expected, true);
  if (entry == nullptr) return fallback;
  const std::string& text = entry->value.Scalar();
  const auto found = std::find(choices.begin(), choices.end(), text);
  if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  state_->Error(entry->line, "'" + state_->Name(key) + "' must be " + expected + ", not " +
                                 Describe(entry->value) + DidYouMean(text, choices));
  return fallback;
}

std::vector<std::string> Section::Strings(std::string_view key) {
  const State::Entry* entry = state_->Ask(key);
  if (entry == nullptr) return {};
  if (!entry->value.IsSequence()) {
    state_->WrongType(*entry, "a list");
    return {};
  }
  std::vector<std::string> strings;
  for (const auto& item : entry->value) {
    if (item.IsScalar()) {
      strings.push_back(item.Scalar());
    } else {
      state_->Error(LineOf(item),
                    "each item of '" + state_->Name(key) + "' must be text, not " + Describe(item));
    }
  }
  return strings;
}

std::string Section::Path(std::string_view key, const std::string& fallback) {
  const State::Entry* entry = state_->Scalar(key, "a path", true);
  if (entry != nullptr && entry->value.Scalar().empty()) {
    state_->Error(entry->line, "'" + state_->Name(key) + "' must not be empty");
    entry = nullptr;
  }
  const std::string path = entry == nullptr ? fallback : entry->value.Scalar();
  if (path.empty()) return {};
  std::error_code error;
  const auto file = std::filesystem::absolute(state_->file, error);
  return (file.parent_path() / path).lexically_normal().string();
}

bool Section::FitsSocket(std::string_view key, const std::string& path) {
  if (path.size() <= kMaxSocketPath) return true;
  Fault(key, "the socket's path " + path + " is longer than " + std::to_string(kMaxSocketPath) +
                 " bytes, which is all that a unix socket may have");
  return false;
}

std::optional<SecretRef> Section::Secret(std::string_view key) {
  const State::Entry* entry = state_->Ask(key);
  if (entry == nullptr) return std::nullopt;
  // No message may repeat what is written here: it may be the secret.
  if (!entry->value.IsMap()) {
    state_->Error(entry->line, "'" + state_->Name(key) +
                                   "' is a secret and is never written here; write {file: PATH} or "
                                   "{env: NAME} to say where it is");
    return std::nullopt;
  }
  Section section = *Child(key);
  const std::string file = section.Path("file");
  const std::string variable = section.String("env");
  section.Finish();
  if (section.Has("file") == section.Has("env")) {
    state_->Error(entry->line,
                  "'" + state_->Name(key) + "' must be either {file: PATH} or {env: NAME}");
    return std::nullopt;
  }
  if (!file.empty()) return SecretRef{SecretRef::From::kFile, file};
  if (section.Has("file")) return std::nullopt;
  if (!IsVariableName(variable)) {
    state_->Error(entry->line, "'" + section.state_->Name("env") +
                                   "' must be the name of an environment variable "
                                   "(letters, digits and underscores)");
    return std::nullopt;
  }
  return SecretRef{SecretRef::From::kEnvironment, variable};
}

std::optional<Section> Section::Child(std::string_view key) {
  const State::Entry* entry = state_->Ask(key);
  if (entry == nullptr) return std::nullopt;
  if (!entry->value.IsMap()) {
    state_->WrongType(*entry, "a mapping");
    return std::nullopt;
  }
  Section child(state_->file, entry->value, state_->Name(key), state_->diagnostics);
  child.state_->line = entry->line;
  return child;
}

std::vector<Section> Section::Children(std::string_view key) {
  const State::Entry* entry = state_->Ask(key);
  if (entry == nullptr) return {};
  if (!entry->value.IsSequence()) {
    state_->WrongType(*entry, "a list");
    return {};
  }
  std::vector<Section> children;
  size_t index = 0;
  for (const auto& item : entry->value) {
    const std::string name = state_->Name(key) + "[" + std::to_string(index++) + "]";
    if (item.IsMap()) {
      children.emplace_back(state_->file, item, name, state_->diagnostics);
    } else {
      state_->Error(LineOf(item), "'" + name + "' must be a mapping, not " + Describe(item));
    }
  }
  return children;
}

std::vector<std::pair<std::string, std::string>> Section::StringMap(std::string_view key) {
  std::optional<Section> child = Child(key);
  if (!child) return {};
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const State::Entry& entry : child->state_->entries) {
    if (entry.value.IsScalar()) {
      pairs.emplace_back(entry.key, entry.value.Scalar());
    } else {
      child->state_->WrongType(entry, "text");
    }
  }
  return pairs;
}

YAML::Node Section::Raw(std::string_view key) {
  const State::Entry* entry = state_->Ask(key);
  return entry == nullptr ? YAML::Node(YAML::NodeType::Undefined) : entry->value;
}

void Section::Finish() {
  if (std::exchange(state_->finished, true)) return;
  for (const State::Entry& entry : state_->entries) {
    if (entry.asked) continue;
    std::string hint = DidYouMean(entry.key, state_->known);
    if (hint.empty() && !state_->known.empty()) hint = "; known here: " + Join(state_->known);
    state_->Error(entry.line, "unknown key '" + Shortened(entry.key) + "'" + hint);
  }
}

void Section::Fault(std::string_view key, std::string message) {
  state_->Error(Line(key), std::move(message));
}

void Section::Warn(std::string_view key, std::string message) {
  state_->Report(Diagnostic::Severity::kWarning, Line(key), std::move(message));
}

int Section::Line(std::string_view key) const {
  const State::Entry* entry = state_->Find(key);
  return entry == nullptr ? state_->line : entry->line;
}

const std::string& Section::file() const { return state_->file; }
const YAML::Node& Section::node() const { return state_->node; }

}  // namespace autoscale
