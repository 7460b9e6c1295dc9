// A folder for one test.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace autoscale {

class FolderTest : public ::testing::Test {
 protected:
  FolderTest() {
    std::string form = ::testing::TempDir() + "simXXXXXX";
    folder_ = mkdtemp(form.data());
  }
  ~FolderTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }

  std::string folder_;
};

}  // namespace autoscale
