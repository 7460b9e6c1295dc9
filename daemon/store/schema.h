// The database's schema: made when new, brought up to date when older, refused when somebody
// else's, newer or damaged.
#pragma once

#include <functional>
#include <string>

#include "daemon/store/sqlite.h"

namespace autoscale {

// Makes the database ready for use: checks whose it is and whether it is whole, sets journal and
// durability, creates the tables of a new one. Before an older one is brought up to date,
// `keep_copy` is called with its version.
Status PrepareDatabase(Database& database, const std::function<Status(int64_t)>& keep_copy);

// Takes the tables from the given version, 0 for a database without any, to the present one.
Status Migrate(Database& database, int64_t version);

}  // namespace autoscale
