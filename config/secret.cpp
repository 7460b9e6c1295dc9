#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <system_error>

#include "config/section.h"

namespace autoscale {
namespace {

constexpr size_t kMaxSecretBytes = 64u << 10;  // a token or a password, not a mistaken path

Result<std::string> ReadSecretFile(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text(kMaxSecretBytes + 1, '\0');
  if (in) in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.is_open() || in.bad()) {
    return Error{ErrorKind::kUnavailable, "cannot read the secret in " + path + ": " +
                                              std::generic_category().message(errno)};
  }
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMaxSecretBytes) {
    return Error{ErrorKind::kInvalid, "the secret in " + path + " is longer than 64 KiB"};
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) return Error{ErrorKind::kInvalid, "the secret in " + path + " is empty"};
  return text;
}

}  // namespace

Result<std::string> ReadSecret(const SecretRef& ref) {
  if (ref.from == SecretRef::From::kFile) return ReadSecretFile(ref.name);
  const char* value = std::getenv(ref.name.c_str());
  if (value == nullptr || *value == '\0') {
    return Error{ErrorKind::kInvalid, "the environment variable " + ref.name +
                                          ", which should hold a secret, is " +
                                          (value == nullptr ? "not set" : "empty")};
  }
  return std::string(value);
}

}  // namespace autoscale
