// Pruner: keeps the stored decisions within bounds, a little at a time.
#pragma once

#include <string>

#include "daemon/store/sqlite.h"
#include "engine/model/time.h"

namespace autoscale {

struct PruneLimits {
  int kept = 1000;  // decisions a service
  int slack = 100;  // so many more may gather first, so that few transactions drop many
  Millis gone_kept = std::chrono::hours(24 * 30);  // of a service that has gone, after its last one
  int64_t bytes = int64_t{1} << 30;                // of the whole database, without free pages
};

class Pruner {
 public:
  Pruner(Database& database, const PruneLimits& limits);

  // Looks at the next few services and drops what exceeds the limits; bounded in time whatever the
  // size. To be called again and again: 10,000 services take 2,000 calls.
  Status Step(TimePoint now);

 private:
  Status DropOld(TimePoint now);
  Status DropOf(const std::string& service, TimePoint now);
  Status DropOldest();

  Database& database_;
  const PruneLimits limits_;
  std::string last_;  // the service looked at last
  Statement next_service_, is_known_, find_excess_, drop_to_, find_newest_, drop_oldest_;
};

}  // namespace autoscale
