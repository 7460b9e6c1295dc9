// Managers that fail, refuse, hang or answer nonsense.
#include <set>

#include "tests/unit/http_provider/rig.h"

namespace autoscale {
namespace {

using Ending = FakeAnswer::Ending;

const std::string kTarget =
    "current: {url: MANAGER/group, pointer: /n}\n"
    "set: {url: MANAGER/set, body: '{\"n\": {{capacity}}}'}\n";
const CapacityWish kWish{.capacity = 5, .victims = {}, .seen = 3, .intent = "web/1/1"};

class HttpFailure : public HttpProviderTest {
 protected:
  // To requests for /set, in turn; the last one again and again.
  void AnswerInTurn(std::vector<FakeAnswer> answers) {
    auto at = std::make_shared<size_t>(0);
    manager_.Handle([answers = std::move(answers), at](const FakeRequest&) {
      return answers[std::min((*at)++, answers.size() - 1)];
    });
  }
};

TEST_F(HttpFailure, AnObservationThatIsNotClearIsAFault) {
  const std::vector<std::pair<FakeAnswer, std::string>> cases = {
      {{.body = "<html><h1>Welcome</h1>"},
       "the answer is not JSON, or not all of it; it begins "
       "with '<html><h1>Welcome</h1>'"},
      {{.body = R"({"n": 3)"}, "not JSON, or not all of it"},
      {{.body = R"({"n": 3.5})"}, "the answer's /n is 3.5, not a whole number"},
      {{.body = R"({"m": 3})"}, "the answer has no /n"},
      {{.body = ""}, "the answer is empty, not JSON"},
      {{.body = R"({"n": 3, "more": "of it"})", .ending = Ending::kCut},
       "the connection was closed in the middle of the answer"},
      {{.body = std::string(64 << 10, 'x'), .ending = Ending::kEndless},
       "larger than the limit of 4194304 bytes"},
      {{.status = 404, .body = "no such group\nat all"}, "answered 404: no such group"},
      {{.status = 500, .body = "oops"}, "answered 500: oops"},
      {{.status = 302}, "answered 302, which sends elsewhere: give the URL where it is"},
      {{.raw = "SSH-2.0-OpenSSH\r\n"}, "the answer is not HTTP"},
  };
  for (const auto& [answer, told] : cases) {
    provider_ = MakeHttpProvider(loop_, http_, {.first_pause = Millis(1)});
    manager_.Answer("/group", answer);
    const Observation seen = Observe(Target(kTarget));
    ASSERT_TRUE(seen.fault) << told;
    EXPECT_TRUE(Has(seen.fault->message, told)) << seen.fault->message;
    EXPECT_TRUE(Has(seen.fault->message, "GET " + manager_.Url("/group"))) << seen.fault->message;
    EXPECT_FALSE(Has(seen.fault->message, "at all"));
    EXPECT_FALSE(seen.abilities.names_instances);
  }
}

TEST_F(HttpFailure, OneTargetsFaultIsNotAnothers) {
  manager_.Answer("/group", R"({"n": 3})");
  manager_.Answer("/slow", FakeAnswer{.ending = Ending::kHang});
  const std::string slow = "current: {url: MANAGER/slow, pointer: /n}\ntimeout: 50ms\n" +
                           kTarget.substr(kTarget.find("set"));
  const auto seen = Observe({Target(slow, "a"), Target(kTarget, "b")});
  ASSERT_TRUE(seen[0].fault);
  EXPECT_TRUE(Has(seen[0].fault->message, "timed out after")) << seen[0].fault->message;
  EXPECT_FALSE(seen[1].fault);
  EXPECT_EQ(seen[1].capacity, 3);
}

TEST_F(HttpFailure, APassingFailureIsTriedAgainWithTheSameKey) {
  for (const int status : {429, 502, 503, 504}) {
    AnswerInTurn({{.status = status}, {.status = 200}});
    const size_t before = manager_.requests().size();
    EXPECT_TRUE(Set(Target(kTarget), kWish).ok()) << status;
    ASSERT_EQ(manager_.requests().size(), before + 2) << status;
    EXPECT_EQ(manager_.requests().back().Header("idempotency-key"), "web/1/1");
    EXPECT_EQ(manager_.requests().back().body, R"({"n": 5})");
  }
  AnswerInTurn({{.ending = Ending::kDrop, .close = true},
                {.status = 200, .body = "half of it", .ending = Ending::kCut},
                {.status = 200}});
  EXPECT_TRUE(Set(Target(kTarget), kWish).ok());
}

TEST_F(HttpFailure, TriesAsOftenAsToldAndNoMore) {
  AnswerInTurn({{.status = 503, .body = "full"}});
  const Status failed = Set(Target(kTarget + "retries: 2\n"), kWish);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(failed.error().message, "PUT " + manager_.Url("/set") + ": answered 503: full");
  EXPECT_EQ(manager_.requests().size(), 3u);
}

TEST_F(HttpFailure, WhatWillNotPassIsToldAtOnceAndSaysWhatToDo) {
  const std::vector<std::pair<int, ErrorKind>> cases = {
      {400, ErrorKind::kInvalid},  {401, ErrorKind::kForbidden}, {403, ErrorKind::kForbidden},
      {404, ErrorKind::kNotFound}, {409, ErrorKind::kConflict},  {412, ErrorKind::kConflict},
      {422, ErrorKind::kInvalid},  {423, ErrorKind::kBlocked},   {500, ErrorKind::kUnavailable},
      {301, ErrorKind::kInvalid},
  };
  for (const auto& [status, kind] : cases) {
    AnswerInTurn({{.status = status, .body = "\n at most 4\nsecond line"}});
    const size_t before = manager_.requests().size();
    const Status failed = Set(Target(kTarget), kWish);
    ASSERT_FALSE(failed.ok()) << status;
    EXPECT_EQ(failed.error().kind, kind) << status;
    EXPECT_TRUE(Has(failed.error().message, "answered " + std::to_string(status)));
    EXPECT_TRUE(status == 301 || Has(failed.error().message, ": at most 4"));
    EXPECT_FALSE(Has(failed.error().message, "second line"));
    EXPECT_EQ(manager_.requests().size(), before + 1) << status;
  }
}

TEST_F(HttpFailure, APageForPeopleIsNoSuccess) {
  AnswerInTurn(
      {{.body = "<html>please log in", .headers = {{"Content-Type", "text/html; charset=utf-8"}}}});
  const Status failed = Set(Target(kTarget), kWish);
  ASSERT_FALSE(failed.ok());
  EXPECT_TRUE(Has(failed.error().message, "/set: answered with a page for people (text/html)"));
}

TEST_F(HttpFailure, AManagerThatAsksForPatienceGetsIt) {
  AnswerInTurn({{.status = 429, .headers = {{"Retry-After", "120"}}}, {.status = 200}});
  const Status failed = Set(Target(kTarget), kWish);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().kind, ErrorKind::kThrottled);
  EXPECT_EQ(failed.error().retry_after, Millis(120000));
  EXPECT_EQ(manager_.requests().size(), 1u);
  // Nor is it asked anything else before.
  const Observation seen = Observe(Target(kTarget));
  ASSERT_TRUE(seen.fault);
  EXPECT_EQ(seen.fault->kind, ErrorKind::kThrottled);
  EXPECT_EQ(manager_.requests().size(), 1u);
  later_ = std::chrono::seconds(121);
  EXPECT_TRUE(Set(Target(kTarget), kWish).ok());
}

TEST_F(HttpFailure, RetryAfterMayBeADate) {
  AnswerInTurn({{.status = 503, .headers = {{"Retry-After", "Fri, 31 Dec 2999 23:59:59 GMT"}}}});
  EXPECT_EQ(Set(Target(kTarget), kWish).error().retry_after, std::chrono::hours(1));
  AnswerInTurn({{.status = 503, .headers = {{"Retry-After", "soon"}}}});
  EXPECT_EQ(Set(Target(kTarget + "retries: 0\n"), kWish).error().retry_after, Millis(0));
}

TEST_F(HttpFailure, AHungManagerIsWaitedForWithinABound) {
  AnswerInTurn({{.ending = Ending::kHang}});
  const Status failed = Set(Target(kTarget + "timeout: 50ms\nretries: 10\n"), kWish);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().kind, ErrorKind::kUnavailable);
  EXPECT_LE(manager_.requests().size(), 4u) << "three time-outs in all";
}

TEST_F(HttpFailure, ADeadManagerIsLeftAloneForAWhile) {
  const TargetRef ref = Target(kTarget);
  manager_.Handle(
      [](const FakeRequest&) { return FakeAnswer{.ending = Ending::kDrop, .close = true}; });
  while (!Has(FaultOf(ref), "not asked again for")) {
    ASSERT_LT(manager_.requests().size(), 30u);
  }
  const size_t asked = manager_.requests().size();
  EXPECT_TRUE(Has(FaultOf(ref), "not asked again for"));
  EXPECT_EQ(manager_.requests().size(), asked);
  manager_.Answer("/group", R"({"n": 3})");
  later_ = std::chrono::seconds(60);
  EXPECT_EQ(FaultOf(ref), "");
  EXPECT_EQ(FaultOf(ref), "");
}

TEST_F(HttpFailure, AnAnswerThatSaysNothingStopsARelativeChange) {
  manager_.Answer("/group", "<html>");
  manager_.Answer("/up", "");
  const TargetRef ref = Target(
      "current: {url: MANAGER/group, pointer: /n}\n"
      "scale_up: {url: \"MANAGER/up?n={{delta}}\"}\nscale_down: {url: "
      "\"MANAGER/up?n={{delta}}\"}\n");
  EXPECT_TRUE(Has(Set(ref, kWish).error().message, "not JSON"));
  manager_.Answer("/group", R"({"n": "many"})");
  EXPECT_TRUE(Has(Set(ref, kWish).error().message, "the text 'many'"));
  EXPECT_EQ(RequestsFor("/up").size(), 0u);
}

}  // namespace
}  // namespace autoscale
