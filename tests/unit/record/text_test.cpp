#include "engine/model/text.h"

#include <gtest/gtest.h>

namespace autoscale {
namespace {

TEST(OneLine, KeepsWhatFits) {
  EXPECT_EQ(OneLine("", 4), "");
  EXPECT_EQ(OneLine("abcd", 4), "abcd");
  EXPECT_EQ(OneLine("caf\u00e9 \u2192", 40), "caf\u00e9 \u2192");
}

TEST(OneLine, MakesSpacesOfWhatSteersATerminal) {
  EXPECT_EQ(OneLine(std::string_view("a\nb\tc\x1b[31m\x7f\0d", 13), 40), "a b c [31m  d");
}

TEST(OneLine, CutsWithAnEllipsisBetweenCharacters) {
  EXPECT_EQ(OneLine("abcde", 4), "a...");
  EXPECT_EQ(OneLine("abcdefgh", 7), "abcd...");
  // The third character ends at byte 6: it is left out as a whole.
  EXPECT_EQ(OneLine("\u00e9\u00e9\u00e9\u00e9\u00e9", 8), "\u00e9\u00e9...");
}

// U+009B is to a terminal what ESC [ is; U+202E shows what follows backwards.
TEST(OneLine, WhatATerminalMayObeyIsBlanked) {
  EXPECT_EQ(OneLine("a\x1b[31mb\x7f\xc2\x9b"
                    "2Jc\xe2\x80\xae"
                    "d\xe2\x81\xa6",
                    100),
            "a [31mb  2Jc d ");
  EXPECT_EQ(OneLine("\xc2\xa0 \xc3\x9b \xe2\x80\x94 \xe2\x82\xac", 100),
            "\xc2\xa0 \xc3\x9b \xe2\x80\x94 \xe2\x82\xac");  // ordinary neighbours of theirs
  EXPECT_EQ(OneLine("\xc2", 100), "\xc2");
}

TEST(BlankControls, LinesStayWhereTheyAreWanted) {
  std::string text = "a\nb\tc";
  BlankControls(text, true);
  EXPECT_EQ(text, "a\nb c");
}

}  // namespace
}  // namespace autoscale
