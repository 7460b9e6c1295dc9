// A kubeconfig in a folder of its own, removed with the test.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace autoscale {

class KubeconfigFile {
 public:
  // `user` and `cluster`: more keys of theirs, as flow mappings: "token: secret".
  explicit KubeconfigFile(const std::string& server, const std::string& user = "",
                          const std::string& cluster = "") {
    std::string name = testing::TempDir() + "kubeconfig.XXXXXX";
    folder_ = ::mkdtemp(name.data());
    Write("config",
          "apiVersion: v1\nkind: Config\ncurrent-context: main\n"
          "contexts:\n- {name: main, context: {cluster: main, user: me}}\n"
          "clusters:\n- {name: main, cluster: {server: \"" +
              server + "\"" + (cluster.empty() ? "" : ", " + cluster) +
              "}}\nusers:\n- {name: me, user: {" + user + "}}\n");
  }
  ~KubeconfigFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  KubeconfigFile(const KubeconfigFile&) = delete;
  KubeconfigFile& operator=(const KubeconfigFile&) = delete;

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  [[nodiscard]] std::string path() const { return (folder_ / "config").string(); }

 private:
  std::filesystem::path folder_;
};

}  // namespace autoscale
