// An instance's folder, STATE/process/SERVICE/ID/: all that survives the daemon.
//
//   lock        locked through a descriptor that the daemon opens before the spawn and the instance
//               inherits: while it is held, something of the instance lives
//   claim       the endpoint, written before the spawn
//   record      the process's identity, written by itself before it becomes the command
//   failure     why the command could not be run, if so
//   health      "ready" or "unready", once the health check has passed
//   stop        how old it was, in ms, when it was sent the stop signal
//   gone        how it ended
//   stdout.log, stderr.log (and .1, the older part)
//
// Nothing is synced to disk on purpose: the folder matters only while the machine is up, and
// SIGKILL loses no written page. After a power failure every process is gone, whatever a torn file
// says.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/model/result.h"
#include "providers/local/unique_fd.h"

namespace autoscale {

class InstanceFolder {
 public:
  explicit InstanceFolder(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] const std::string& path() const { return path_; }

  // Makes the folder and its parents, 0750. kConflict when it exists, kExhausted on a full disk.
  [[nodiscard]] Status Create() const;
  // Writes the file as a whole or not at all.
  [[nodiscard]] Status Write(const std::string& name, const std::string& text) const;
  // Absent or unreadable: nothing.
  [[nodiscard]] std::optional<std::string> Read(const std::string& name) const;
  // Whether what the folder tells can be read, be it nothing: else one that lives in it would be
  // taken for one that never was. A want of descriptors says nothing of it.
  [[nodiscard]] Status CheckReadable() const;
  // Takes the lock, on a close-on-exec descriptor; none while someone else holds it.
  [[nodiscard]] UniqueFd Lock() const;
  // Sends SIGKILL to every process that holds the lock, found through /proc and aimed at through
  // pidfds, and to those that they start meanwhile. For what an instance's main process leaves
  // behind. Tells how many there were.
  [[nodiscard]] int KillHolders() const;
  // Bounds the output files: of a file over the limit the last part, as long as the limit, becomes
  // NAME.1, and it starts again. What is written between the copy and the cut is lost.
  void RotateOutput(uint64_t max_bytes) const;
  // The last line of stderr.log, for a person: printable, at most ~160 bytes.
  [[nodiscard]] std::string LastWords() const;
  // Moves the folder to SERVICE/.gone/ID and deletes there all but the youngest `keep`.
  void Retire(size_t keep) const;
  // Deletes it; for a launch that did not come about.
  void Remove() const;

 private:
  [[nodiscard]] std::string At(const std::string& name) const { return path_ + "/" + name; }
  std::string path_;
};

}  // namespace autoscale
