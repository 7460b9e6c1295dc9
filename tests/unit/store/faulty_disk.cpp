#include "tests/unit/store/faulty_disk.h"

#include <sqlite3.h>

#include <csignal>
#include <map>

namespace autoscale {
namespace {

// The methods of one kind of file, with the real ones behind them.
struct Methods : sqlite3_io_methods {
  const sqlite3_io_methods* real = nullptr;
};

int write_code = SQLITE_OK, sync_code = SQLITE_OK;
int writes_left = -1;  // until the kill; negative: none is meant
sqlite3_vfs* disk = nullptr;

void CountWrite() {
  if (writes_left >= 0 && writes_left-- == 0) (void)raise(SIGKILL);
}

const sqlite3_io_methods* Real(sqlite3_file* file) {
  return static_cast<const Methods*>(file->pMethods)->real;
}

int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  CountWrite();
  return write_code != SQLITE_OK ? write_code : Real(file)->xWrite(file, data, size, offset);
}

int Sync(sqlite3_file* file, int flags) {
  CountWrite();
  return sync_code != SQLITE_OK ? sync_code : Real(file)->xSync(file, flags);
}

int OpenFile(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  static std::map<const sqlite3_io_methods*, Methods> kinds;
  const int code = disk->xOpen(disk, name, file, flags, out_flags);
  if (code != SQLITE_OK || file->pMethods == nullptr) return code;
  Methods& kind = kinds[file->pMethods];
  static_cast<sqlite3_io_methods&>(kind) = *file->pMethods;
  kind.real = file->pMethods;
  kind.xWrite = Write;
  kind.xSync = Sync;
  file->pMethods = &kind;
  return code;
}

}  // namespace

void FaultyDisk::Install() {
  static sqlite3_vfs layer;
  if (disk != nullptr) return;
  disk = sqlite3_vfs_find(nullptr);
  layer = *disk;
  layer.zName = "faulty";
  layer.xOpen = OpenFile;
  sqlite3_vfs_register(&layer, 1);
}

void FaultyDisk::FailWrites(int code) { write_code = code; }
void FaultyDisk::FailSyncs(int code) { sync_code = code; }
void FaultyDisk::KillAtWrite(int n) { writes_left = n; }

}  // namespace autoscale
