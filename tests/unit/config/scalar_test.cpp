#include "config/scalar.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "config/section.h"
#include "tests/unit/config/files.h"

namespace autoscale {
namespace {

TEST(Duration, ReadsCountsWithUnits) {
  const std::vector<std::pair<std::string, int64_t>> cases = {
      {"0s", 0},         {"250ms", 250},       {"15s", 15'000},
      {"5m", 300'000},   {"1h30m", 5'400'000}, {"2d", 172'800'000},
      {"1m1ms", 60'001}, {"90m", 5'400'000},   {"1d2h3m4s5ms", 93'784'005},
  };
  for (const auto& [text, milliseconds] : cases) {
    const Result<Millis> value = ParseDuration(text);
    ASSERT_TRUE(value.ok()) << text;
    EXPECT_EQ(value->count(), milliseconds) << text;
  }
}

TEST(Duration, RefusesAnythingElse) {
  for (const std::string text : {"", "15", "s", "-5s", "5 s", "1.5h", "5sec", "5S", "5m3", "+5s",
                                 "99999999999999999999s", "9223372036854775807d"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
  EXPECT_EQ(ParseDuration("15").error().message,
            "a duration is written with its unit, such as 250ms, 15s or 1h30m");
}

TEST(Duration, IsShownInTheLargestUnits) {
  const std::vector<std::pair<int64_t, std::string>> cases = {
      {0, "0s"},
      {250, "250ms"},
      {1500, "1500ms"},
      {15'000, "15s"},
      {60'000, "1m"},
      {90'000, "1m30s"},
      {5'400'000, "1h30m"},
      {86'400'000, "1d"},
      {61'500, "1m1500ms"},
      {-15'000, "-15s"},
  };
  for (const auto& [milliseconds, text] : cases) {
    EXPECT_EQ(FormatDuration(Millis(milliseconds)), text);
    if (milliseconds < 0) continue;
    EXPECT_EQ(ParseDuration(text)->count(), milliseconds);
  }
}

TEST(Bytes, ReadsSizesAndShowsThem) {
  const std::vector<std::pair<std::string, int64_t>> cases = {
      {"0", 0}, {"512", 512}, {"16KiB", 16'384}, {"64MiB", 67'108'864}, {"2GiB", 2'147'483'648}};
  for (const auto& [text, bytes] : cases) {
    ASSERT_TRUE(ParseBytes(text).ok()) << text;
    EXPECT_EQ(*ParseBytes(text), bytes);
    EXPECT_EQ(FormatBytes(bytes), text);
  }
  for (const std::string text : {"", "KiB", "-1", "16kb", "16MB", "1.5MiB", "99999999999GiB"}) {
    EXPECT_FALSE(ParseBytes(text).ok()) << text;
  }
}

TEST(Numbers, AreWrittenPlainly) {
  EXPECT_EQ(ParseInt("-12"), -12);
  EXPECT_EQ(ParseInt("0"), 0);
  for (const char* text : {"", "010", "1.0", "0x10", "1_000", " 1", "99999999999999999999"}) {
    EXPECT_EQ(ParseInt(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseDouble("1e-3"), 0.001);
  for (const char* text : {"", "nan", "inf", "1e999", "1,5", "0.5s"}) {
    EXPECT_EQ(ParseDouble(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseBool("yes"), std::nullopt);
}

TEST(DidYouMean, SuggestsSlipsOfTheFingersOnly) {
  const std::vector<std::string> words = {"ports", "host", "min", "max"};
  EXPECT_EQ(DidYouMean("pots", words), "; did you mean 'ports'?");
  EXPECT_EQ(DidYouMean("prots", words), "; did you mean 'ports'?");
  EXPECT_EQ(DidYouMean("mim", words), "; did you mean 'min'?");
  EXPECT_EQ(DidYouMean("zebra", words), "");
  EXPECT_EQ(DidYouMean("ab", words), "");
}

TEST(Secret, IsReadWithoutItsTrailingNewline) {
  const Files files;
  files.Write("token", "s3cret \n");
  EXPECT_EQ(ReadSecret({SecretRef::From::kFile, files.Path("token")}).value(), "s3cret ");
  setenv("AUTOSCALE_TEST_SECRET", "from the environment", 1);
  EXPECT_EQ(ReadSecret({SecretRef::From::kEnvironment, "AUTOSCALE_TEST_SECRET"}).value(),
            "from the environment");
}

TEST(Secret, SaysWhyItCannotBeRead) {
  const Files files;
  files.Write("empty", "\n");
  unsetenv("AUTOSCALE_TEST_ABSENT");
  EXPECT_EQ(ReadSecret({SecretRef::From::kFile, "/nonexistent/token"}).error().message,
            "cannot read the secret in /nonexistent/token: No such file or directory");
  EXPECT_EQ(ReadSecret({SecretRef::From::kFile, files.Path("empty")}).error().message,
            "the secret in " + files.Path("empty") + " is empty");
  EXPECT_EQ(ReadSecret({SecretRef::From::kEnvironment, "AUTOSCALE_TEST_ABSENT"}).error().message,
            "the environment variable AUTOSCALE_TEST_ABSENT, which should hold a secret, is not "
            "set");
}

}  // namespace
}  // namespace autoscale
