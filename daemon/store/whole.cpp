#include "daemon/store/whole.h"

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <fstream>

#include "daemon/store/copy.h"

namespace autoscale {
namespace {

// https://www.sqlite.org/fileformat.html#the_write_ahead_log: six words and a checksum over them.
constexpr uint32_t kLogMagic = 0x377f0682;  // the lowest bit: the checksum is over big-endian words
constexpr size_t kLogHeader = 32;

uint32_t Word(const unsigned char* at, bool big_endian) {
  const std::array<uint32_t, 4> b{at[0], at[1], at[2], at[3]};
  return big_endian ? b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3]
                    : b[3] << 24 | b[2] << 16 | b[1] << 8 | b[0];
}

bool IsLogHeader(const std::array<unsigned char, kLogHeader>& header) {
  const uint32_t magic = Word(header.data(), true);
  if ((magic & ~1U) != kLogMagic) return false;
  uint32_t first = 0, second = 0;
  for (size_t i = 0; i < 24; i += 8) {
    first += Word(&header[i], (magic & 1) != 0) + second;
    second += Word(&header[i + 4], (magic & 1) != 0) + first;
  }
  return first == Word(&header[24], true) && second == Word(&header[28], true);
}

Error Unusable(const std::string& what, const std::string& path) {
  return {ErrorKind::kInternal, what + "; instances run on as they are. " + HowToMend(path)};
}

}  // namespace

Status CheckFiles(const std::string& path) {
  struct stat info {};
  const bool there = stat(path.c_str(), &info) == 0;
  if ((!there || info.st_size == 0) && HasBackup(path)) {
    return Unusable("the database " + path + " is " + (there ? "empty" : "missing"), path);
  }
  // The header is on the disk before anything follows it.
  const std::string log = path + "-wal";
  if (stat(log.c_str(), &info) != 0 || info.st_size <= static_cast<off_t>(kLogHeader)) return Ok{};
  std::array<unsigned char, kLogHeader> header{};
  std::ifstream(log, std::ios::binary).read(reinterpret_cast<char*>(header.data()), kLogHeader);
  if (!IsLogHeader(header)) {
    return Unusable("the database " + path + " is damaged (its write-ahead log has no header)",
                    path);
  }
  return Ok{};
}

Status CheckWhole(Database& database) {
  for (const char* sql : {"PRAGMA quick_check(daemon)", "PRAGMA quick_check(services)",
                          "PRAGMA quick_check(instances)"}) {
    auto answer = database.ReadText(sql);
    if (!answer) return std::move(answer).error();
    if (*answer != "ok") return database.Damaged(*answer);
  }
  return Ok{};
}

}  // namespace autoscale
