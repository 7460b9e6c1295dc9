// StateFolder: the folder that holds the database, made when missing and owned by one process.
#pragma once

#include <memory>
#include <string>

#include "engine/model/result.h"

namespace autoscale {

class StateFolder {
 public:
  // Makes the folder (0700) when it is missing and takes its lock; a second daemon is told which
  // process holds it. The lock ends with the process, however that ends.
  static Result<std::unique_ptr<StateFolder>> Claim(const std::string& path);
  ~StateFolder();
  StateFolder(const StateFolder&) = delete;
  StateFolder& operator=(const StateFolder&) = delete;

  // Makes the file when it is missing and sees to it that only its owner may read it.
  Result<std::string> PrivateFile(const std::string& name) const;

 private:
  StateFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_;
};

}  // namespace autoscale
