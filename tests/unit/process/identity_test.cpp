#include "providers/process/identity.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "providers/process/folder.h"

namespace autoscale {
namespace {

TEST(ProcessIdentity, TextGoesThereAndBack) {
  const ProcessIdentity identity{.pid = 4711, .start_ticks = 136769, .boot_id = "4f7c63df-08cc"};
  EXPECT_EQ(ToText(identity), "pid 4711\nstart 136769\nboot 4f7c63df-08cc\n");
  EXPECT_EQ(ParseProcessIdentity(ToText(identity)), identity);
}

TEST(ProcessIdentity, AnythingElseIsNoIdentity) {
  for (const char* text : {"", "pid 4711\n", "pid 4711\nstart 1\n", "pid 4711\nstart 1\nboot \n",
                           "pid 4711\nstart 1\nboot x", "pid 4711\nstart 1\nboot x\nmore\n",
                           "pid x\nstart 1\nboot x\n", "pid 4711\nstart -1\nboot x\n",
                           "pid 0\nstart 1\nboot x\n", "pid 1\nstart 1\nboot x\n",
                           "pid -1\nstart 1\nboot x\n", "pid 99999999999\nstart 1\nboot x\n"}) {
    EXPECT_FALSE(ParseProcessIdentity(text)) << text;
  }
}

TEST(ProcessIdentity, ReadsStatWithAnyName) {
  //                     3 4 5 6 7 8  9 10 11 12 13 14 15 16 17 18 19 20 21 22   23   24
  const auto stat =
      ParseProcessStat("7 (a) R 1 (b) S 1 7 7 0 -1 0 5 0 0 0 100 20 3 4 20 0 1 0 5000 9999 42 0\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->cpu_ticks, 127u);  // 100 + 20 + 3 + 4
  EXPECT_EQ(stat->start_ticks, 5000u);
  EXPECT_EQ(stat->resident_pages, 42u);
  EXPECT_FALSE(ParseProcessStat(""));
  EXPECT_FALSE(ParseProcessStat("7 (a) S 1 7"));
}

TEST(ProcessIdentity, ForWantOfDescriptorsNobodyIsTakenForDead) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer looks at objects through descriptors of its own";
#endif
  const auto self = Identify(getpid());
  ASSERT_TRUE(self);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = dup(0);  // the lowest that is free
  ASSERT_GE(next, 0);
  close(next);
  for (const int free : {0, 1}) {
    rlimit few = before;
    few.rlim_cur = static_cast<rlim_t>(next + free);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    const auto process = OpenProcess(*self);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_FALSE(process.has_value()) << free;
  }
}

TEST(ProcessIdentity, OpensOnlyTheVeryProcess) {
  const auto self = Identify(getpid());
  ASSERT_TRUE(self);
  EXPECT_TRUE(*OpenProcess(*self));
  auto other = *self;
  ++other.start_ticks;
  EXPECT_FALSE(*OpenProcess(other));
  other = *self;
  other.boot_id += "x";
  EXPECT_FALSE(*OpenProcess(other));
}

TEST(InstanceFolder, RotatesOutputAndKeepsOneOlderPart) {
  std::string root = (std::filesystem::temp_directory_path() / "autoscaled-folder-XXXXXX").string();
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  const InstanceFolder folder(root + "/i");
  ASSERT_TRUE(folder.Create().ok());
  EXPECT_EQ(folder.Create().error().kind, ErrorKind::kConflict);
  std::ofstream out(folder.path() + "/stdout.log", std::ios::app);
  out << "0123456789" << std::flush;
  folder.RotateOutput(10);  // not over the limit
  EXPECT_EQ(folder.Read("stdout.log"), "0123456789");
  out << "x" << std::flush;
  folder.RotateOutput(10);
  EXPECT_EQ(folder.Read("stdout.log"), "");
  EXPECT_EQ(folder.Read("stdout.log.1"), "123456789x");  // never more than the limit
  out << "on" << std::flush;
  EXPECT_EQ(folder.Read("stdout.log"), "on");
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace autoscale
