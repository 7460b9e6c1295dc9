#include "daemon/worker/worker.h"

#include <gtest/gtest.h>

#include <csignal>
#include <ctime>
#include <fstream>
#include <thread>

#include "tests/signal_one.h"
#include "tests/unit/policy/bench.h"

namespace autoscale {
namespace {

// Stops nowhere that the host could end it for a long time: comparing strings of megabytes is one
// instruction.
constexpr const char* kHang = R"(
local s = string.rep("x", 1000000)
for i = 1, 6 do s = s .. s end
local a, b = s .. "a", s .. "b"
local n = 0
while true do if a < b then n = n + 1 end end
)";

std::shared_ptr<const PolicySource> Policy(const std::string& text,
                                           const std::string& path = "policies/test.lua") {
  return std::make_shared<const PolicySource>(MakePolicy(text, path));
}

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override { Start({}); }
  void Start(PolicyLimits limits) {
    worker_.reset();
    auto started = PolicyWorker::Start(WORKER_PATH, limits, counters_);
    ASSERT_TRUE(started) << started.error().message;
    worker_ = std::move(started).value();
  }
  // Limits with which kHang hangs for seconds.
  static PolicyLimits Hanging() {
    return {.instructions = 1'000'000, .memory_bytes = 1u << 30, .wall = Millis(20)};
  }
  EvaluationRequest Request(const std::shared_ptr<const PolicySource>& policy) {
    return {.policy = policy, .snapshot = service_.View()};
  }
  Proposal One(const std::shared_ptr<const PolicySource>& policy) {
    const EvaluationRequest request = Request(policy);
    return worker_->Evaluate({&request, 1}).at(0).proposal;
  }

  Counters counters_;
  TestService service_;
  std::unique_ptr<PolicyWorker> worker_;
};

TEST_F(WorkerTest, AnswersAsTheHostDoes) {
  service_.Cpu(0.9).state = "s1:nn1;";
  const auto policy =
      Policy("state.n = state.n + 1 return track(metric 'cpu', param 'target', {tolerance = 0.2})");
  const EvaluationRequest request = Request(policy);
  const Evaluation there = worker_->Evaluate({&request, 1}).at(0);
  const Evaluation here = PolicyHost({}).Evaluate(*policy, service_.View());
  EXPECT_EQ(there.proposal.capacity, 6);
  EXPECT_EQ(there.proposal.kind, here.proposal.kind);
  EXPECT_EQ(there.proposal.capacity, here.proposal.capacity);
  EXPECT_EQ(there.proposal.reason, here.proposal.reason);
  EXPECT_EQ(there.proposal.at, here.proposal.at);
  EXPECT_EQ(there.state, here.state);
  EXPECT_EQ(there.state, "s1:nn2;");
  EXPECT_TRUE(worker_->Evaluate({}).empty());
}

TEST_F(WorkerTest, ModulesGoWithTheirPolicies) {
  const auto module = [](const std::string& text) {
    return std::make_shared<const PolicyModule>(
        PolicyModule{.name = "n", .path = "policies/n.lua", .text = text});
  };
  std::vector<std::shared_ptr<const PolicySource>> policies;
  for (const char* text : {"return 5", "return 6", "return 5"}) {
    PolicySource policy =
        MakePolicy("return scale_to(require 'n' + " + std::to_string(10 * policies.size()) + ")");
    policy.modules = {module(text)};
    policy.hash += policies.size();
    policies.push_back(std::make_shared<const PolicySource>(std::move(policy)));
  }
  EXPECT_EQ(One(policies[0]).capacity, 5);
  EXPECT_EQ(One(policies[1]).capacity, 16);
  EXPECT_EQ(One(policies[2]).capacity, 25);
  SignalOne(worker_->pid(), SIGKILL);  // another one is sent them again
  EXPECT_EQ(One(policies[2]).capacity, 25);
  EXPECT_EQ(One(policies[1]).capacity, 16);
}

TEST_F(WorkerTest, OneFileIsRequiredUnderTwoNames) {
  std::vector<std::shared_ptr<const PolicySource>> policies;
  for (const std::string name : {"lib.n", "n"}) {
    PolicySource policy = MakePolicy("return scale_to(require '" + name + "')");
    policy.modules = {std::make_shared<const PolicyModule>(
        PolicyModule{.name = name, .path = "policies/lib/n.lua", .text = "return 5"})};
    policy.hash += policies.size();
    policies.push_back(std::make_shared<const PolicySource>(std::move(policy)));
  }
  EXPECT_EQ(One(policies[0]).capacity, 5);
  EXPECT_EQ(One(policies[1]).capacity, 5);
}

TEST_F(WorkerTest, ZonesGoWithTheirServices) {
  const auto zone = [](const char* name, int offset_s) {
    return std::make_shared<const Zone>(
        Zone{.name = name, .version = "1", .changes = {{0, offset_s, "X"}}});
  };
  const std::vector<std::shared_ptr<const Zone>> first{zone("A/East", 7200)};
  const std::vector<std::shared_ptr<const Zone>> second{zone("A/West", 14400), first[0]};
  const auto policy = Policy("return scale_to(local_time(3600).hour)");
  const auto named = Policy("return scale_to(local_time(3600, 'A/East').hour)");
  std::vector<EvaluationRequest> requests{Request(policy), Request(policy), Request(policy),
                                          Request(named)};
  requests[1].snapshot.zones = first;
  requests[2].snapshot.zones = requests[3].snapshot.zones = second;
  for (int round = 0; round < 2; ++round) {
    const auto answers = worker_->Evaluate(requests);
    EXPECT_EQ(answers.at(0).proposal.capacity, 1);
    EXPECT_EQ(answers.at(1).proposal.capacity, 3);
    EXPECT_EQ(answers.at(2).proposal.capacity, 5);
    EXPECT_EQ(answers.at(3).proposal.capacity, 3);
  }
}

TEST_F(WorkerTest, AfterTenLimitsInARowAPolicyIsQuarantinedForThatService) {
  const auto policy = Policy("if service == 'busy' then while true do end end return scale_to(7)");
  TestService busy;
  busy.name = "busy";
  const std::vector<EvaluationRequest> both{{.policy = policy, .snapshot = busy.View()},
                                            Request(policy)};
  const std::string limit =
      "test.lua:1: more than 200000 instructions in one evaluation (policy_limits.instructions)";
  for (int i = 0; i < 10; ++i) {
    const auto answers = worker_->Evaluate(both);
    EXPECT_EQ(answers.at(0).proposal.reason, limit);
    EXPECT_EQ(answers.at(1).proposal.capacity, 7);
  }
  EXPECT_EQ(counters_.quarantined, 0U);
  const auto answers = worker_->Evaluate(both);
  EXPECT_EQ(answers.at(0).proposal.reason,
            "test.lua: quarantined: 10 evaluations in a row ended at a limit, the last at " +
                limit + "; change the file or the limit to have it tried again");
  EXPECT_EQ(answers.at(0).proposal.at, "test.lua:1");
  EXPECT_EQ(answers.at(0).proposal.cause, HoldCause::kFault);
  EXPECT_EQ(answers.at(1).proposal.capacity, 7);  // the same policy for another service
  EXPECT_EQ(counters_.quarantined, 1U);
  // Another text is tried.
  const EvaluationRequest changed{.policy = Policy("return scale_to(8)"), .snapshot = busy.View()};
  EXPECT_EQ(worker_->Evaluate({&changed, 1}).at(0).proposal.capacity, 8);
  EXPECT_TRUE(worker_->Evaluate(both).at(0).quarantined) << "the same again is not";
}

TEST_F(WorkerTest, LimitsThatAreNotInARowAreForgiven) {
  const auto policy =
      Policy("if metric('cpu').value > 0.8 then while true do end end return hold()");
  for (int i = 0; i < 12; ++i) {
    service_.Cpu(i == 6 ? 0.5 : 0.9);
    EXPECT_EQ(One(policy).reason.find("quarantined"), std::string::npos) << i;
  }
}

TEST_F(WorkerTest, LargeBatchesAreAnsweredInOrder) {
  const auto policy = Policy("return scale_to(metric('rps').value, service)");
  std::vector<TestService> services(10'000);
  std::vector<EvaluationRequest> requests;
  for (size_t i = 0; i < services.size(); ++i) {
    services[i].name = "service-" + std::to_string(i);
    services[i].samples[1] = TestService::Fresh(static_cast<double>(i));
    requests.push_back({.policy = policy, .snapshot = services[i].View()});
  }
  const auto answers = worker_->Evaluate(requests);
  ASSERT_EQ(answers.size(), services.size());
  for (size_t i = 0; i < services.size(); ++i) {
    ASSERT_EQ(answers[i].proposal.capacity, static_cast<int>(i));
    ASSERT_EQ(answers[i].proposal.reason, services[i].name);
  }
  EXPECT_EQ(counters_.worker_restarts, 0U);
}

TEST_F(WorkerTest, AFaultCostsNobodyElse) {
  const std::vector<EvaluationRequest> requests = {
      Request(Policy("return scale_to(1)")),
      Request(Policy("while true do end", "policies/loop.lua")),
      Request(Policy("error('no')", "policies/no.lua")), Request(Policy("return scale_to(4)"))};
  const auto answers = worker_->Evaluate(requests);
  EXPECT_EQ(answers[0].proposal.capacity, 1);
  EXPECT_EQ(answers[1].proposal.reason,
            "loop.lua:1: more than 200000 instructions in one evaluation "
            "(policy_limits.instructions)");
  EXPECT_EQ(answers[2].proposal.reason, "no.lua:1: no");
  EXPECT_EQ(answers[3].proposal.capacity, 4);
  EXPECT_EQ(counters_.worker_restarts, 0U);
}

TEST_F(WorkerTest, AHangCostsTheWorkerButNobodyElse) {
  Start(Hanging());
  const int first = worker_->pid();
  const std::vector<EvaluationRequest> requests = {Request(Policy("return scale_to(1)")),
                                                   Request(Policy(kHang, "policies/hang.lua")),
                                                   Request(Policy("return scale_to(3)"))};
  const auto answers = worker_->Evaluate(requests);
  EXPECT_EQ(answers[0].proposal.capacity, 1);
  EXPECT_EQ(answers[1].proposal.cause, HoldCause::kFault);
  EXPECT_EQ(answers[1].proposal.capacity, 4);
  EXPECT_EQ(answers[1].proposal.reason,
            "hang.lua: did not come back within 20 ms, and the process running it was killed "
            "(policy_limits.wall)");
  EXPECT_EQ(answers[2].proposal.capacity, 3);
  EXPECT_NE(worker_->pid(), first);
  EXPECT_EQ(counters_.worker_restarts, 1U);
}

TEST_F(WorkerTest, AfterThreeKillsAPolicyIsQuarantinedUntilItsTextChanges) {
  Start(Hanging());
  const auto policy = Policy(kHang, "policies/hang.lua");
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(One(policy).reason.find("did not come back"), std::string::npos) << i;
  }
  const auto restarts = counters_.worker_restarts.load();
  EXPECT_EQ(
      One(policy).reason,
      "hang.lua: quarantined: the process running it has had to be killed 3 times; change the "
      "file or the limit to have it tried again");
  EXPECT_EQ(counters_.worker_restarts, restarts);
  EXPECT_EQ(One(Policy("return scale_to(8)", "policies/hang.lua")).capacity, 8);
}

TEST_F(WorkerTest, ManyServicesOfAHangingPolicyCostThreeKills) {
  Start(Hanging());
  const std::vector<EvaluationRequest> requests(50, Request(Policy(kHang)));
  for (const Evaluation& answer : worker_->Evaluate(requests)) {
    EXPECT_EQ(answer.proposal.cause, HoldCause::kFault);
  }
  EXPECT_EQ(One(Policy("return scale_to(8)")).capacity, 8);
  EXPECT_EQ(counters_.worker_restarts, 3U);
}

TEST_F(WorkerTest, AKilledWorkerIsReplaced) {
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(SignalOne(worker_->pid(), SIGKILL), 0);
    EXPECT_EQ(One(Policy("return scale_to(6)")).capacity, 6);
    EXPECT_EQ(counters_.worker_restarts, static_cast<uint64_t>(i));
  }
}

TEST_F(WorkerTest, KilledInTheMiddleOfABatchNobodyIsBlamed) {
  // About a second of work: 300 policies that take most of their instructions.
  const std::vector<EvaluationRequest> requests(
      300, Request(Policy("for i = 1, 60000 do end return scale_to(6)")));
  clockid_t clock{};
  const int pid = worker_->pid();
  ASSERT_EQ(clock_getcpuclockid(pid, &clock), 0);
  std::thread killer([pid, clock] {
    timespec busy{};  // until it has worked for 20 ms, start-up included
    while (clock_gettime(clock, &busy) == 0 && busy.tv_sec == 0 && busy.tv_nsec < 20'000'000) {
      std::this_thread::yield();
    }
    SignalOne(pid, SIGKILL);
  });
  const auto answers = worker_->Evaluate(requests);
  killer.join();
  for (const Evaluation& answer : answers) EXPECT_EQ(answer.proposal.capacity, 6);
  EXPECT_EQ(One(Policy("return scale_to(7)")).capacity, 7);
}

TEST_F(WorkerTest, AStoppedWorkerIsReplacedAndNobodyIsBlamed) {
  Start({.wall = Millis(1)});
  ASSERT_EQ(SignalOne(worker_->pid(), SIGSTOP), 0);
  EXPECT_EQ(One(Policy("return scale_to(6)")).capacity, 6);
  EXPECT_EQ(counters_.worker_restarts, 1U);
}

TEST_F(WorkerTest, WhatCannotBeStartedSaysSo) {
  const auto missing = PolicyWorker::Start("/nowhere/worker", {}, counters_);
  ASSERT_FALSE(missing);
  EXPECT_EQ(
      missing.error().message,
      "policy worker: cannot start /nowhere/worker: No such file or directory; is it installed "
      "beside autoscaled, in ../libexec/autoscaled?");
  const auto wrong = PolicyWorker::Start("/bin/true", {}, counters_);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message,
            "policy worker: /bin/true exited with status 0 before it was ready");
  const auto garbage = PolicyWorker::Start("/bin/cat", {}, counters_);
  EXPECT_FALSE(garbage);
}

TEST_F(WorkerTest, ItIsConfined) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers make system calls of their own, so that the worker has no filter";
#endif
  std::ifstream status("/proc/" + std::to_string(worker_->pid()) + "/status");
  std::string line;
  bool filtered = false;
  while (std::getline(status, line)) filtered = filtered || line == "Seccomp:\t2";
  EXPECT_TRUE(filtered);
}

TEST_F(WorkerTest, ItEndsWithItsDaemon) {
  const int pid = worker_->pid();
  worker_.reset();
  EXPECT_NE(kill(pid, 0), 0);
}

}  // namespace
}  // namespace autoscale
