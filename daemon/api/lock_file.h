// LockFile: one daemon a socket. The lock ends with the process, however it ends.
#pragma once

#include <memory>
#include <string>

#include "engine/model/result.h"

namespace autoscale {

class LockFile {
 public:
  // Creates the file where it is missing, locks it and writes this process's id into it. kConflict
  // when another process holds it, with that process's id.
  static Result<std::unique_ptr<LockFile>> Take(const std::string& path);
  // Lets go. The file stays: removing it would let two daemons lock two files of one name.
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace autoscale
