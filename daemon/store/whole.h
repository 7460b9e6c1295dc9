// Whether what is on the disk is a whole database, and all of it.
#pragma once

#include <string>

#include "daemon/store/sqlite.h"

namespace autoscale {

// Before it is opened: SQLite makes a new database where there is none, and takes a write-ahead log
// that it cannot read for an empty one.
Status CheckFiles(const std::string& path);

// What the control loop stands on is small and checked at each start; the decisions may be huge,
// and damage there shows when they are read or written.
Status CheckWhole(Database& database);

}  // namespace autoscale
