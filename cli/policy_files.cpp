#include "cli/policy_files.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "engine/model/file.h"
namespace autoscale::cli {
namespace {

constexpr size_t kMaxFiles = 10'000;

Error NotReadable(const std::string& path, const std::error_code& code) {
  return {ErrorKind::kInvalid, "cannot read " + path + ": " + code.message()};
}

Status FindBeneath(const std::string& folder, const std::function<bool(const std::string&)>& wanted,
                   std::vector<std::string>& files) {
  std::error_code error;
  std::filesystem::recursive_directory_iterator it(folder, error);
  for (; !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code gone;
    if (it->is_directory(gone)) {
      if (name.starts_with('.')) it.disable_recursion_pending();
    } else if (wanted(name) && it->is_regular_file(gone)) {
      files.push_back(it->path().string());
    }
    if (files.size() > kMaxFiles) {
      return Error{ErrorKind::kInvalid,
                   "more than " + std::to_string(kMaxFiles) + " files beneath " + folder};
    }
  }
  if (error) return NotReadable(folder, error);
  return Ok{};
}

}  // namespace

Result<std::vector<std::string>> FindFiles(const std::vector<std::string>& paths,
                                           const std::function<bool(const std::string&)>& wanted,
                                           const std::string& kind) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (std::filesystem::is_directory(status)) {
      if (auto found = FindBeneath(path, wanted, files); !found) return std::move(found).error();
    } else if (!std::filesystem::exists(status)) {
      return NotReadable(
          path, error ? error : std::make_error_code(std::errc::no_such_file_or_directory));
    } else if (wanted(path)) {
      files.push_back(path);
    } else {
      return Error{ErrorKind::kInvalid, path + " " + kind};
    }
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

Result<std::string> ReadInput(const std::string& path) {
  if (path == "-") {
    std::ostringstream text;
    text << std::cin.rdbuf();
    return text.str();
  }
  auto text = ReadFile(path);
  if (!text.ok()) return Error{ErrorKind::kInvalid, "the input: " + text.error().message};
  return text;
}

Result<const ServiceSpec*> ChooseService(const std::vector<ServiceSpec>& services,
                                         const std::string& name, const std::string& file) {
  std::string names;
  for (const ServiceSpec& service : services) {
    if (service.name == name) return &service;
    names += (names.empty() ? "" : ", ") + service.name;
  }
  if (name.empty() && services.size() == 1) return &services[0];
  if (services.empty()) return Error{ErrorKind::kInvalid, file + " defines no service"};
  return Error{ErrorKind::kInvalid,
               (name.empty() ? file + " defines several services" : "no service '" + name + "'") +
                   "; choose with --name: " + names};
}

}  // namespace autoscale::cli
