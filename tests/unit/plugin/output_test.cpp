// What a plugin prints, cut into lines and kept within bounds.
#include "providers/plugin/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace autoscale {
namespace {

TEST(PluginOutput, LinesAreCutWhereverTheBytesArrive) {
  LineCutter cutter(8);
  std::vector<std::string> lines;
  const auto keep = [&](std::string_view line) { lines.emplace_back(line); };
  for (const char* part : {"one\nt", "w", "o\n\nmuch too long", " and longer\nlast"}) {
    cutter.Take(part, keep);
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "", "much too"}));
  cutter.Finish(keep);
  EXPECT_EQ(lines.back(), "last");
  cutter.Finish(keep);
  EXPECT_EQ(lines.size(), 5u);
}

TEST(PluginOutput, SoManyLinesAPeriodAndTheRestIsCounted) {
  LineQuota quota;
  auto now = LineQuota::Time{} + std::chrono::hours(1);
  uint64_t left_out = 0;
  for (int i = 0; i < LineQuota::kLines; ++i) EXPECT_TRUE(quota.Allows(now, left_out));
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(quota.Allows(now, left_out));
  now += LineQuota::kPeriod;
  EXPECT_TRUE(quota.Allows(now, left_out));
  EXPECT_EQ(left_out, 7u);
  EXPECT_TRUE(quota.Allows(now, left_out));
  EXPECT_EQ(left_out, 0u);
}

TEST(PluginOutput, WhoeverFloodsIsReadNoFasterThanTheBound) {
  EventLoop loop;
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const Descriptor in(ends[1]);
  const std::string much(16 << 10, 'x');
  size_t written = 0;
  OutputReader reader(loop, Descriptor(ends[0]), [](std::string_view) {});
  // It writes whenever there is room, until it has had to wait.
  std::function<void()> write_more = [&] {
    const ssize_t n = write(in.get(), much.data(), much.size());
    if (n > 0) written += static_cast<size_t>(n);
    // A pipe and a bound are full: nobody reads any more.
    if (n < 0 && written >= OutputReader::kMostBytes) return loop.Stop();
    loop.Post(write_more);
  };
  loop.Post(write_more);
  loop.Run();
  EXPECT_LE(written, OutputReader::kMostBytes + (64u << 10) + (64u << 10));
}

}  // namespace
}  // namespace autoscale
