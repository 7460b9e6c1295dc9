#include "engine/model/file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace autoscale {
namespace {

namespace fs = std::filesystem;

TEST(ReadFile, GivesEveryByte) {
  const std::string path = testing::TempDir() + "read_file";
  std::string written(10000, 'x');
  written[5000] = '\0';
  std::ofstream(path, std::ios::binary) << written;
  const auto text = ReadFile(path);
  fs::remove(path);
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(*text, written);
}

TEST(ReadFile, SaysWhyItCannotBeOpened) {
  EXPECT_EQ(ReadFile("/nowhere/at/all").error().message,
            "cannot read /nowhere/at/all: No such file or directory");
}

// As a file of /proc is once its process has ended: it opens, and then cannot be read.
TEST(ReadFile, WhatOpensAndCannotBeReadIsAnErrorToo) {
  const auto text = ReadFile("/proc");
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(text.error().message, "cannot read /proc: Is a directory");
}

}  // namespace
}  // namespace autoscale
