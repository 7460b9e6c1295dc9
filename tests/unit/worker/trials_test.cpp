// Policies tried at load by the real worker: what hangs or crashes there costs a message.
#include "daemon/worker/trials.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/sanitized.h"
#include "tests/unit/policy/bench.h"

namespace autoscale {
namespace {

using Kind = TrialVerdict::Kind;

// Stops nowhere that the host could end it for a long time: comparing strings of megabytes is one
// instruction.
constexpr const char* kHang = R"(
local s = string.rep("x", 1000000)
for i = 1, 6 do s = s .. s end
local a, b, n = s .. "a", s .. "b", 0
while true do if a < b then n = n + 1 end end
)";
constexpr const char* kFine = "return track(metric 'cpu', 0.6)";

// Limits with which kHang hangs for seconds.
PolicyLimits Hanging(Millis wall = Millis(20)) {
  return {.instructions = 1'000'000, .memory_bytes = 1u << 30, .wall = wall};
}

// Services, and the policy that is tried for each.
class Load {
 public:
  TestService& Add(const std::string& text, const std::string& path = "policies/test.lua") {
    services_.push_back(std::make_unique<TestService>());
    services_.back()->name = "s" + std::to_string(services_.size());
    policies_.push_back(std::make_shared<const PolicySource>(MakePolicy(text, path)));
    return *services_.back();
  }
  // As a load asks: without samples.
  [[nodiscard]] std::vector<EvaluationRequest> Requests() const {
    std::vector<EvaluationRequest> requests;
    for (size_t i = 0; i < services_.size(); ++i) {
      requests.push_back({.policy = policies_[i], .snapshot = services_[i]->View()});
      requests.back().snapshot.samples = {};
    }
    return requests;
  }

 private:
  std::vector<std::unique_ptr<TestService>> services_;
  std::vector<std::shared_ptr<const PolicySource>> policies_;
};

std::vector<TrialVerdict> Try(const Load& load, const PolicyLimits& limits,
                              const char* executable = WORKER_PATH) {
  PolicyTrials trials(executable, limits, {});
  const std::vector<EvaluationRequest> requests = load.Requests();
  auto verdicts = trials.Try(requests);
  EXPECT_TRUE(verdicts) << verdicts.error().message;
  return verdicts ? *std::move(verdicts) : std::vector<TrialVerdict>(requests.size());
}

std::vector<std::string> TextsOf(const std::vector<TrialVerdict>& verdicts) {
  std::vector<std::string> texts;
  for (const TrialVerdict& verdict : verdicts) texts.push_back(verdict.text);
  return texts;
}

TEST(TrialsTest, SaysWhatTheHostSays) {
  Load load;
  load.Add(kFine);
  load.Add("return track(metric 'cpu', 75)");
  load.Add("return hold(");
  load.Add("if metric('cpu').value > 1 then error('what now') end return hold()");
  load.Add("count = 1 return hold()", "policies/global.lua");
  load.Add("while true do end");
  const auto verdicts = Try(load, {});
  const auto requests = load.Requests();
  PolicyHost host({});
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto here = host.Check(*requests[i].policy, requests[i].snapshot);
    EXPECT_EQ(verdicts[i].text, here.ok() ? *here : here.error().message);
    EXPECT_EQ(verdicts[i].kind, !here.ok()      ? Kind::kError
                                : here->empty() ? Kind::kFine
                                                : Kind::kDoubt);
    EXPECT_EQ(verdicts[i].text.empty(), i == 0);
  }
}

TEST(TrialsTest, AHangCostsAMessageAndNobodyElse) {
  Load load;
  load.Add(kFine);
  load.Add(kHang, "policies/hang.lua");
  load.Add("return track(metric 'cpu', 75)");
  load.Add(kFine).bounds.max = 30;
  const auto verdicts = Try(load, Hanging());
  EXPECT_EQ(verdicts[0].kind, Kind::kFine);
  EXPECT_EQ(verdicts[1].kind, Kind::kDoubt);
  EXPECT_EQ(verdicts[1].text,
            "policies/hang.lua: did not come back within 20 ms, and the process running it was "
            "killed (policy_limits.wall)");
  EXPECT_EQ(verdicts[2].kind, Kind::kError);
  EXPECT_EQ(verdicts[3].kind, Kind::kFine);
}

TEST(TrialsTest, AServicesOwnTimeIsThatAfterWhichItsTrialIsKilled) {
  Load load;
  load.Add(kHang, "policies/hang.lua");
  auto requests = load.Requests();
  requests[0].snapshot.limits.wall = Millis(10);
  PolicyTrials trials(WORKER_PATH, Hanging(), {});
  EXPECT_EQ(trials.Try(requests)->at(0).text,
            "policies/hang.lua: did not come back within 10 ms, and the process running it was "
            "killed (limits.wall of service s1)");
}

// A worker with a small stack, which calls from C into Lua and back overflow.
TEST(TrialsTest, ACrashCostsAMessageAndNobodyElse) {
  if (kSlower > 1) GTEST_SKIP() << "a sanitizer needs more stack than this test leaves";
  std::string folder = (std::filesystem::temp_directory_path() / "trials-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string script = folder + "/worker";
  std::ofstream(script) << "#!/bin/sh\nulimit -s 48\nexec " << WORKER_PATH << "\n";
  ASSERT_EQ(chmod(script.c_str(), 0755), 0);
  Load load;
  load.Add(kFine);
  load.Add(
      "local function down(n)\n"
      "  if n > 0 then table.sort({1, 2}, function() down(n - 1) return false end) end\n"
      "end\n"
      "down(190)\n"
      "return hold()",
      "policies/deep.lua");
  load.Add(kFine).bounds.max = 30;
  EXPECT_EQ(Try(load, {})[1].text, "") << "with the usual stack it is fine";
  const auto verdicts = Try(load, {}, script.c_str());
  EXPECT_EQ(TextsOf(verdicts),
            (std::vector<std::string>{
                "", "policies/deep.lua: the process running it crashed, twice", ""}));
  std::filesystem::remove_all(folder);
}

TEST(TrialsTest, WithoutMemoryItIsToldAndTheOthersAreFine) {
  if (kSlower > 1) GTEST_SKIP() << "sanitizers reserve terabytes: the worker's memory is unbounded";
  Load load;
  load.Add(kFine);
  load.Add("local all = {} while true do all[#all + 1] = {} end", "policies/eats.lua");
  load.Add(kFine).bounds.max = 30;
  const auto verdicts = Try(load, {.instructions = 1'000'000'000,
                                   .memory_bytes = 1u << 30,
                                   .wall = Millis(5'000),
                                   .worker_bytes = 100u << 20});
  EXPECT_EQ(verdicts[0].kind, Kind::kFine);
  EXPECT_EQ(verdicts[1].kind, Kind::kDoubt);
  // It depends on what else is in the process whether LuaJIT notices or something dies of it.
  EXPECT_TRUE(verdicts[1].text.starts_with("policies/eats.lua: not enough memory") ||
              verdicts[1].text == "policies/eats.lua: the process running it crashed, twice")
      << verdicts[1].text;
  EXPECT_EQ(verdicts[2].kind, Kind::kFine);
}

TEST(TrialsTest, APolicyThatWasKilledThreeTimesIsNotTriedForMore) {
  Load load;
  for (int i = 0; i < 20; ++i) load.Add(kHang, "policies/hang.lua").bounds.max = 10 + i / 2;
  load.Add(kFine);
  const auto texts = TextsOf(Try(load, Hanging()));
  const auto count = [&](const std::string& part) {
    return std::count_if(texts.begin(), texts.end(), [&](const std::string& text) {
      return text.find(part) != std::string::npos;
    });
  };
  EXPECT_EQ(count("policies/hang.lua: did not come back within 20 ms"), 3);
  EXPECT_EQ(count("policies/hang.lua: quarantined: the process running it has had to be killed 3 "
                  "times; change the file or the limit to have it tried again"),
            17);
  EXPECT_EQ(texts.back(), "");
}

TEST(TrialsTest, AfterTooManyLossesTheRestIsNotTried) {
  Load load;
  load.Add(kFine);
  for (int i = 0; i < 34; ++i) {
    load.Add(kHang + std::string("-- ") + std::to_string(i),
             "policies/" + std::to_string(i) + ".lua");
  }
  load.Add(kFine).bounds.max = 30;
  PolicyTrials trials(WORKER_PATH, Hanging(Millis(1)), {});
  const auto requests = load.Requests();
  const auto verdicts = trials.Try(requests);
  ASSERT_TRUE(verdicts) << verdicts.error().message;
  EXPECT_EQ(verdicts->front().kind, Kind::kFine);
  for (size_t i = 1; i < verdicts->size(); ++i) {
    EXPECT_EQ((*verdicts)[i].kind, i <= 32 ? Kind::kDoubt : Kind::kUntried) << i;
  }
  EXPECT_EQ(trials.last_loss(), (*verdicts)[32].text);
}

TEST(TrialsTest, WhatAsksForTheServicesNameIsTriedForEach) {
  Load load;
  const char* text =
      "if service == 's2' then error('not for ' .. service) end\n"
      "return track(metric 'cpu', 0.6)";
  for (int i = 0; i < 3; ++i) load.Add(text);
  const auto verdicts = Try(load, {});
  EXPECT_EQ(verdicts[0].text, "");
  EXPECT_TRUE(verdicts[1].text.starts_with("policies/test.lua:1: not for s2")) << verdicts[1].text;
  EXPECT_EQ(verdicts[2].text, "");
}

// The broken worker numbers the trials that it is asked for.
TEST(TrialsTest, WhatIsTheSameButForTheNameIsTriedOnce) {
  Load load;
  for (int i = 0; i < 3; ++i) load.Add(kFine);
  load.Add(kFine).params["target"] = 0.7;
  load.Add(kFine).bounds.min = 1;
  load.Add(kFine).metrics[0].unit = Unit::kPercent;
  load.Add(kFine).metrics[0].name = "memory";
  load.Add(kFine, "policies/other.lua");
  load.Add("return hold()");
  load.Add(kFine);
  EXPECT_EQ(TextsOf(Try(load, {}, BROKEN_WORKER_PATH)),
            (std::vector<std::string>{"1", "1", "1", "2", "3", "4", "5", "6", "7", "1"}));

  Load twins;
  for (int i = 0; i < 4; ++i) twins.Add(kFine);
  auto requests = twins.Requests();
  const std::vector<std::shared_ptr<const Zone>> zones{
      std::make_shared<const Zone>(Zone{.name = "UTC", .version = "1", .changes = {}})};
  requests[1].snapshot.zones = zones;
  requests[2].snapshot.limits.instructions = 1'000;  // whose message names the service
  requests[3].snapshot.limits.instructions = 1'000;
  PolicyTrials trials(BROKEN_WORKER_PATH, {}, {});
  EXPECT_EQ(TextsOf(*trials.Try(requests)), (std::vector<std::string>{"1", "2", "3", "4"}));
}

TEST(TrialsTest, ATrialMayTakeLongerThanAnEvaluation) {
  Load load;
  // Some 20 ms each time, 35 times: beyond what one of 100 ms may take before it is killed.
  load.Add("for i = 1, 2500000 do end return track(metric 'cpu', 0.6)");
  EXPECT_EQ(Try(load, {.instructions = 1'000'000'000})[0].text, "");
}

TEST(TrialsTest, AWorkerAnswersWhatItHasAfterASlice) {
  Load load;
  for (int i = 0; i < 100; ++i) {
    load.Add("for i = 1, 10000 do end return track(metric 'cpu', 0.6)").bounds.max = 20 + i;
  }
  auto process = WorkerProcess::Spawn(WORKER_PATH, {});
  ASSERT_TRUE(process) << process.error().message;
  WorkerBatch batch(FrameKind::kTrials, Millis(100));
  const auto requests = load.Requests();
  std::vector<uint32_t> todo(requests.size());
  for (uint32_t i = 0; i < todo.size(); ++i) todo[i] = i;
  ASSERT_EQ(batch.Pack(requests, todo, todo.size()), 100U);
  std::string answer;
  ASSERT_FALSE((*process)->Exchange(batch.frames(), batch.walls(), answer));
  FrameReader in(answer);
  ASSERT_EQ(in.Get<uint8_t>(), static_cast<uint8_t>(FrameKind::kVerdicts));
  int count = 0;
  for (; in.ok() && !in.Done(); ++count) GetVerdict(in);
  EXPECT_GE(count, 1);
  EXPECT_LT(count, 100);
}

// Until `pid` has worked for 100 ms.
void AwaitWork(int pid) {
  clockid_t clock{};
  ASSERT_EQ(clock_getcpuclockid(pid, &clock), 0);
  timespec used{};
  while (clock_gettime(clock, &used) == 0 && used.tv_sec == 0 && used.tv_nsec < 100'000'000) {
    std::this_thread::yield();
  }
}

TEST(TrialsTest, AStopEndsATrialThatHangs) {
  Load load;
  load.Add(kHang);
  const auto requests = load.Requests();
  auto process = WorkerProcess::Spawn(WORKER_PATH, Hanging(std::chrono::hours(1)));
  ASSERT_TRUE(process) << process.error().message;
  WorkerBatch batch(FrameKind::kTrials, std::chrono::hours(1));
  batch.Pack(requests, std::vector<uint32_t>{0}, 1);
  std::stop_source ends;
  std::jthread stopper([&] {
    AwaitWork((*process)->pid());
    ends.request_stop();
  });
  std::string answer;
  EXPECT_EQ((*process)->Exchange(batch.frames(), batch.walls(), answer, ends.get_token()),
            Loss::kLeft);
  stopper.join();
  const auto stopped = PolicyTrials(WORKER_PATH, {}, ends.get_token()).Try(requests);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().message, "told to stop before it was done");
}

TEST(TrialsTest, AWorkerThatHangsEndsWithWhoStartedIt) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const int daemon = fork();
  ASSERT_GE(daemon, 0);
  if (daemon == 0) {
    Load load;
    load.Add(kHang);
    auto process = WorkerProcess::Spawn(WORKER_PATH, Hanging(std::chrono::hours(1)));
    if (!process) _exit(1);
    const int pid = (*process)->pid();
    if (write(pipes[1], &pid, sizeof pid) != sizeof pid) _exit(1);
    WorkerBatch batch(FrameKind::kTrials, std::chrono::hours(1));
    batch.Pack(load.Requests(), std::vector<uint32_t>{0}, 1);
    std::string answer;
    (*process)->Exchange(batch.frames(), batch.walls(), answer);
    _exit(1);
  }
  close(pipes[1]);
  int worker = 0;
  ASSERT_EQ(read(pipes[0], &worker, sizeof worker), static_cast<ssize_t>(sizeof worker));
  close(pipes[0]);
  AwaitWork(worker);
  kill(daemon, SIGKILL);
  ASSERT_EQ(waitpid(daemon, nullptr, 0), daemon);
  int status = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (waitpid(worker, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > until) {
      ADD_FAILURE() << "it runs on";
      kill(worker, SIGKILL);
    }
    std::this_thread::yield();
  }
  EXPECT_TRUE(WIFSIGNALED(status));
}

TEST(TrialsTest, WithoutAWorkerNothingIsTried) {
  Load load;
  load.Add(kFine);
  const auto requests = load.Requests();
  const auto none = PolicyTrials("/nowhere/worker", {}, {}).Try(requests);
  ASSERT_FALSE(none);
  EXPECT_TRUE(none.error().message.starts_with("policy worker: cannot start /nowhere/worker: "))
      << none.error().message;
  EXPECT_TRUE(PolicyTrials("/nowhere/worker", {}, {}).Try({})) << "nothing is to be tried";
}

}  // namespace
}  // namespace autoscale
