#include "engine/decision/history.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "engine/model/decision.h"

namespace autoscale {
namespace {

Millis LongestPeriod(const DirectionRules& rules) {
  Millis longest{0};
  for (const RateLimit& limit : rules.limits) longest = std::max(longest, limit.period);
  return longest;
}

// The text is a sequence of records, each a letter and integers in milliseconds and instances:
// P first last capacity, C at delta, R at, O at, I at.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  [[nodiscard]] bool AtEnd() const { return text_.empty(); }
  char Letter() {
    const char letter = text_.front();
    text_.remove_prefix(1);
    return letter;
  }
  std::optional<int64_t> Integer() {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc()) return std::nullopt;
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    if (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
    return value;
  }
  std::optional<TimePoint> Time() {
    constexpr int64_t kLatest = 253402300799999;  // the end of the year 9999
    const auto ms = Integer();
    if (!ms || *ms < 0 || *ms > kLatest) return std::nullopt;
    return TimePoint(Millis(*ms));
  }

 private:
  std::string_view text_;
};

std::string Number(int64_t value) { return std::to_string(value) + " "; }
std::string Number(TimePoint t) { return Number(t.time_since_epoch().count()); }

}  // namespace

bool History::AddProposal(TimePoint at, int capacity) {
  if (!proposals_.empty() && proposals_.back().capacity == capacity) {
    proposals_.back().last = std::max(proposals_.back().last, at);
    return false;
  }
  proposals_.push_back({.first = at, .last = at, .capacity = capacity});
  return true;
}

void History::AddChange(TimePoint at, int delta) {
  changes_.push_back({.at = at, .delta = delta});
  const auto& same = delta > 0 ? last_out_ : last_in_;
  const auto& opposite = delta > 0 ? last_in_ : last_out_;
  if (opposite && (!same || *opposite > *same)) reversals_.push_back(at);
  (delta > 0 ? last_out_ : last_in_) = at;
}

std::optional<AppliedChange> History::UndoChange(TimePoint at, const HistoryMark& mark) {
  if (last_out_ == at) last_out_ = mark.last_out;
  if (last_in_ == at) last_in_ = mark.last_in;
  if (!reversals_.empty() && reversals_.back() == at) reversals_.pop_back();
  if (changes_.empty() || changes_.back().at != at) return std::nullopt;
  const AppliedChange change = changes_.back();
  changes_.pop_back();
  return change;
}

void History::Forget(TimePoint now, const ScalingRules& rules) {
  const TimePoint oldest_proposal =
      now - std::max(rules.up.stabilization, rules.down.stabilization);
  // Nor what a later run outdoes in both directions: while the earlier one is in a window, so is
  // the later, and neither the least nor the greatest is the earlier. A noisy policy leaves a
  // handful.
  std::vector<ProposalRun> kept;
  int least = INT32_MAX;
  int greatest = INT32_MIN;
  for (auto run = proposals_.rbegin(); run != proposals_.rend(); ++run) {
    const bool last = run == proposals_.rbegin();
    if (!last &&
        (run->last < oldest_proposal || (run->capacity >= least && run->capacity <= greatest))) {
      continue;
    }
    least = std::min(least, run->capacity);
    greatest = std::max(greatest, run->capacity);
    kept.push_back(*run);
  }
  std::reverse(kept.begin(), kept.end());
  if (kept.size() != proposals_.size()) proposals_ = std::move(kept);
  const TimePoint oldest_change =
      now - std::max({LongestPeriod(rules.up), LongestPeriod(rules.down), kBudgetPeriod});
  std::erase_if(changes_, [&](const AppliedChange& change) { return change.at < oldest_change; });
  // Of more than the rule allows the latest tell as much.
  std::erase_if(reversals_, [&](TimePoint at) { return at <= now - rules.reversals.period; });
  const size_t most = static_cast<size_t>(rules.reversals.most);
  if (reversals_.size() > most)
    reversals_.erase(reversals_.begin(), reversals_.end() - rules.reversals.most);
}

void History::Resume(TimePoint now) {
  if (!proposals_.empty()) proposals_.back().last = std::max(proposals_.back().last, now);
}

HistoryMark History::Mark() const {
  return {.runs = static_cast<uint32_t>(proposals_.size()),
          .changes = static_cast<uint32_t>(changes_.size()),
          .reversals = static_cast<uint32_t>(reversals_.size()),
          .last = proposals_.empty() ? TimePoint{} : proposals_.back().last,
          .last_out = last_out_,
          .last_in = last_in_};
}

void History::TakeBack(const HistoryMark& mark) {
  proposals_.resize(mark.runs);
  changes_.resize(mark.changes);
  reversals_.resize(mark.reversals);
  if (!proposals_.empty()) proposals_.back().last = mark.last;
  last_out_ = mark.last_out;
  last_in_ = mark.last_in;
}

std::string History::Encode() const {
  std::string text;
  for (const ProposalRun& run : proposals_) {
    text += "P" + Number(run.first) + Number(run.last) + Number(run.capacity);
  }
  for (const AppliedChange& change : changes_) {
    text += "C" + Number(change.at) + Number(change.delta);
  }
  for (const TimePoint at : reversals_) text += "R" + Number(at);
  if (last_out_) text += "O" + Number(*last_out_);
  if (last_in_) text += "I" + Number(*last_in_);
  return text;
}

Result<History> History::Decode(std::string_view text) {
  History history;
  Reader reader(text);
  const Error malformed{ErrorKind::kInvalid, "the stored history is malformed"};
  const auto fits = [](std::optional<int64_t> n, int least) {
    return n && *n >= least && *n <= kMaxCapacity;
  };
  while (!reader.AtEnd()) {
    const char letter = reader.Letter();
    const auto at = reader.Time();
    if (!at) return malformed;
    if (letter == 'P') {
      const auto last = reader.Time();
      const auto capacity = reader.Integer();
      if (!last || !fits(capacity, 0)) return malformed;
      history.proposals_.push_back({*at, *last, static_cast<int>(*capacity)});
    } else if (letter == 'C') {
      const auto delta = reader.Integer();
      if (!fits(delta, -kMaxCapacity)) return malformed;
      history.changes_.push_back({*at, static_cast<int>(*delta)});
    } else if (letter == 'R') {
      history.reversals_.push_back(*at);
    } else if (letter == 'O') {
      history.last_out_ = *at;
    } else if (letter == 'I') {
      history.last_in_ = *at;
    } else {
      return malformed;
    }
  }
  return history;
}

}  // namespace autoscale
