// Where the real programs are that tests start: unpacked packages, or those installed.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace autoscale {

// The folder below which `probe` ("usr/sbin/nginx") exists: $AUTOSCALE_PARTS, else build/parts of
// the source tree, else the root of the file system. Nothing: skip, and say that
// deploy/fetch-parts.sh gets it.
inline std::optional<std::filesystem::path> PartsRoot(const std::filesystem::path& probe) {
  const char* named = std::getenv("AUTOSCALE_PARTS");
  const std::filesystem::path unpacked =
      named != nullptr && *named != '\0'
          ? std::filesystem::path(named)
          : std::filesystem::path(AUTOSCALE_SOURCE_DIR) / "build/parts";
  for (const std::filesystem::path& root : {unpacked, std::filesystem::path("/")}) {
    std::error_code ignored;
    if (std::filesystem::exists(root / probe, ignored)) {
      return std::filesystem::canonical(root, ignored);
    }
  }
  return std::nullopt;
}

}  // namespace autoscale
