// What retries may cost, and how many calls a second there are.
#include "providers/aws/quota.h"

#include <gtest/gtest.h>

namespace autoscale::aws {
namespace {

using std::chrono::seconds;
constexpr Millis kPatient{60000};
const CallRate::Time kStart{seconds(1000)};

TEST(AwsQuota, RetriesArePaidFor) {
  RetryQuota quota;
  EXPECT_EQ(quota.left(), 500);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(quota.Take(true), 10);
  EXPECT_EQ(quota.Take(true), 0);
  EXPECT_EQ(quota.Take(false), 0);
  quota.GiveBack(0);
  EXPECT_EQ(quota.left(), 1);
  quota.GiveBack(7);
  EXPECT_EQ(quota.Take(true), 0);
  EXPECT_EQ(quota.Take(false), 5);
  for (int i = 0; i < 600; ++i) quota.GiveBack(0);
  EXPECT_EQ(quota.left(), 500);
}

TEST(AwsQuota, PausesGrowToTwentySeconds) {
  const Millis first(1000);
  EXPECT_EQ(BackoffOf(1, 1, first), Millis(1000));
  EXPECT_EQ(BackoffOf(3, 1, first), Millis(4000));
  EXPECT_EQ(BackoffOf(3, 0.5, first), Millis(2000));
  EXPECT_EQ(BackoffOf(6, 1, first), Millis(20000));
  EXPECT_EQ(BackoffOf(400, 1, first), Millis(20000));
  EXPECT_EQ(BackoffOf(4, 0, first), Millis(0));
}

TEST(AwsRate, ABurstGoesAtOnceThenTwentyASecond) {
  CallRate rate;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(rate.Reserve(kStart, kPatient), Millis(0)) << i;
  EXPECT_EQ(rate.Reserve(kStart, kPatient), Millis(50));
  EXPECT_EQ(rate.Reserve(kStart, kPatient), Millis(100));
  EXPECT_EQ(rate.Reserve(kStart + seconds(10), kPatient), Millis(0));
}

TEST(AwsRate, WhoCannotWaitTakesNoPlace) {
  CallRate rate;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(rate.Reserve(kStart, Millis(0)), Millis(0)) << i;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(rate.Reserve(kStart, Millis(49)), std::nullopt) << i;
  EXPECT_EQ(rate.Reserve(kStart, Millis(50)), Millis(50));
  EXPECT_EQ(rate.Reserve(kStart + Millis(100), Millis(0)), Millis(0));
}

TEST(AwsRate, TheSlowestRateStillLetsOneGoAtOnce) {
  CallRate rate;
  for (int i = 0; i < 20; ++i) rate.Throttled(kStart);
  EXPECT_EQ(rate.Reserve(kStart, Millis(100)), std::nullopt);
  EXPECT_EQ(rate.Reserve(kStart + seconds(60), Millis(0)), Millis(0));
  EXPECT_EQ(rate.Reserve(kStart + seconds(60), Millis(100)), std::nullopt);
}

TEST(AwsRate, ThrottlingDoesNotLengthenTheQueue) {
  CallRate rate;
  for (int i = 0; i < 20; ++i) rate.Reserve(kStart, kPatient);
  for (int i = 0; i < 100; ++i) rate.Reserve(kStart, kPatient);  // 5 s long
  for (int i = 0; i < 20; ++i) rate.Throttled(kStart);
  EXPECT_EQ(rate.Reserve(kStart, kPatient), seconds(5) + seconds(2));
}

TEST(AwsRate, ThrottlingHalvesItAndSuccessBringsItBack) {
  CallRate rate;
  EXPECT_EQ(rate.Reserve(kStart, kPatient), Millis(0));
  rate.Throttled(kStart);
  EXPECT_EQ(rate.per_second(), 10);
  EXPECT_EQ(rate.Reserve(kStart, kPatient), Millis(100)) << "no burst any more";
  for (int i = 0; i < 20; ++i) rate.Throttled(kStart);
  EXPECT_EQ(rate.per_second(), 0.5);
  for (int i = 0; i < 40; ++i) rate.Succeeded();
  EXPECT_EQ(rate.per_second(), 20);
}

}  // namespace
}  // namespace autoscale::aws
