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

}  // namespace
}  // namespace autoscale
