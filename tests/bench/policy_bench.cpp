// What an evaluation costs, and what a policy: through the real worker, of 10,000 services with 1,
// 100 and 10,000 distinct policies.
//
//   policy_bench [services] [rounds] [runs] [kind]
//
// Processor time of the worker and of this process, which packs and unpacks as the daemon does; not
// the time that passed. Values vary from round to round; `state` comes back in the next.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "config/policy_files.h"
#include "daemon/worker/worker.h"
#include "engine/policy/modules.h"
#include "tests/bench/measure.h"

namespace autoscale {
namespace {

constexpr int kWarmUpRounds = 5;  // until buffers and the garbage of each state have grown
constexpr std::array kPolicies{1, 100, 10'000};

// The policies that are measured: a shipped one, or a text.
struct Kind {
  const char* name;
  const char* text;  // null: the shipped one of that name
  std::vector<DeclaredMetric> metrics;
  std::vector<double> values;  // of each metric, about which it varies
  Params params;
};

constexpr const char* kPlain = R"(
local cpu     = metric "cpu"
local latency = metric "latency_p95"
local errors  = metric "error_ratio"

if errors.value > 0.05 then return hold("errors are high: more capacity is not the cure") end
if latency.value > 0.250 then return scale_up(1, "p95 over 250 ms") end
return track(cpu, 0.60)
)";

constexpr const char* kSmoothed = R"(
local waiting = metric "waiting"
local each, keep = 20, 0.8

local smooth = keep * (state.smooth or waiting.value) + (1 - keep) * waiting.value
state.smooth, state.seen = smooth, (state.seen or 0) + 1
if math.abs(smooth / each - capacity.desired) < 0.5 then return hold("the queue is as it should be") end
return scale_to(smooth / each, string.format("%.1f waiting, smoothed, %d each", smooth, each))
)";

std::vector<Kind> MakeKinds() {
  const DeclaredMetric cpu{.name = "cpu", .unit = Unit::kRatio};
  const DeclaredMetric arrivals{.name = "arrivals", .unit = Unit::kPerSecond};
  return {
      {.name = "plain",
       .text = kPlain,
       .metrics = {cpu,
                   {.name = "latency_p95", .unit = Unit::kSeconds},
                   {.name = "error_ratio", .unit = Unit::kRatio}},
       .values = {0.6, 0.1, 0.01},
       .params = {}},
      {.name = "smoothed",
       .text = kSmoothed,
       .metrics = {{.name = "waiting", .unit = Unit::kCount}},
       .values = {80},
       .params = {}},
      {.name = "requests_per_instance",
       .text = nullptr,
       .metrics = {arrivals},
       .values = {400},
       .params = {{"target_rps", 100.0}}},
      {.name = "cpu_target",
       .text = nullptr,
       .metrics = {cpu},
       .values = {0.6},
       .params = {{"target", 0.6}}},
      {.name = "hpa",
       .text = nullptr,
       .metrics = {cpu, arrivals},
       .values = {0.6, 100},
       .params = {{"metrics", "cpu arrivals"}, {"cpu_target", 0.6}, {"arrivals_target", 100.0}}},
  };
}

struct Setting {
  int services = 10'000;
  int rounds = 10;
  int runs = 3;
  const char* kind = nullptr;
};

struct Figures {
  double worker_us = 0, daemon_us = 0;  // of CPU, an evaluation
  double worker_kib = 0, source_kib = 0;
  double held = 0;  // share of the evaluations
};

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "policy_bench: %s\n", why.c_str());
  std::exit(1);
}

// `count` policies that differ in a constant, so that nothing compiled is shared.
std::vector<std::shared_ptr<const PolicySource>> MakePolicies(const Kind& kind, int count) {
  PolicySource source{.path = std::string("policies/") + kind.name + ".lua"};
  if (kind.text != nullptr) {
    source.text = kind.text;
  } else {
    const auto shipped = PolicyFiles(PolicyLimits{}.source_bytes).Shipped(kind.name);
    if (!shipped) Die(shipped.error().message);
    source = **shipped;
  }
  std::vector<std::shared_ptr<const PolicySource>> policies;
  for (int i = 0; i < count; ++i) {
    PolicySource one = source;
    one.text = "local number = " + std::to_string(i) + "\n" + source.text;
    one.hash = HashBundle(one.text, one.modules);
    policies.push_back(std::make_shared<const PolicySource>(std::move(one)));
  }
  return policies;
}

// The services, as the controller keeps what a snapshot refers to.
class Services {
 public:
  Services(const Kind& kind, int services, int policies)
      : kind_(kind), policies_(MakePolicies(kind, policies)) {
    const auto count = static_cast<size_t>(services);
    names_.resize(count);
    states_.resize(count);
    samples_.resize(count);
    requests_.resize(count);
    for (size_t i = 0; i < count; ++i) {
      names_[i] = "service-" + std::to_string(i);
      samples_[i].resize(kind.metrics.size());
      requests_[i].policy = policies_[i % policies_.size()];
      requests_[i].snapshot = {.service = names_[i],
                               .now = {},
                               .capacity = {.desired = 4, .ready = 4},
                               .bounds = {.min = 1, .max = 40},
                               .metrics = kind.metrics,
                               .samples = samples_[i],
                               .params = &kind.params,
                               .zones = {},
                               .state = {}};
    }
  }

  // The next round's requests: one service in 32 is so far off that it scales.
  std::span<const EvaluationRequest> Next() {
    ++round_;
    for (size_t i = 0; i < requests_.size(); ++i) {
      for (size_t metric = 0; metric < samples_[i].size(); ++metric) {
        const size_t turn = (i * 7 + round_ * 11 + metric * 13) % 32;
        Sample& sample = samples_[i][metric];
        sample.value = kind_.values[metric] * (turn == 0 ? 1.5 : 0.96 + 0.002 * double(turn));
        sample.state = SampleState::kFresh;
        sample.age_s = 1.5F;
        sample.coverage = 1.0F;
      }
      requests_[i].snapshot.now = TimePoint(std::chrono::seconds(1'700'000'000 + 2 * round_));
      requests_[i].snapshot.state = states_[i];
    }
    return requests_;
  }

  // Share of the answers that hold; a fault ends the benchmark.
  double Take(std::vector<Evaluation> answers) {
    size_t held = 0;
    for (size_t i = 0; i < answers.size(); ++i) {
      const Proposal& proposal = answers[i].proposal;
      if (proposal.cause == HoldCause::kFault) Die(proposal.reason);
      if (proposal.kind == ProposalKind::kHold) ++held;
      if (answers[i].state) states_[i] = *std::move(answers[i].state);
    }
    return static_cast<double>(held) / static_cast<double>(answers.size());
  }

  [[nodiscard]] double SourceKib() const {
    size_t bytes = 0;
    for (const auto& policy : policies_) bytes += policy->text.size();
    return static_cast<double>(bytes) / 1024;
  }

 private:
  const Kind& kind_;
  const std::vector<std::shared_ptr<const PolicySource>> policies_;
  size_t round_ = 0;
  std::vector<std::string> names_, states_;
  std::vector<std::vector<Sample>> samples_;
  std::vector<EvaluationRequest> requests_;
};

Figures Measure(const Setting& setting, const Kind& kind, int policies) {
  Counters counters;
  auto worker = PolicyWorker::Start(DefaultWorkerPath(), PolicyLimits{}, counters);
  if (!worker) Die(worker.error().message);
  Services services(kind, setting.services, policies);
  for (int i = 0; i < kWarmUpRounds; ++i) services.Take((*worker)->Evaluate(services.Next()));
  Figures figures{.source_kib = services.SourceKib()};
  for (int i = 0; i < setting.rounds; ++i) {
    const auto requests = services.Next();
    const double worker_before = CpuMicrosOf((*worker)->pid());
    const double daemon_before = CpuMicros(CLOCK_PROCESS_CPUTIME_ID);
    auto answers = (*worker)->Evaluate(requests);
    figures.daemon_us += CpuMicros(CLOCK_PROCESS_CPUTIME_ID) - daemon_before;
    figures.worker_us += CpuMicrosOf((*worker)->pid()) - worker_before;
    figures.held += services.Take(std::move(answers)) / setting.rounds;
  }
  const double evaluations = static_cast<double>(setting.rounds) * setting.services;
  figures.worker_us /= evaluations;
  figures.daemon_us /= evaluations;
  figures.worker_kib = ProportionalKib((*worker)->pid());
  if (counters.worker_restarts > 0) Die("the worker was restarted");
  return figures;
}

double TotalMicros(const Figures& figures) { return figures.worker_us + figures.daemon_us; }

// The run with the median cost.
Figures MeasureRuns(const Setting& setting, const Kind& kind, int policies) {
  std::vector<Figures> runs;
  for (int i = 0; i < setting.runs; ++i) {
    const auto figures = RunApart([&] { return Measure(setting, kind, policies); });
    if (!figures) Die("a run ended without figures");
    runs.push_back(*figures);
  }
  std::sort(runs.begin(), runs.end(),
            [](const Figures& a, const Figures& b) { return TotalMicros(a) < TotalMicros(b); });
  return runs[runs.size() / 2];
}

void Print(const Kind& kind, const Setting& setting) {
  double first_kib = 0;
  for (const int count : kPolicies) {
    const int policies = std::min(count, setting.services);
    const Figures median = MeasureRuns(setting, kind, policies);
    const double bare_kib = median.worker_kib - median.source_kib;
    if (count == 1) first_kib = bare_kib;
    std::printf("%-22s %8d %9.2f %9.2f %9.2f %11.0f %9.1f", kind.name, policies,
                TotalMicros(median), median.worker_us, median.daemon_us, 1e6 / TotalMicros(median),
                median.worker_kib / 1024);
    if (policies > 1) {
      std::printf(" %9.2f %9.2f", (bare_kib - first_kib) / (policies - 1),
                  median.source_kib / policies);
    } else {
      std::printf(" %9s %9.2f", "", median.source_kib);
    }
    std::printf(" %8.0f %%\n", 100 * median.held);
    std::fflush(stdout);
  }
}

int Main(int argc, char** argv) {
  Setting setting;
  if (argc > 1) setting.services = std::max(2, std::atoi(argv[1]));
  if (argc > 2) setting.rounds = std::max(1, std::atoi(argv[2]));
  if (argc > 3) setting.runs = std::max(1, std::atoi(argv[3]));
  if (argc > 4) setting.kind = argv[4];
  std::printf("policy_bench: %d services, medians of %d runs of %d rounds\n", setting.services,
              setting.runs, setting.rounds);
  std::printf("%-22s %8s %9s %9s %9s %11s %9s %9s %9s %9s\n", "policy", "distinct", "us", "worker",
              "daemon", "a second", "MiB", "KiB each", "source", "held");
  for (const Kind& kind : MakeKinds()) {
    if (setting.kind == nullptr || std::string(setting.kind) == kind.name) Print(kind, setting);
  }
  return 0;
}

}  // namespace
}  // namespace autoscale

int main(int argc, char** argv) { return autoscale::Main(argc, argv); }
