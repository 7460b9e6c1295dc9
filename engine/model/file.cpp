#include "engine/model/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace autoscale {

// Not through a stream's iterators: they throw when the file can be opened but not read.
Result<std::string> ReadFile(const std::string& path) {
  const auto unreadable = [&path](int code) {
    return Error{ErrorKind::kUnavailable,
                 "cannot read " + path + ": " + std::generic_category().message(code)};
  };
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return unreadable(errno);
  std::string text;
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t n = read(file, part.data(), part.size());
    if (n > 0) {
      text.append(part.data(), static_cast<size_t>(n));
    } else if (n == 0 || errno != EINTR) {
      const int code = n == 0 ? 0 : errno;
      close(file);
      if (code != 0) return unreadable(code);
      return text;
    }
  }
}

}  // namespace autoscale
