// Section: strict reading of one YAML mapping. Every fault is collected as "file:line: message" and
// reading goes on, so that a user sees all of them at once.
//
// Used by the loader and by each provider and gateway for its own part of the file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/model/result.h"
#include "engine/model/time.h"

namespace YAML {
class Node;
}

namespace autoscale {

struct Diagnostic {
  enum class Severity { kError, kWarning };
  Severity severity = Severity::kError;
  std::string file;
  int line = 0;  // 1-based; 0: the whole file
  std::string message;
};
std::string ToString(
    const Diagnostic& diagnostic);  // "file:line: message" / "file:line: warning: message"

// A secret is never written in the configuration: only where it is to be found.
struct SecretRef {
  enum class From { kFile, kEnvironment };
  From from = From::kFile;
  std::string name;  // absolute path, or the variable's name
};
// Reads the secret, without its trailing newline. Blocks on a file read.
Result<std::string> ReadSecret(const SecretRef& ref);

// "250ms", "15s", "5m", "1h30m", "2d"; never a bare number. Error: a sentence that shows the form.
Result<Millis> ParseDuration(std::string_view text);
std::string FormatDuration(Millis d);  // such text, largest units first: "1m30s", "1500ms", "0s"

inline constexpr size_t kMaxSocketPath = 107;  // bytes; sockaddr_un has a NUL more

// "512", "16KiB", "64MiB", "2GiB": bytes. Error: a sentence that shows the form.
Result<int64_t> ParseBytes(std::string_view text);

struct DurationRange {
  Millis min{0};
  Millis max{std::chrono::hours(24 * 365)};
};
struct IntRange {
  int64_t min = 0;
  int64_t max = INT32_MAX;
};
struct DoubleRange {
  double min = -1e300;
  double max = 1e300;
};

class Section {
 public:
  // Cheap to copy; all copies and children report into `diagnostics`, which outlives them.
  // `file` is shown in messages; relative paths resolve against its folder.
  Section(std::string file, const YAML::Node& node, std::string path,
          std::vector<Diagnostic>* diagnostics);
  Section(const Section&);
  Section(Section&&) noexcept;
  ~Section();

  [[nodiscard]] bool Has(std::string_view key) const;
  // Keys in the file's order.
  [[nodiscard]] std::vector<std::string> Keys() const;

  // Each reads one key and marks it as known. Absent: the fallback, or for the Required ones a
  // fault. Of the wrong type or outside the range: a fault, and the fallback.
  std::string String(std::string_view key, const std::string& fallback = {});
  std::string RequiredString(std::string_view key);
  int64_t Int(std::string_view key, int64_t fallback, IntRange range = {});
  int64_t RequiredInt(std::string_view key, IntRange range = {});
  double Double(std::string_view key, double fallback, DoubleRange range = {});
  std::optional<double> OptionalDouble(std::string_view key, DoubleRange range = {});
  bool Bool(std::string_view key, bool fallback);
  Millis Duration(std::string_view key, Millis fallback, DurationRange range = {});
  int64_t Bytes(std::string_view key, int64_t fallback, IntRange range = {1, INT64_MAX});
  // One of `choices` ({text, value} by position); answers the position.
  size_t Choice(std::string_view key, size_t fallback, const std::vector<std::string>& choices);
  std::vector<std::string> Strings(std::string_view key);  // a list of strings; absent: empty
  std::string Path(std::string_view key, const std::string& fallback = {});  // made absolute
  // Whether a unix socket may have the path; a fault of the key where not.
  bool FitsSocket(std::string_view key, const std::string& path);
  std::optional<SecretRef> Secret(std::string_view key);  // {file: path} or {env: NAME}
  std::optional<Section> Child(std::string_view key);     // a mapping
  std::vector<Section> Children(std::string_view key);    // a list of mappings
  // A mapping of names to scalars, kept as written: {name, text}.
  std::vector<std::pair<std::string, std::string>> StringMap(std::string_view key);
  // The value itself, for keys that take more than one form; absent: an undefined node.
  YAML::Node Raw(std::string_view key);

  // Reports every key that was never asked for ("unknown key 'pots'; did you mean 'ports'?").
  // Call it last; children check themselves. Calling it again reports nothing more.
  void Finish();

  // Reports a fault at the key's line (or at the section's own when key is empty or absent).
  void Fault(std::string_view key, std::string message);
  void Warn(std::string_view key, std::string message);
  [[nodiscard]] int Line(std::string_view key = {}) const;
  [[nodiscard]] const std::string& file() const;
  [[nodiscard]] const YAML::Node& node() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace autoscale
