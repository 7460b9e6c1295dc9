#include "providers/kubernetes/kubeconfig.h"

#include <gtest/gtest.h>

#include "tests/unit/kubernetes/kubeconfig_file.h"

namespace autoscale {
namespace {

std::string FaultIn(const std::string& user, const std::string& cluster = "",
                    const std::string& server = "https://x") {
  const KubeconfigFile file(server, user, cluster);
  const auto access = ReadAccess(file.path(), "");
  return access.ok() ? "none" : access.error().message;
}

TEST(Kubeconfig, ReadsDataAndFilesBesideIt) {
  const KubeconfigFile file(
      "https://x/prefix/",
      "client-certificate-data: Y2VydA==, client-key: key.pem, tokenFile: token",
      "certificate-authority: ca.pem");
  file.Write("key.pem", "key");
  file.Write("token", "abc\n");
  file.Write("ca.pem", "ca");
  const auto access = ReadAccess(file.path(), "main");
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->server, "https://x/prefix");
  EXPECT_EQ(access->client_cert_pem, "cert");
  EXPECT_EQ(access->client_key_pem, "key");
  EXPECT_EQ(access->token, "abc");
  EXPECT_EQ(access->ca_pem, "ca");
  EXPECT_TRUE(access->verify);
  EXPECT_TRUE(access->exec.command.empty());
}

TEST(Kubeconfig, ReadsTheRest) {
  const KubeconfigFile file("http://x",
                            R"(username: me, password: "p", exec: {)"
                            R"(apiVersion: client.authentication.k8s.io/v1, )"
                            R"(command: ./login, args: [a, b], env: [{name: N, value: v}]})",
                            "insecure-skip-tls-verify: true");
  const auto access = ReadAccess(file.path(), "");
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_FALSE(access->verify);
  EXPECT_EQ(access->username, "me");
  EXPECT_EQ(access->password, "p");
  ASSERT_EQ(access->exec.command.size(), 3u);
  EXPECT_EQ(access->exec.command[0].front(), '/');
  EXPECT_TRUE(access->exec.command[0].ends_with("/login"));
  EXPECT_EQ(access->exec.environment[0].second, "v");
}

TEST(Kubeconfig, FaultsSayWhereAndNeverWhatIsSecret) {
  const std::vector<std::pair<std::string, std::string>> faults = {
      {FaultIn("token: x", "", "10.0.0.1"), ": the cluster's server must begin with https://"},
      {FaultIn("token: x", "tls-server-name: y"), ": tls-server-name is not supported"},
      {FaultIn("client-key-data: \"s3cret!\""), ": client-key-data is not base64"},
      {FaultIn("tokenFile: absent"), "names a file: cannot read "},
      {FaultIn("auth-provider: {name: gcp}"), ": auth-provider is gone from Kubernetes: use exec"},
      {FaultIn("exec: {command: x, apiVersion: v9}"), ": exec is of the version 'v9'"},
      {FaultIn("exec: {apiVersion: client.authentication.k8s.io/v1}"), ": exec has no command"},
  };
  for (const auto& [said, expected] : faults) {
    EXPECT_NE(said.find(expected), std::string::npos) << said;
    EXPECT_TRUE(said.starts_with("the kubeconfig /")) << said;
    EXPECT_EQ(said.find("s3cret"), std::string::npos) << said;
  }
  const KubeconfigFile broken("https://x");
  broken.Write("config", "users:\n- token: [s3cret\n");
  const std::string said = ReadAccess(broken.path(), "").error().message;
  EXPECT_NE(said.find("is not YAML: line "), std::string::npos) << said;
  EXPECT_EQ(said.find("s3cret"), std::string::npos) << said;
  broken.Write("config", "- a list\n");
  EXPECT_NE(ReadAccess(broken.path(), "").error().message.find("is not one"), std::string::npos);
}

TEST(Kubeconfig, ThePodsAccount) {
  const KubeconfigFile folder("https://unused");
  folder.Write("token", "first\n");
  folder.Write("ca.crt", "ca");
  const std::string path = folder.path();
  ::setenv("AUTOSCALED_SERVICE_ACCOUNT", path.substr(0, path.rfind('/')).c_str(), 1);
  ::setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  ::setenv("KUBERNETES_SERVICE_PORT", "6443", 1);
  const auto access = ReadAccess("", "");
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->server, "https://[fd00::1]:6443");
  EXPECT_EQ(access->token, "first");
  EXPECT_EQ(access->ca_pem, "ca");
  folder.Write("token", "second\n");
  EXPECT_EQ(ReadAccess("", "")->token, "second");
  ::unsetenv("KUBERNETES_SERVICE_HOST");
  ::unsetenv("KUBERNETES_SERVICE_PORT");
  ::unsetenv("AUTOSCALED_SERVICE_ACCOUNT");
  EXPECT_FALSE(ReadAccess("", "").ok());
}

}  // namespace
}  // namespace autoscale
