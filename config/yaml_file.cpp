#include "config/yaml_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <sstream>
#include <system_error>

namespace autoscale {
namespace {

// Four times what 10,000 services in one file need; the tree takes some eighty times as much.
constexpr size_t kMaxFileBytes = 16u << 20;
// Values in one file, each as often as anchors repeat it: a few lines of anchors stand for
// billions.
constexpr size_t kMaxValues = 1'000'000;
// Keys of one mapping: looking one up takes longer the more there are.
constexpr size_t kMaxKeys = 10'000;

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Error SystemError(int code) {
  return {code == ENOENT ? ErrorKind::kNotFound : ErrorKind::kUnavailable,
          std::generic_category().message(code)};
}

// yaml-cpp's words -> what to do about it.
std::string Explain(const std::string& message) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kHints = {{
      {"illegal map value", "a text that holds ': ' needs quotes, and indentation is by spaces"},
      {"illegal tab when looking for indentation", "indent with spaces"},
      {"end of map not found", "is a line indented differently from those above it?"},
      {"end of sequence not found", "is a line indented differently from those above it?"},
      {"end of map flow not found", "a '{' is not closed"},
      {"end of sequence flow not found", "a '[' is not closed"},
      {"illegal EOF in scalar", "a quote is opened and never closed"},
      {"unknown token", "a text that starts with %, @ or ` needs quotes"},
      {"the referenced anchor is not defined", "a text that starts with * needs quotes"},
  }};
  for (const auto& [words, hint] : kHints) {
    if (message == words) return message + " (" + std::string(hint) + ")";
  }
  return message;
}

// Walks the whole tree once. Aliases make it a graph, even a cyclic one, so collections are
// remembered by their place in the file.
class TreeCheck {
 public:
  TreeCheck(const std::string& file, std::vector<Diagnostic>* diagnostics)
      : file_(file), diagnostics_(diagnostics) {}

  // Reports keys that cannot be; false when the tree is too large to go on with.
  bool Check(const YAML::Node& root) {
    if (Visit(root) > kMaxValues) {
      Report(0, "the file holds more than " + std::to_string(kMaxValues) +
                    " values, counting what its anchors repeat; spread it over several files");
      return false;
    }
    return sound_;
  }

 private:
  // How many values it holds, itself included. A collection that holds itself counts once.
  size_t Visit(const YAML::Node& node) {
    if (!node.IsMap() && !node.IsSequence()) return 1;
    const auto [place, first] = sizes_.try_emplace({node.Mark().pos, node.IsMap()}, 1);
    if (!first) return place->second;
    size_t size = 1;
    if (node.IsSequence()) {
      for (const auto& item : node) size += Visit(item);
    } else {
      size += VisitMap(node);
    }
    place->second = std::min(size, kMaxValues + 1);
    return place->second;
  }

  size_t VisitMap(const YAML::Node& node) {
    if (node.size() > kMaxKeys) {
      Report(node.Mark().line + 1, "a mapping with " + std::to_string(node.size()) +
                                       " keys; at most " + std::to_string(kMaxKeys) + " are read");
      sound_ = false;
      return 0;
    }
    size_t size = 0;
    std::map<std::string_view, int> lines;
    for (const auto& pair : node) {
      VisitKey(pair.first, lines);
      size += Visit(pair.second);
    }
    return size;
  }

  void VisitKey(const YAML::Node& key, std::map<std::string_view, int>& lines) {
    const int line = key.Mark().line + 1;
    if (!key.IsScalar()) return Report(line, "a key must be text");
    if (key.Scalar() == "<<") {
      return Report(line, "merge keys ('<<') are not supported; write the keys out");
    }
    const auto [first, added] = lines.emplace(key.Scalar(), line);
    if (added) return;
    Report(line, "key '" + key.Scalar() + "' is given twice, first on line " +
                     std::to_string(first->second) + "; remove one");
  }

  void Report(int line, std::string message) {
    diagnostics_->push_back({Diagnostic::Severity::kError, file_, line, std::move(message)});
  }

  const std::string& file_;
  std::vector<Diagnostic>* diagnostics_;
  std::map<std::pair<int, bool>, size_t> sizes_;
  bool sound_ = true;
};

// Where the documents of a text begin. yaml-cpp 0.7 comes to a standstill before a ',' or another
// sign that can begin nothing, and makes documents of it without end.
class Documents final : public YAML::EventHandler {
 public:
  // The line, from 0, of what can begin nothing; absent: the text can be loaded. Throws
  // YAML::Exception.
  static std::optional<int> FindStandstill(const std::string& text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    Documents documents;
    while (parser.HandleNextDocument(documents)) {
      if (documents.stands_) return documents.last_.line;
    }
    return std::nullopt;
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    stands_ = mark.pos == last_.pos;
    last_ = mark;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  YAML::Mark last_ = YAML::Mark::null_mark();
  bool stands_ = false;
};

}  // namespace

Result<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  // O_NONBLOCK: a FIFO must not stop the start.
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat info {};
  if (file.fd < 0 || fstat(file.fd, &info) != 0) return SystemError(errno);
  if (S_ISDIR(info.st_mode)) return SystemError(EISDIR);
  if (!S_ISREG(info.st_mode)) return Error{ErrorKind::kInvalid, "it is not a regular file"};
  std::string text;
  text.resize(std::min(static_cast<size_t>(info.st_size), max_bytes) + 1);
  size_t size = 0;
  // One byte of room is always left, so that a file that grew meanwhile is noticed as too large.
  while (size < text.size()) {
    const ssize_t count = read(file.fd, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError(errno);
    if (count == 0) break;
    size += static_cast<size_t>(count);
    if (size == text.size() && size <= max_bytes) text.resize(std::min(2 * size, max_bytes + 1));
  }
  if (size > max_bytes) {
    return Error{ErrorKind::kInvalid,
                 "it is larger than the " + std::to_string(max_bytes) + " bytes allowed"};
  }
  text.resize(size);
  return text;
}

std::optional<Section> ReadYamlFile(const std::string& path, std::vector<Diagnostic>* diagnostics) {
  Result<std::string> text = ReadFile(path, kMaxFileBytes);
  if (text.ok()) return ReadYamlText(path, std::move(text).value(), diagnostics);
  diagnostics->push_back(
      {Diagnostic::Severity::kError, path, 0, "cannot read the file: " + text.error().message});
  return std::nullopt;
}

std::optional<Section> ReadYamlText(const std::string& path, std::string text,
                                    std::vector<Diagnostic>* diagnostics) {
  const auto fault = [&](int line, std::string message) {
    diagnostics->push_back({Diagnostic::Severity::kError, path, line, std::move(message)});
    return std::nullopt;
  };
  const int lines = 1 + static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  // yaml-cpp takes an unclosed quote for closed when a newline follows; a last line without one
  // (here an empty comment) makes it notice.
  text += "\n#";
  std::vector<YAML::Node> documents;
  try {
    if (const auto line = Documents::FindStandstill(text)) {
      return fault(*line + 1, "not valid YAML: nothing can begin with the sign that stands here");
    }
    documents = YAML::LoadAll(text);
  } catch (const YAML::Exception& e) {
    return fault(std::clamp(e.mark.line + 1, 0, lines), "not valid YAML: " + Explain(e.msg));
  } catch (const std::exception& e) {
    return fault(0, std::string("not valid YAML: ") + e.what());
  }
  if (documents.empty() || documents[0].IsNull()) return fault(0, "the file is empty");
  for (size_t i = 1; i < documents.size(); ++i) {
    if (documents[i].IsNull()) continue;
    return fault(documents[i].Mark().line + 1,
                 "a second document begins here; a file holds one (is the indentation right?)");
  }
  if (!TreeCheck(path, diagnostics).Check(documents[0])) return std::nullopt;
  Section section(path, documents[0], "", diagnostics);
  if (!documents[0].IsMap()) return std::nullopt;
  return section;
}

}  // namespace autoscale
