// FaultyDisk: a disk for SQLite that can be told to fail; a layer over the real one.
#pragma once

namespace autoscale {

class FaultyDisk {
 public:
  // Every SQLite file opened from now on is on it.
  static void Install();
  // The SQLite result codes that writes and syncs answer from now on; SQLITE_OK: they succeed.
  static void FailWrites(int code);
  static void FailSyncs(int code);
};

}  // namespace autoscale
