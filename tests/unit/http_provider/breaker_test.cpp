#include <gtest/gtest.h>

#include "net/http_breaker.h"

namespace autoscale {
namespace {

using std::chrono::seconds;
const HttpBreaker::Time kBegin{seconds(1000)};
const Error kSlower{ErrorKind::kThrottled, "answered 429", seconds(30)};
const Error kDead{ErrorKind::kUnavailable, "timed out"};

TEST(HttpBreaker, WhatOneIsAnsweredDoesNotEndTheRestThatAnotherWasAskedFor) {
  HttpBreaker breaker;
  breaker.Throttled("http://a", kBegin, kSlower);
  breaker.Answered("http://a", kBegin + seconds(1));  // one that was on its way by then
  const auto refused = breaker.Refuse("http://a", kBegin + seconds(2));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->kind, ErrorKind::kThrottled);
  EXPECT_EQ(refused->retry_after, seconds(28));
  EXPECT_FALSE(breaker.Refuse("http://b", kBegin + seconds(2)));
  EXPECT_FALSE(breaker.Refuse("http://a", kBegin + seconds(30)));
}

TEST(HttpBreaker, TheLongestRestAskedForHolds) {
  HttpBreaker breaker;
  breaker.Throttled("http://a", kBegin, kSlower);
  breaker.Throttled("http://a", kBegin, {ErrorKind::kThrottled, "answered 429", Millis(0)});
  EXPECT_TRUE(breaker.Refuse("http://a", kBegin + seconds(29)));
  breaker.Throttled("http://a", kBegin, {ErrorKind::kThrottled, "answered 429", seconds(60)});
  EXPECT_TRUE(breaker.Refuse("http://a", kBegin + seconds(59)));
}

TEST(HttpBreaker, AnAnswerEndsTheRestOfOneThatDidNotAnswer) {
  HttpBreaker breaker;
  for (int i = 0; i < 5; ++i) breaker.Failed("http://a", kBegin, kDead);
  EXPECT_TRUE(breaker.Refuse("http://a", kBegin));
  breaker.Answered("http://a", kBegin);
  EXPECT_FALSE(breaker.Refuse("http://a", kBegin));
  for (int i = 0; i < 4; ++i) breaker.Failed("http://a", kBegin, kDead);
  breaker.Answered("http://a", kBegin);
  breaker.Failed("http://a", kBegin, kDead);
  EXPECT_FALSE(breaker.Refuse("http://a", kBegin)) << "they have to be in a row";
}

TEST(HttpBreaker, FailuresWhileItRestsAreForgottenWithAnAnswerToo) {
  HttpBreaker breaker;
  breaker.Throttled("http://a", kBegin, kSlower);
  for (int i = 0; i < 4; ++i) breaker.Failed("http://a", kBegin, kDead);
  breaker.Answered("http://a", kBegin);
  breaker.Failed("http://a", kBegin, kDead);
  const auto refused = breaker.Refuse("http://a", kBegin);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->kind, ErrorKind::kThrottled);
}

}  // namespace
}  // namespace autoscale
