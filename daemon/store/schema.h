// The database's schema: made when new, refused when somebody else's, newer or damaged.
#pragma once

#include "daemon/store/sqlite.h"

namespace autoscale {

// Makes the database ready for use: checks whose it is and whether it is whole, sets journal and
// durability, creates the tables of a new one.
Status PrepareDatabase(Database& database);

}  // namespace autoscale
