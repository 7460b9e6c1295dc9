// The policies that random situations are made of, each with the parameters that it allows.
#pragma once

#include <span>

#include "tests/policies/situation.h"

namespace autoscale {

struct PolicyKind {
  const char* name;
  const char* file;  // relative to the repository; empty: we ship it
  // Sets the parameters and the metrics' roles.
  void (*make)(Random&, Situation&);
};

// Those we ship, and some that use the rest of the library.
std::span<const PolicyKind> PolicyKinds();

}  // namespace autoscale
