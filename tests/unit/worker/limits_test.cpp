// Limits of services, of what is stored of them, and of the time of one call.
#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "daemon/worker/worker.h"
#include "tests/unit/policy/bench.h"

namespace autoscale {
namespace {

std::shared_ptr<const PolicySource> Policy(const std::string& text,
                                           const std::string& path = "policies/test.lua") {
  return std::make_shared<const PolicySource>(MakePolicy(text, path));
}

// Compares strings of 1 MB, doubled so often, so many times: the host, which looks between
// instructions, cannot end it.
std::string Comparing(const std::string& times, int doublings = 6) {
  return "local s = string.rep('x', 1000000) for i = 1, " + std::to_string(doublings) +
         " do s = s .. s end\n"
         "local a, b, n = s .. 'a', s .. 'b', 0\n"
         "for i = 1, " +
         times + " do if a < b then n = n + 1 end end return scale_to(7)";
}

class WorkerLimits : public ::testing::Test {
 protected:
  void Start(PolicyLimits limits, const char* path = WORKER_PATH) {
    auto started = PolicyWorker::Start(path, limits, counters_);
    ASSERT_TRUE(started) << started.error().message;
    worker_ = std::move(started).value();
  }
  EvaluationRequest Request(const std::shared_ptr<const PolicySource>& policy,
                            const OwnLimits& limits = {}) {
    EvaluationRequest request{.policy = policy, .snapshot = service_.View()};
    request.snapshot.limits = limits;
    return request;
  }
  Evaluation One(const EvaluationRequest& request) {
    return worker_->Evaluate({&request, 1}).at(0);
  }

  Counters counters_;
  TestService service_;
  std::unique_ptr<PolicyWorker> worker_;
};

TEST_F(WorkerLimits, AServicesOwnTimeIsThatAfterWhichItsProcessIsKilled) {
  Start({.instructions = 1'000'000, .memory_bytes = 1u << 30, .wall = Millis(20)});
  const OwnLimits longer{.instructions = {}, .wall = Millis(1'000), .state_bytes = {}};
  // Some 100 ms of work: too long for the 20 ms, far from a second. In small pieces, as a sanitizer
  // makes memory dear.
  EXPECT_EQ(One(Request(Policy(Comparing("250", 2)), longer)).proposal.capacity, 7);
  EXPECT_EQ(counters_.worker_restarts, 0U);
  const OwnLimits shorter{.instructions = {}, .wall = Millis(10), .state_bytes = {}};
  const std::vector<EvaluationRequest> both = {
      Request(Policy("return scale_to(5)"), longer),
      Request(Policy(Comparing("1e9"), "policies/hang.lua"), shorter)};
  const auto answers = worker_->Evaluate(both);
  EXPECT_EQ(answers.at(0).proposal.capacity, 5);
  EXPECT_EQ(answers.at(1).proposal.reason,
            "hang.lua: did not come back within 10 ms, and the process running it was killed "
            "(limits.wall of service shop)");
}

TEST_F(WorkerLimits, QuarantineEndsWithAChangeOfTheLimit) {
  Start({});
  const auto policy = Policy("for i = 1, 50000 do end return scale_to(7)");
  OwnLimits limits{.instructions = 10'000, .wall = {}, .state_bytes = {}};
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(One(Request(policy, limits)).quarantined) << i;
  const Evaluation held = One(Request(policy, limits));
  EXPECT_TRUE(held.quarantined);
  EXPECT_EQ(held.proposal.reason,
            "test.lua: quarantined: 10 evaluations in a row ended at a limit, the last at "
            "test.lua:1: more than 10000 instructions in one evaluation (limits.instructions of "
            "service shop); change the file or the limit to have it tried again");
  limits.instructions = 1'000'000;
  EXPECT_EQ(One(Request(policy, limits)).proposal.capacity, 7);
}

TEST_F(WorkerLimits, WhatIsTriedBesideAPolicyDoesNotForgiveIt) {
  Start({});
  const auto live = Policy("while true do end");
  const auto tried = Policy("return scale_to(7)");
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(One(Request(live)).quarantined) << i;
    EXPECT_EQ(One(Request(tried)).proposal.capacity, 7);
  }
  EXPECT_TRUE(One(Request(live)).quarantined);
  EXPECT_EQ(One(Request(tried)).proposal.capacity, 7);
}

TEST_F(WorkerLimits, OneThatMeetsItsLimitOnlyBeforeAScaleInIsNotAskedAnyMore) {
  Start({});
  const auto policy =
      Policy("if capacity.desired < 4 then while true do end end return scale_to(2)");
  EvaluationRequest ahead = Request(policy);
  ahead.projected = true;
  ahead.snapshot.capacity = {.desired = 2, .ready = 2};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(One(Request(policy)).proposal.capacity, 2);
    EXPECT_FALSE(One(ahead).quarantined) << i;
  }
  EXPECT_TRUE(One(ahead).quarantined);
  EXPECT_EQ(One(Request(policy)).proposal.capacity, 2);
}

TEST_F(WorkerLimits, AStateThatIsTooLargeIsNotBelieved) {
  Start({}, BROKEN_WORKER_PATH);
  const auto policy = Policy("return hold()");
  const OwnLimits more{.instructions = {}, .wall = {}, .state_bytes = 20'000};
  EXPECT_EQ(One(Request(policy, more)).state->size(), 20'000U) << "it is within its limit";
  for (const OwnLimits& limits :
       {OwnLimits{}, OwnLimits{.instructions = {}, .wall = {}, .state_bytes = 19'999}}) {
    const Evaluation answer = One(Request(policy, limits));
    EXPECT_EQ(answer.proposal.cause, HoldCause::kFault);
    EXPECT_EQ(answer.proposal.capacity, 4);
    EXPECT_FALSE(answer.state.has_value());
    EXPECT_EQ(answer.proposal.reason,
              "test.lua: not evaluated: the policy worker was lost too often; see the faults of "
              "other policies");
  }
  EXPECT_GT(counters_.worker_restarts, 16U);
}

TEST_F(WorkerLimits, AfterTheDeadlineNobodyIsBegun) {
  Start({});
  const EvaluationRequest request = Request(Policy("return scale_to(7)"));
  EvaluationRequest ahead = request;
  ahead.projected = true;
  const std::vector<EvaluationRequest> both = {request, ahead};
  const auto answers = worker_->Evaluate(both, std::chrono::steady_clock::now());
  const std::string rest =
      ": the time that a tick has for policies was used up before its turn, which comes first in "
      "the next";
  EXPECT_EQ(answers.at(0).proposal.reason, "test.lua: not evaluated" + rest);
  EXPECT_EQ(answers.at(1).proposal.reason, "test.lua: not asked before a scale-in" + rest);
  for (const Evaluation& answer : answers) {
    EXPECT_TRUE(answer.unserved);
    EXPECT_TRUE(answer.outside);
    EXPECT_EQ(answer.proposal.cause, HoldCause::kFault);
    EXPECT_EQ(answer.proposal.capacity, 4);
  }
  EXPECT_EQ(counters_.policies_unserved, 2U);
  EXPECT_EQ(One(request).proposal.capacity, 7);
}

// Whatever hangs: whoever does not has its turn after as many calls as policies hang, and from then
// on in each.
TEST_F(WorkerLimits, ThreeHundredThatHangLeaveTheOthersTheirTurn) {
  constexpr int kHanging = 300, kFine = 20;
  Start({.instructions = 1'000'000'000, .wall = Millis(2)});
  const auto fine = Policy("return scale_to(7)");
  std::vector<TestService> services(kHanging + kFine);
  std::vector<EvaluationRequest> requests;
  for (size_t i = 0; i < services.size(); ++i) {
    services[i].name = "service-" + std::to_string(i);
    const bool hangs = i % 16 != 0;
    requests.push_back({.policy = hangs ? Policy("while true do end --" + std::to_string(i)) : fine,
                        .snapshot = services[i].View()});
  }
  const auto call = [&] {
    return worker_->Evaluate(requests, std::chrono::steady_clock::now() + Millis(25));
  };
  std::set<size_t> served, known;
  int calls = 0;
  while (known.size() < kHanging && calls < 10 * kHanging) {
    ++calls;
    const auto answers = call();
    int again = 0;
    for (size_t i = 0; i < answers.size(); ++i) {
      if (requests[i].policy == fine) {
        if (answers[i].proposal.capacity == 7) served.insert(i);
      } else if (answers[i].at_limit) {
        again += known.insert(i).second ? 0 : 1;
      }
    }
    if (known.size() < kHanging) {
      EXPECT_EQ(again, 0) << "before all had a turn";
    }
  }
  EXPECT_EQ(known.size(), size_t{kHanging});
  EXPECT_EQ(served.size(), size_t{kFine});
  EXPECT_GT(calls, 1) << "or nobody had to wait";
  // On a machine that is busy elsewhere a call may end before anything: not every one is looked at.
  bool all = false;
  for (int i = 0; i < 100 && !all; ++i) {
    const auto answers = call();
    size_t in_this = 0;
    for (size_t at = 0; at < answers.size(); ++at) {
      in_this += requests[at].policy == fine && answers[at].proposal.capacity == 7 ? 1 : 0;
    }
    all = in_this == kFine;
  }
  EXPECT_TRUE(all);
  EXPECT_EQ(counters_.worker_restarts, 0U);
}

}  // namespace
}  // namespace autoscale
