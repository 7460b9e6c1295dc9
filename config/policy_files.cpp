#include "config/policy_files.h"

#include <utility>

#include "config/yaml_file.h"

namespace autoscale {
namespace {

// FNV-1a, 64 bits: the same on every machine, so that a journal's hashes mean something elsewhere.
uint64_t Hash(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

Result<std::shared_ptr<const PolicySource>> ReadSource(const std::string& path, size_t max_bytes) {
  Result<std::string> text = ReadFile(path, max_bytes);
  if (!text.ok()) return std::move(text).error().Within("cannot read policy " + path);
  const uint64_t hash = Hash(*text);
  return std::make_shared<const PolicySource>(
      PolicySource{.path = path, .text = std::move(text).value(), .hash = hash});
}

}  // namespace

Result<std::shared_ptr<const PolicySource>> PolicyFiles::Read(const std::string& path) {
  auto found = sources_.find(path);
  if (found == sources_.end()) {
    found = sources_.emplace(path, ReadSource(path, max_bytes_)).first;
  }
  return found->second;
}

}  // namespace autoscale
