#include "daemon/store/bases.h"

#include <cstdint>
#include <utility>

namespace autoscale {
namespace {

constexpr int kLooksAtOnce = 20;

int64_t Bits(uint64_t hash) { return static_cast<int64_t>(hash); }

}  // namespace

Bases::Bases(Database& database)
    : put_basis_(database, "INSERT OR IGNORE INTO bases VALUES (?, ?, ?)"),
      put_source_(database, "INSERT OR IGNORE INTO sources VALUES (?, ?)"),
      read_basis_(database, "SELECT text FROM bases WHERE hash = ?"),
      read_source_(database, "SELECT text FROM sources WHERE hash = ?"),
      next_basis_(database, "SELECT hash FROM bases WHERE hash > ? ORDER BY hash LIMIT 1"),
      next_source_(database, "SELECT hash FROM sources WHERE hash > ? ORDER BY hash LIMIT 1"),
      // By the indexes alone: no decision is read.
      is_basis_used_(database, "SELECT 1 FROM decisions WHERE basis = ? AND basis <> 0 LIMIT 1"),
      is_source_used_(database, "SELECT 1 FROM bases WHERE source = ? LIMIT 1"),
      drop_basis_(database, "DELETE FROM bases WHERE hash = ?"),
      drop_source_(database, "DELETE FROM sources WHERE hash = ?") {}

void Bases::Begin() {
  new_bases_.clear();
  new_sources_.clear();
}

Status Bases::Put(const DecisionInputs& inputs) {
  const uint64_t hash = inputs.basis_hash;
  const Basis& basis = inputs.basis;
  // Else it was read from here.
  if (!basis.policy || !basis.rules || bases_.contains(hash) || new_bases_.contains(hash))
    return Ok{};
  const uint64_t source = SourceHash(basis);
  if (auto put = put_basis_.Reset().Bind(Bits(hash)).Bind(Bits(source)).Bind(Encode(basis)).Run();
      !put) {
    return put;
  }
  new_bases_.insert(hash);
  if (sources_.contains(source) || new_sources_.contains(source)) return Ok{};
  if (auto put = put_source_.Reset().Bind(Bits(source)).Bind(EncodeSource(basis)).Run(); !put) {
    return put;
  }
  new_sources_.insert(source);
  return Ok{};
}

void Bases::Committed() {
  bases_.insert(new_bases_.begin(), new_bases_.end());
  sources_.insert(new_sources_.begin(), new_sources_.end());
  Begin();
}

Result<std::optional<Basis>> Bases::Read(uint64_t hash) {
  auto found = read_basis_.Reset().Bind(Bits(hash)).Step();
  if (!found) return std::move(found).error();
  if (!*found) return std::optional<Basis>();
  auto basis = DecodeBasis(read_basis_.Text());
  read_basis_.Reset();
  if (!basis) return std::move(basis).error();
  found = read_source_.Reset().Bind(Bits(basis->source)).Step();
  if (!found) return std::move(found).error();
  if (!*found) return std::optional<Basis>();
  const Status decoded = DecodeSource(read_source_.Text(), *basis);
  read_source_.Reset();
  if (!decoded) return decoded.error();
  return std::optional<Basis>(std::move(basis).value());
}

// A drop is a commit, and one of them is enough for a call.
Status Bases::Prune() {
  for (int i = 0; i < kLooksAtOnce; ++i) {
    auto dropped = LookAtNext(next_basis_, is_basis_used_, drop_basis_, last_basis_, bases_);
    if (dropped && !*dropped) {
      dropped = LookAtNext(next_source_, is_source_used_, drop_source_, last_source_, sources_);
    }
    if (!dropped) return std::move(dropped).error();
    if (*dropped || (!last_basis_ && !last_source_)) break;
  }
  return Ok{};
}

Result<bool> Bases::LookAtNext(Statement& next, Statement& is_used, Statement& drop,
                               std::optional<int64_t>& last, std::unordered_set<uint64_t>& known) {
  auto found = next.Reset().Bind(last.value_or(INT64_MIN)).First();
  if (!found) return std::move(found).error();
  last = *found;
  if (!last) return false;  // from the first again at the next call
  auto used = is_used.Reset().Bind(*last).First();
  if (!used) return std::move(used).error();
  if (*used) return false;
  if (auto dropped = drop.Reset().Bind(*last).Run(); !dropped) return dropped.error();
  known.erase(static_cast<uint64_t>(*last));
  return true;
}

}  // namespace autoscale
