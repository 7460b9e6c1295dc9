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
  // The process is killed in place of the n-th write or sync from now on, counted from 0.
  static void KillAtWrite(int n);
};

}  // namespace autoscale
