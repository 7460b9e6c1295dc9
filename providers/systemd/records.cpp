#include "providers/systemd/records.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/scalar.h"
#include "engine/model/file.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDraft = ".new";

// What a file can be called; drafts are not names.
bool IsName(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos && name.size() <= 240 && !name.ends_with(kDraft);
}

std::string Written(const UnitRecord& record) {
  return "bus " + record.bus + "\nunit " + record.unit + "\nhost " + record.host + "\nport " +
         std::to_string(record.port) + "\nhealth " + record.health + "\nend\n";
}

// The last line tells that nothing is missing.
bool Parse(const std::string& text, UnitRecord& record) {
  std::istringstream lines(text);
  bool whole = false;
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.find(' ');
    const std::string key = line.substr(0, space);
    const std::string value = space == std::string::npos ? "" : line.substr(space + 1);
    if (key == "bus") record.bus = value;
    if (key == "unit") record.unit = value;
    if (key == "host") record.host = value;
    if (key == "port") record.port = static_cast<int>(ParseInt(value).value_or(0));
    if (key == "health") record.health = value;
    whole = key == "end";
  }
  return whole && !record.bus.empty() && !record.unit.empty() && record.port > 0;
}

Error CannotWrite(const fs::path& path, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EMFILE || code == ENFILE;
  return {full ? ErrorKind::kExhausted : ErrorKind::kUnavailable,
          "cannot write " + path.string() + ": " + std::strerror(code)};
}

}  // namespace

std::map<std::string, std::map<std::string, UnitRecord>> UnitRecords::Read() const {
  std::map<std::string, std::map<std::string, UnitRecord>> records;
  std::error_code fault;
  for (fs::directory_iterator at(folder_, fault), end; !fault && at != end; at.increment(fault)) {
    std::error_code inner;
    for (fs::directory_iterator file(at->path(), inner); !inner && file != end;
         file.increment(inner)) {
      const std::string id = file->path().filename();
      if (!IsName(id)) continue;
      const auto text = ReadFile(file->path());
      UnitRecord record;
      if (text.ok() && Parse(*text, record)) records[at->path().filename()][id] = record;
    }
  }
  return records;
}

Status UnitRecords::Write(const std::string& service, const std::string& id,
                          const UnitRecord& record) const {
  if (!IsName(service) || !IsName(id)) {
    return Error{ErrorKind::kInvalid, "'" + service + "/" + id + "' cannot be a file's name"};
  }
  const fs::path folder = fs::path(folder_) / service, path = folder / id;
  std::error_code fault;
  fs::create_directories(folder, fault);
  if (fault) return CannotWrite(path, fault.value());
  const fs::path draft = path.string() + kDraft;
  errno = 0;
  std::ofstream out(draft, std::ios::trunc);
  out << Written(record);
  out.close();
  if (!out) return CannotWrite(path, errno != 0 ? errno : EIO);
  fs::rename(draft, path, fault);
  if (fault) return CannotWrite(path, fault.value());
  return Ok{};
}

void UnitRecords::Remove(const std::string& service, const std::string& id) const {
  if (!IsName(service) || !IsName(id)) return;
  std::error_code ignored;
  fs::remove(fs::path(folder_) / service / id, ignored);
  fs::remove(fs::path(folder_) / service, ignored);  // stays while there are others
}

}  // namespace autoscale
