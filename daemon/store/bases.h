// Bases: what decisions depend on from one reload to the next, and the policies that made them,
// each stored once and kept while a decision refers to it.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_set>

#include "daemon/store/sqlite.h"
#include "engine/record/inputs.h"

namespace autoscale {

class Bases {
 public:
  explicit Bases(Database& database);

  // Within a transaction, between Begin and Committed: stores what the inputs depend on, unless it
  // is there.
  void Begin();
  Status Put(const DecisionInputs& inputs);
  void Committed();

  // With the policy's text; nothing: it is not stored.
  Result<std::optional<Basis>> Read(uint64_t hash);

  // Looks at the next few and drops those that nothing refers to.
  Status Prune();

 private:
  // Whether it was dropped.
  static Result<bool> LookAtNext(Statement& next, Statement& is_used, Statement& drop,
                                 std::optional<int64_t>& last, std::unordered_set<uint64_t>& known);

  Statement put_basis_, put_source_, read_basis_, read_source_, next_basis_, next_source_;
  Statement is_basis_used_, is_source_used_, drop_basis_, drop_source_;
  // Known to be stored, so that they are not encoded again; those of the transaction apart.
  std::unordered_set<uint64_t> bases_, sources_, new_bases_, new_sources_;
  std::optional<int64_t> last_basis_, last_source_;  // looked at last; nothing: begin anew
};

}  // namespace autoscale
