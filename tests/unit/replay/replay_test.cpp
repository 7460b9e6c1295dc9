// Decisions of random situations, stored in the real database and read back, come out the same bit
// for bit when they are made again.
#include "engine/replay/replay.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "daemon/store/store.h"
#include "engine/decision/override.h"
#include "engine/model/text.h"
#include "tests/random.h"

namespace autoscale {
namespace {

// What they say and keep tells every bit of what they saw.
const std::vector<std::string> kPolicies = {
    R"(return track(metric "cpu", param "target"))",
    R"(local cpu = metric "cpu"
       state.n = (state.n or 0) + 1
       state.last = cpu.usable and cpu.value or nil
       state.raw = "\0\255" .. tostring(state.n)
       if not cpu.usable then return hold("cpu is " .. cpu.state) end
       return scale_to(math.abs(cpu.value) % 30,
                       string.format("%.17g %.17g %.17g", cpu.value, cpu.age or -1, cpu.coverage or -1)))",
    R"(local sum, names = 0, ""
       for _, i in ipairs(metric("queue").instances) do
         sum = sum + (i.ready and i.value or 0)
         names = names .. i.id .. string.format("=%.17g ", i.value)
       end
       if sum ~= sum then return hold("no sum of " .. names) end
       return scale_up(1, names .. tostring(param "text") .. tostring(param "flag")))",
    R"(state.since = state.since or now
       local q = metric "queue"
       if q.value > 50 then return scale_up(2, "at " .. string.format("%.3f", now)) end
       if now - state.since > 30 then state.since = now return scale_down(1, "long enough") end
       return hold("waiting"))",
    R"(return threshold(metric "queue", {above = 75, up = 2, below = 30, down = 1}))",
    R"(local x = nil; return x.y)",
    R"(local t = local_time(now)
       return hold(string.format("%d-%d %d:%d:%d %s", t.month, t.day, t.hour, t.minute, t.second,
                                 tostring(t.offset))))",
};

// Of all bit patterns, with those that are easily lost more often.
double AnyNumber(Random& random) {
  constexpr double kOdd[] = {0.0,  -0.0, 5e-324, 2.2250738585072009e-308, 1e308, 0.1 + 0.2,
                             75.0, 30.0, 1e-7,   123456789.123456789};
  if (random.Chance(30)) return kOdd[random.Whole(0, std::size(kOdd) - 1)];
  if (random.Chance(60)) return random.Real(-10, 200);
  return std::bit_cast<double>(random.Bits());
}

float AnyFloat(Random& random) {
  if (random.Chance(10)) return std::numeric_limits<float>::infinity();
  if (random.Chance(10)) return std::numeric_limits<float>::denorm_min();
  return static_cast<float>(random.Real(-2, 100));
}

Sample RandomSample(Random& random) {
  Sample sample{.value = AnyNumber(random),
                .state = random.Chance(80) ? SampleState::kFresh
                                           : static_cast<SampleState>(random.Whole(0, 6)),
                .substituted = random.Chance(5)};
  if (random.Chance(70)) sample.age_s = AnyFloat(random);
  if (random.Chance(70)) sample.coverage = AnyFloat(random);
  for (int64_t i = random.Whole(-3, 4); i > 0; --i) {
    sample.instances.push_back({random.Bytes(6), AnyNumber(random), random.Chance(70)});
  }
  if (random.Chance(20)) sample.error = std::make_shared<const std::string>(random.Bytes(40));
  return sample;
}

DirectionRules RandomDirection(Random& random) {
  DirectionRules rules{.stabilization = Millis(random.Whole(0, 90'000)),
                       .cooldown = Millis(random.Whole(0, 60'000)),
                       .select = static_cast<RateSelect>(random.Whole(0, 2)),
                       .max_step_percent = static_cast<int>(random.Whole(0, 1) * 50)};
  for (int64_t i = random.Whole(0, 2); i > 0; --i) {
    rules.limits.push_back({.kind = static_cast<RateLimit::Kind>(random.Whole(0, 1)),
                            .value = static_cast<int>(random.Whole(1, 100)),
                            .period = Millis(random.Whole(1000, 120'000))});
  }
  return rules;
}

// One service through time; each tick is as the daemon makes it.
class Service {
 public:
  explicit Service(Random& random)
      : random_(random), now_(Millis(random.Whole(0, 4'000'000'000'000))) {
    Pick();
  }

  // One tick's record, as it was made.
  DecisionRecord Tick(PolicyHost& host) {
    if (random_.Chance(10)) Pick();
    now_ += Millis(random_.Whole(1, 30'000));
    DecisionRecord record{
        .id = random_.Whole(1, 1'000'000),
        .service = "web",
        .at = now_,
        .capacity = {.desired = desired_, .ready = static_cast<int>(random_.Whole(0, desired_))},
        .bounds = basis_.rules->bounds};
    record.samples = {{"cpu", Unit::kRatio, RandomSample(random_), random_.Chance(50)},
                      {"queue", Unit::kCount, RandomSample(random_)}};
    record.policy = basis_.policy->path;
    DecisionInputs inputs{.basis_hash = HashOf(Encode(basis_)),
                          .basis = basis_,
                          .state = state_,
                          .history = history_.Encode(),
                          .conditions = RandomConditions()};
    Evaluate(host, record, inputs);
    record.inputs = std::make_shared<const DecisionInputs>(std::move(inputs));
    return record;
  }

 private:
  void Pick() {
    const auto& text = kPolicies[static_cast<size_t>(random_.Whole(0, std::size(kPolicies) - 1))];
    basis_ = {.version = "1.2.3",
              .policy = std::make_shared<const PolicySource>(
                  PolicySource{.path = "policies/p.lua", .text = text, .hash = HashOf(text)})};
    Params params{{"target", random_.Chance(50) ? 0.6 : std::abs(AnyNumber(random_))},
                  {"flag", random_.Chance(50)},
                  {"text", random_.Bytes(8)}};
    basis_.params = std::make_shared<const Params>(std::move(params));
    if (random_.Chance(50)) {
      basis_.zones = {std::make_shared<const Zone>(
          Zone{.name = "Europe/Berlin",
               .version = "2025b",
               .changes = {{0, 3600, "CET"}, {1'000'000'000, 7200, "CEST"}}})};
    }
    ScalingRules rules;
    rules.bounds.min = static_cast<int>(random_.Whole(0, 5));
    rules.bounds.max = static_cast<int>(random_.Whole(5, 60));
    rules.up = RandomDirection(random_);
    rules.down = RandomDirection(random_);
    rules.reversals = {.most = static_cast<int>(random_.Whole(0, 3)),
                       .period = Millis(random_.Whole(1000, 3'600'000))};
    if (random_.Chance(50)) {
      rules.error_guard = {.metric = random_.Chance(50) ? "queue" : "cpu",
                           .above = AnyNumber(random_)};
    }
    rules.projection = random_.Chance(50);
    basis_.rules = std::make_shared<const ScalingRules>(rules);
  }

  Conditions RandomConditions() {
    Conditions conditions;
    if (random_.Chance(50)) {
      const int left = static_cast<int>(random_.Whole(0, 20));
      conditions.budget = {
          .limit = 20, .left = left, .granted = static_cast<int>(random_.Whole(0, left))};
    }
    if (random_.Chance(20)) {
      conditions.cost = {.limit = 10, .left = AnyNumber(random_), .price = 0.1, .granted = 3};
    }
    if (random_.Chance(20)) conditions.from = static_cast<int>(random_.Whole(0, 20));
    if (random_.Chance(20)) conditions.errors = random_.Bytes(20);
    if (random_.Chance(20)) conditions.protected_instances = static_cast<int>(random_.Whole(0, 9));
    if (random_.Chance(20)) {
      conditions.projections.push_back({.capacity = static_cast<int>(random_.Whole(0, 20)),
                                        .proposed = static_cast<int>(random_.Whole(0, 20)),
                                        .samples = random_.Bytes(20),
                                        .asked = random_.Chance(80)});
    }
    return conditions;
  }

  void Evaluate(PolicyHost& host, DecisionRecord& record, DecisionInputs& inputs) {
    std::vector<DeclaredMetric> declared;
    std::vector<Sample> samples;
    for (const NamedSample& named : record.samples) {
      declared.push_back({.name = named.name, .unit = named.unit, .spread = named.spread});
      samples.push_back(named.sample);
    }
    Evaluation evaluation = host.Evaluate(*basis_.policy, {.service = record.service,
                                                           .now = now_,
                                                           .capacity = record.capacity,
                                                           .bounds = basis_.rules->bounds,
                                                           .metrics = declared,
                                                           .samples = samples,
                                                           .params = basis_.params.get(),
                                                           .zones = basis_.zones,
                                                           .state = state_});
    record.proposal = std::move(evaluation.proposal);
    record.proposal.reason = OneLine(record.proposal.reason, 1000);
    if (evaluation.state && *evaluation.state != state_) {
      state_ = *std::move(evaluation.state);
      inputs.new_state = state_;
    }
    history_.AddProposal(now_, record.proposal.capacity);
    record.decision =
        Decide(*basis_.rules, record.proposal, record.capacity, now_, history_, inputs.conditions);
    if (random_.Chance(10)) {
      const std::string_view stronger[] = {kPause, kBreaker, kStore};
      Override(record.decision, stronger[random_.Whole(0, 2)], desired_,
               "because " + random_.Bytes(9));
    }
    const int delta = record.decision.desired - desired_;
    if (delta != 0) history_.AddChange(now_, delta);
    history_.Forget(now_, *basis_.rules);
    desired_ = record.decision.desired;
  }

  Random& random_;
  TimePoint now_;
  Basis basis_;
  int desired_ = 5;
  std::string state_;
  History history_;
};

class ReplayStoreTest : public testing::Test {
 protected:
  ~ReplayStoreTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Open() {
    store_.reset();
    auto opened = Store::Open(folder_.string());
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    store_ = *std::move(opened);
  }
  void Keep(std::vector<DecisionRecord> records) {
    const Status kept = store_->Commit({.decisions = std::move(records)});
    ASSERT_TRUE(kept.ok()) << kept.error().message;
  }
  // With all that it depends on; as whoever replays it reads it.
  DecisionRecord ReadBack(int64_t id) {
    auto read = store_->ReadDecision(id);
    EXPECT_TRUE(read.ok() && *read) << id;
    if (!read.ok() || !*read) return {};
    DecisionRecord record = **std::move(read);
    auto basis = store_->ReadBasis(record.inputs->basis_hash);
    EXPECT_TRUE(basis.ok() && *basis) << id;
    if (!basis.ok() || !*basis) return record;
    auto inputs = std::make_shared<DecisionInputs>(*record.inputs);
    inputs->basis = **std::move(basis);
    record.inputs = std::move(inputs);
    return record;
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / ("replay_" + std::to_string(getpid()));
  std::unique_ptr<Store> store_;
};

std::string Told(const std::vector<Difference>& differences) {
  std::string text;
  for (const Difference& one : differences) {
    text += one.what + ": " + one.recorded + " | " + one.replayed + "\n";
  }
  return text;
}

// AUTOSCALED_REPLAYS=100000 for a long run, AUTOSCALED_SEED for another.
TEST_F(ReplayStoreTest, RandomDecisionsComeOutIdentical) {
  constexpr int kBatch = 100;
  const auto ticks = static_cast<int>(FromEnvironment("AUTOSCALED_REPLAYS", 4000));
  const uint64_t seed = FromEnvironment("AUTOSCALED_SEED", 4711);
  SCOPED_TRACE("AUTOSCALED_SEED=" + std::to_string(seed));
  Random random(seed);
  PolicyHost host{PolicyLimits{}};
  Service service(random);
  std::vector<std::string> states;  // after each decision
  std::vector<uint64_t> made;       // the records, as they were before they were stored
  int moved = 0;
  std::map<HoldCause, int> holds;
  Open();
  while (static_cast<int>(states.size()) < ticks) {
    std::vector<DecisionRecord> records;
    while (records.size() < kBatch && static_cast<int>(states.size()) < ticks) {
      DecisionRecord record = service.Tick(host);
      states.push_back(record.inputs->new_state.value_or(record.inputs->state));
      record.id = static_cast<int64_t>(states.size());
      made.push_back(HashOf(ToJson(record).dump()));
      moved += record.decision.before != record.decision.desired ? 1 : 0;
      ++holds[record.proposal.cause];
      records.push_back(std::move(record));
    }
    Keep(std::move(records));
    if (HasFatalFailure()) return;
  }
  Open();                            // by a program that was started later
  PolicyHost other{PolicyLimits{}};  // knows nothing of what the first one ran
  for (int id = 1; id <= ticks; ++id) {
    const DecisionRecord read = ReadBack(id);
    ASSERT_FALSE(HasFailure());
    ASSERT_EQ(HashOf(ToJson(read).dump()), made[static_cast<size_t>(id) - 1]) << id;
    ASSERT_TRUE(CheckReplayable(read).ok());
    const Basis& basis = read.inputs->basis;
    const auto replayed = Replay(other, *basis.policy, *basis.params, read);
    ASSERT_TRUE(replayed.ok()) << replayed.error().message;
    ASSERT_EQ(Told(Compare(read, *replayed)), "") << id << "\n" << ToJson(read).dump(2);
    ASSERT_EQ(states[static_cast<size_t>(id) - 1], replayed->state) << id;
  }
  // All kinds were there.
  EXPECT_GT(moved, ticks / 100);
  EXPECT_GE(holds.size(), 5u);
  std::printf("%d decisions stored, read and made again, identical; %d changed a capacity\n", ticks,
              moved);
}

// What any input does to the outcome shows: else "identical" would say little.
TEST(Replay, AnotherBitOfAnInputShows) {
  Random random(7);
  PolicyHost host{PolicyLimits{}};
  const std::string text =
      "state.n = (state.n or 0) + metric('cpu').value return hold('' .. param('p'))";
  Basis basis{.version = "1",
              .policy = std::make_shared<const PolicySource>(
                  PolicySource{.path = "p.lua", .text = text, .hash = 1}),
              .params = std::make_shared<const Params>(Params{{"p", 1.0}}),
              .rules = std::make_shared<const ScalingRules>()};
  DecisionRecord record{.id = 1,
                        .service = "web",
                        .at = TimePoint(Millis(1'000'000)),
                        .capacity = {.desired = 1, .ready = 1}};
  record.samples = {{"cpu", Unit::kCount, {.value = 0.3, .state = SampleState::kFresh}}};
  auto inputs = std::make_shared<DecisionInputs>(DecisionInputs{.basis = basis});
  record.inputs = inputs;
  auto first = Replay(host, *basis.policy, *basis.params, record);
  ASSERT_TRUE(first.ok());
  record.proposal = first->proposal;
  record.decision = first->decision;
  inputs->new_state = first->state;
  const auto differences = [&](const DecisionRecord& changed, const Params& params) {
    const auto again = Replay(host, *basis.policy, params, changed);
    return Told(Compare(changed, *again));
  };
  EXPECT_EQ(differences(record, *basis.params), "");
  DecisionRecord changed = record;
  changed.samples[0].sample.value = std::nextafter(0.3, 1.0);
  EXPECT_NE(differences(changed, *basis.params).find("state: "), std::string::npos);
  EXPECT_EQ(differences(record, {{"p", 2.0}}), "proposal.reason: 1 | 2\ndecision.reason: 1 | 2\n");
}

TEST(Replay, SaysWhyItCannot) {
  DecisionRecord record{.id = 1, .service = "web"};
  record.proposal.at = "p.lua:1";
  EXPECT_NE(CheckReplayable(record).error().message.find("stored by an older version"),
            std::string::npos);
  auto inputs = std::make_shared<DecisionInputs>();
  record.inputs = inputs;
  EXPECT_NE(CheckReplayable(record).error().message.find("not stored any more"), std::string::npos);
  inputs->outside = true;
  record.proposal.reason = "p.lua: quarantined";
  EXPECT_EQ(CheckReplayable(record).error().message,
            "cannot be replayed: no evaluation led to it: p.lua: quarantined");
}

TEST(Inputs, ABasisIsKnownByAllOfIt) {
  const auto hash = [](auto change) {
    PolicySource policy{.path = "p.lua", .text = "x", .hash = 1};
    Params params{{"p", 1.0}};
    ScalingRules rules;
    Basis basis{.version = "1"};
    change(basis, policy, params, rules);
    basis.policy = std::make_shared<const PolicySource>(policy);
    basis.params = std::make_shared<const Params>(params);
    basis.rules = std::make_shared<const ScalingRules>(rules);
    return HashOf(Encode(basis));
  };
  const uint64_t same = hash([](auto&, auto&, auto&, auto&) {});
  EXPECT_EQ(same, hash([](auto&, auto&, auto&, auto&) {}));
  EXPECT_NE(same, hash([](auto& basis, auto&, auto&, auto&) { basis.version = "2"; }));
  EXPECT_NE(same, hash([](auto& basis, auto&, auto&, auto&) { basis.limits.instructions = 1; }));
  EXPECT_NE(same, hash([](auto&, auto& policy, auto&, auto&) { policy.hash = 2; }));
  EXPECT_NE(same, hash([](auto&, auto& policy, auto&, auto&) { policy.path = "q.lua"; }));
  EXPECT_NE(
      same, hash([](auto& basis, auto&, auto&, auto&) {
        basis.zones = {std::make_shared<const Zone>(Zone{.name = "X", .changes = {{1, 2, ""}}})};
      }));
  EXPECT_NE(same, hash([](auto&, auto&, auto& params, auto&) { params["p"] = true; }));
  EXPECT_NE(same, hash([](auto&, auto&, auto& params, auto&) { params["p"] = std::string("1"); }));
  EXPECT_NE(same, hash([](auto&, auto&, auto&, auto& rules) { rules.down.cooldown = Millis(1); }));
  EXPECT_NE(same, hash([](auto&, auto&, auto&, auto& rules) { rules.bounds.max = 7; }));
  EXPECT_NE(same, hash([](auto&, auto&, auto&, auto& rules) { rules.reversals.most = 2; }));
  EXPECT_NE(same,
            hash([](auto&, auto&, auto&, auto& rules) { rules.reversals.period = Millis(1); }));
  EXPECT_NE(same, hash([](auto&, auto&, auto&, auto& rules) { rules.projection = false; }));
  EXPECT_NE(same, hash([](auto&, auto&, auto&, auto& rules) {
              rules.error_guard = {.metric = "errors", .above = 0};
            }));
}

TEST(Inputs, DamagedTextIsRefused) {
  DecisionInputs inputs{.state = "a\xff", .history = "P1 2 3 "};
  inputs.conditions.errors = "too many";
  const std::string text = Encode(inputs);
  ASSERT_TRUE(DecodeInputs(text).ok());
  EXPECT_EQ(DecodeInputs(text)->state, "a\xff");
  for (size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(DecodeInputs(text.substr(0, length)).ok()) << length;
  }
  for (const char* bad : {"{}", "[]", R"({"basis":"12"})", R"({"hex":"zz"})"}) {
    EXPECT_FALSE(DecodeInputs(bad).ok()) << bad;
    EXPECT_FALSE(DecodeBasis(bad).ok()) << bad;
    Basis basis{.policy = std::make_shared<const PolicySource>()};
    EXPECT_FALSE(DecodeSource(bad, basis).ok()) << bad;
  }
}

}  // namespace
}  // namespace autoscale
