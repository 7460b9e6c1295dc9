#include "cli/text.h"

#include <gtest/gtest.h>

namespace autoscale::cli {
namespace {

TEST(FormatAgo, PicksTheUnitAPersonWould) {
  const Style style{.now = TimePoint(std::chrono::hours(1000))};
  const auto ago = [&](auto d) { return FormatAgo(style.now - d, style); };
  EXPECT_EQ(ago(Millis(999)), "just now");
  EXPECT_EQ(ago(Millis(-5000)), "just now");  // the daemon's clock may be ahead of ours
  EXPECT_EQ(ago(std::chrono::seconds(119)), "119 s ago");
  EXPECT_EQ(ago(std::chrono::seconds(120)), "2 min ago");
  EXPECT_EQ(ago(std::chrono::minutes(119)), "119 min ago");
  EXPECT_EQ(ago(std::chrono::hours(47)), "47 h ago");
  EXPECT_EQ(ago(std::chrono::hours(48)), "2 d ago");
}

TEST(FormatNumber, IsShortAndNeverSurprises) {
  EXPECT_EQ(FormatNumber(0.91), "0.91");
  EXPECT_EQ(FormatNumber(0.123456), "0.1235");
  EXPECT_EQ(FormatNumber(612), "612");
  EXPECT_EQ(FormatNumber(123456.7), "123457");
  EXPECT_EQ(FormatNumber(-0.5), "-0.5");
}

TEST(Wrap, BreaksAtSpacesAndNeverInsideAWord) {
  EXPECT_EQ(Wrap("one two three", 0, 2, 9), "one two\n  three");
  EXPECT_EQ(Wrap("one\ntwo", 2, 2, 80), "  one two");
  EXPECT_EQ(Wrap("averylongword x", 0, 1, 4), "averylongword\n x");
  EXPECT_EQ(Wrap("→→→ →→→", 0, 0, 7), "→→→ →→→");  // by columns, not bytes
  EXPECT_EQ(Wrap("", 2, 2, 80), "  ");
}

TEST(Table, PadsByColumnsAndColoursOutsideThePadding) {
  Table table(0, {"A", "B"});
  table.Add({{"→", Paint::kBad}, {"x"}});
  table.Add({{"long"}, {""}});
  EXPECT_EQ(table.Render({}), "A     B\n→     x\nlong\n");
  EXPECT_EQ(table.Render({.colour = true}),
            "\x1b[2mA\x1b[0m     \x1b[2mB\x1b[0m\n\x1b[31m→\x1b[0m     x\nlong\n");
}

// As a terminal in Latin-1 writes it; the wire takes UTF-8 alone.
TEST(ToUtf8, WhatIsNoUtf8IsMarkedAndTheRestStays) {
  EXPECT_EQ(ToUtf8("f\xfcr DB"), "f\xef\xbf\xbdr DB");
  EXPECT_EQ(ToUtf8("f\xc3\xbcr \"DB\"\n"), "f\xc3\xbcr \"DB\"\n");
  EXPECT_EQ(ToUtf8(""), "");
}

TEST(Printable, WhatATerminalMayObeyIsBlankedButForLines) {
  EXPECT_EQ(Printable("a\nb\x1b[31m\xc2\x9b"
                      "2J"),
            "a\nb [31m 2J");
}

}  // namespace
}  // namespace autoscale::cli
