// PolicyHost::Check: tries a policy on made-up samples before it may act.
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "engine/policy/host.h"
#include "engine/policy/modules.h"
#include "engine/policy/uses.h"

namespace autoscale {
namespace {

constexpr size_t kLevels = 4;
constexpr std::array<const char*, kLevels> kLevelNames = {"at 0", "low", "medium", "high"};
constexpr const char* kUnits =
    ": do its levels fit the metrics' units? (a ratio goes from 0 to 1, percent to 100)";
constexpr int kMissing = -1;
// A policy that waits for a condition to last has its time: so often, a minute apart.
constexpr int kPatience = 20;
constexpr size_t kMaxVaried = 16;  // metrics that are also varied one by one

double ValueAt(Unit unit, int level) {
  constexpr double kValues[][kLevels] = {
      {0, 0.2, 0.6, 1.5}, {0, 20, 60, 150}, {0, 0.05, 0.5, 60}, {0, 1, 100, 1e5}, {0, 1, 10, 1e5},
  };
  return kValues[static_cast<size_t>(unit)][static_cast<size_t>(level)];
}

bool IsBounded(Unit unit) { return unit == Unit::kRatio || unit == Unit::kPercent; }

class Trials {
 public:
  Trials(PolicyHost& host, const PolicySource& source, const Snapshot& service,
         const CheckWatch& watch)
      : host_(host), source_(source), watch_(watch), snapshot_(service), metrics_(service.metrics) {
    const Bounds& bounds = service.bounds;
    const int middle = bounds.min + (bounds.max - bounds.min) / 2;
    capacities_ = {Capacity{middle, middle}, Capacity{bounds.min, bounds.min},
                   Capacity{bounds.max, bounds.max}, Capacity{middle, std::max(middle - 1, 0)},
                   Capacity{middle, 0}};
  }

  Result<std::string> Run() {
    for (const Capacity& capacity : capacities_) {
      for (int level = kMissing; level < static_cast<int>(kLevels); ++level) {
        if (at_limit_) return doubt_;  // each other one may take as long
        if (!Try(All(level), capacity)) return Error{ErrorKind::kInvalid, fault_};
      }
    }
    for (size_t i = 0; i < std::min(metrics_.size(), kMaxVaried); ++i) {
      if (at_limit_) return doubt_;
      if (!VaryOne(i)) return Error{ErrorKind::kInvalid, fault_};
    }
    if (AlwaysScalesIn()) {
      return Error{ErrorKind::kInvalid,
                   source_.path +
                       ": scales in whatever the metrics say, even with all of them high" + kUnits};
    }
    if (doubt_.empty() && NeverScalesOut()) {
      return source_.path + ": never scales out, even with all metrics high" + kUnits;
    }
    return doubt_;
  }

 private:
  using Levels = std::vector<int>;

  [[nodiscard]] Levels All(int level) const { return Levels(metrics_.size(), level); }

  bool VaryOne(size_t metric) {
    for (const auto& [level, others] :
         {std::pair{3, 1}, {1, 3}, {kMissing, 1}, {kMissing, 2}, {kMissing, 3}}) {
      Levels levels = All(others);
      levels[metric] = level;
      if (!Try(levels, capacities_.front())) return false;
      if (level == kMissing && last_.cause == HoldCause::kMetric) {
        (IsBounded(metrics_[metric].unit) ? reads_bounded_ : reads_unbounded_) = true;
      }
    }
    return true;
  }

  // Answers false when policy and service do not fit each other.
  bool Try(const Levels& levels, const Capacity& capacity) {
    std::vector<Sample> samples;
    bool fresh = true;
    for (size_t i = 0; i < levels.size(); ++i) {
      samples.push_back(MakeSample(metrics_[i].unit, levels[i], capacity));
      fresh = fresh && levels[i] != kMissing;
    }
    now_ += std::chrono::seconds(15);
    snapshot_.now = now_;
    snapshot_.capacity = capacity;
    snapshot_.samples = samples;
    snapshot_.state = state_;
    if (watch_.begins) watch_.begins();
    Evaluation evaluation = host_.Evaluate(source_, snapshot_);
    if (evaluation.named && watch_.named != nullptr) *watch_.named = true;
    if (evaluation.state) state_ = *std::move(evaluation.state);
    last_ = std::move(evaluation.proposal);
    if (fresh && last_.kind != ProposalKind::kScaleDown) always_scales_in_ = false;
    if (last_.kind != ProposalKind::kHold && last_.capacity > capacity.desired) scales_out_ = true;
    if (last_.cause != HoldCause::kFault) return true;
    fault_ = Describe(levels, capacity);
    if (doubt_.empty()) doubt_ = fault_;
    at_limit_ |= evaluation.at_limit;
    return !evaluation.misfit;
  }

  // Instances now and then: a policy must do with and without them.
  [[nodiscard]] Sample MakeSample(Unit unit, int level, const Capacity& capacity) const {
    Sample sample;
    if (level == kMissing) return sample;
    sample.state = SampleState::kFresh;
    sample.value = ValueAt(unit, level);
    sample.age_s = 1.0F;
    sample.coverage = 1.0F;
    if (capacity.ready == capacities_.front().ready) {
      sample.instances = {{"i-1", sample.value, true}, {"i-2", sample.value, true}};
    }
    return sample;
  }

  [[nodiscard]] std::string Describe(const Levels& levels, const Capacity& capacity) const {
    std::string text = " (found by trying it with ";
    for (size_t i = 0; i < levels.size(); ++i) {
      text += metrics_[i].name + " " +
              (levels[i] == kMissing ? "missing" : kLevelNames[static_cast<size_t>(levels[i])]) +
              ", ";
    }
    text += std::to_string(capacity.ready) + " of " + std::to_string(capacity.desired) +
            " instances ready)";
    return WithWholePath(source_, last_.reason) + text;
  }

  // Only metrics with a highest value can tell: what is high in requests is not for us to say.
  [[nodiscard]] bool AlwaysScalesIn() const {
    return always_scales_in_ && reads_bounded_ && !reads_unbounded_;
  }

  bool NeverScalesOut() {
    const int few = std::max(snapshot_.bounds.min, 1);
    if (!reads_bounded_ || reads_unbounded_ || few >= snapshot_.bounds.max) return false;
    // All high; then one of them at 0, which may be what stands in the way, such as errors.
    for (size_t one = 0; one <= std::min(metrics_.size(), kMaxVaried); ++one) {
      Levels levels = All(kLevels - 1);
      if (one > 0) levels[one - 1] = 0;
      for (int i = 0; i < kPatience && !scales_out_ && !at_limit_; ++i) {
        now_ += std::chrono::seconds(45);
        if (!Try(levels, {few, few})) return false;
      }
    }
    return !scales_out_ && doubt_.empty();
  }

  PolicyHost& host_;
  const PolicySource& source_;
  const CheckWatch& watch_;
  Snapshot snapshot_;
  const std::span<const DeclaredMetric> metrics_;
  std::array<Capacity, 5> capacities_;
  TimePoint now_ = FromUnixSeconds(1.7e9);
  std::string state_, fault_, doubt_;
  Proposal last_;
  bool at_limit_ = false;
  bool scales_out_ = false;
  bool always_scales_in_ = true, reads_bounded_ = false, reads_unbounded_ = false;
};

// The first global that the policy, or a module of its users', gives a value; empty: none.
std::string WrittenGlobal(const PolicySource& source) {
  const auto in = [](const std::string& path, const std::string& text) {
    const PolicyUses uses = FindUses(text);
    if (uses.globals.empty()) return std::string();
    const NamedUse& first = uses.globals.front();
    return path + ":" + std::to_string(first.line) + ": " + DescribeGlobal(first.name);
  };
  std::string doubt = in(source.path, source.text);
  for (const auto& module : source.modules) {
    if (!doubt.empty()) break;
    if (!module->name.starts_with(kLibraryPrefix)) doubt = in(module->path, module->text);
  }
  return doubt;
}

}  // namespace

Result<std::string> PolicyHost::Check(const PolicySource& source, const Snapshot& service,
                                      const CheckWatch& watch) {
  if (Status loaded = Load(source); !loaded) return std::move(loaded).error();
  Result<std::string> tried = Trials(*this, source, service, watch).Run();
  if (tried.ok() && tried->empty()) return WrittenGlobal(source);
  return tried;
}

}  // namespace autoscale
