// Copies of the database that are kept beside it, made whole or not at all, and what a person does
// with them.
#pragma once

#include <string>

#include "daemon/store/sqlite.h"
#include "engine/model/time.h"

namespace autoscale {

// All of it, decisions too, as `path`; replaces what is there.
Status CopyWhole(Database& database, const std::string& path);

// What the control loop stands on, without the decisions, as DATABASE.backup. Reads through the
// given connection: it is of use even when the database's file was deleted meanwhile. Blocks on the
// disk; 10,000 services take a tenth of a second.
Status KeepBackup(Database& database, TimePoint at);
bool HasBackup(const std::string& database);

// For the end of a sentence on a database that cannot be used: whether there is a back-up, from
// when, and the commands that put it in place; they are the last of the text, after "run: ".
std::string HowToMend(const std::string& database);

}  // namespace autoscale
