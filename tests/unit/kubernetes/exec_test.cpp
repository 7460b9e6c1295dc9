#include "providers/kubernetes/exec.h"

#include <gtest/gtest.h>

#include "providers/kubernetes/credentials.h"
#include "tests/unit/kubernetes/kubeconfig_file.h"

namespace autoscale::kubernetes {
namespace {

constexpr const char* kVersion = "client.authentication.k8s.io/v1";

class KubernetesExec : public testing::Test {
 protected:
  Result<ExecCredential> Run(const std::string& script, const std::string& hint = "") {
    ExecPlugin plugin{.api_version = kVersion,
                      .command = {"sh", "-c", script},
                      .environment = {{"MINE", "yes"}},
                      .install_hint = hint};
    return Run(plugin);
  }

  Result<ExecCredential> Run(const ExecPlugin& plugin) {
    EventLoop loop;
    std::optional<Result<ExecCredential>> answer;
    const ExecRun run(loop, plugin, [&](Result<ExecCredential> result) {
      answer.emplace(std::move(result));
      loop.Stop();
    });
    EXPECT_FALSE(answer.has_value());
    loop.Run();
    return *std::move(answer);
  }

  std::string FaultOf(const std::string& script) {
    const auto result = Run(script);
    return result.ok() ? "none" : result.error().message;
  }
};

TEST_F(KubernetesExec, WhatItPrintsIsTheCredential) {
  const auto token = Run(R"(echo '{"kind": "ExecCredential", "status": {"token": "s3cret",
      "expirationTimestamp": "2030-01-02T03:04:05Z"}}')");
  ASSERT_TRUE(token.ok()) << token.error().message;
  EXPECT_EQ(token->token, "s3cret");
  ASSERT_TRUE(token->expires);
  EXPECT_EQ(std::chrono::system_clock::to_time_t(*token->expires), 1893553445);
  const auto certificate = Run(R"(echo '{"kind": "ExecCredential", "status": {
      "clientCertificateData": "cert", "clientKeyData": "key"}}')");
  ASSERT_TRUE(certificate.ok()) << certificate.error().message;
  EXPECT_EQ(certificate->client_cert_pem, "cert");
  EXPECT_EQ(certificate->client_key_pem, "key");
  EXPECT_FALSE(certificate->expires);
}

TEST_F(KubernetesExec, ItIsToldWhatIsAskedAndItsOwnVariables) {
  const auto result = Run(R"(case "$KUBERNETES_EXEC_INFO$MINE" in
      *'"apiVersion":"client.authentication.k8s.io/v1"'*yes)
        echo '{"kind": "ExecCredential", "status": {"token": "fine"}}';; esac)");
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->token, "fine");
}

TEST_F(KubernetesExec, FaultsAreToldWithoutWhatItPrinted) {
  EXPECT_EQ(FaultOf("echo s3cret; exit 3"), "the credential plugin sh: it exited with status 3");
  EXPECT_EQ(FaultOf("kill -9 $$"), "the credential plugin sh: it was ended by signal 9");
  EXPECT_EQ(FaultOf("echo s3cret"), "the credential plugin sh: it did not print an ExecCredential");
  EXPECT_EQ(FaultOf(R"(echo '{"kind": "ExecCredential", "status": {}}')"),
            "the credential plugin sh: it printed neither a token nor a certificate");
  const ExecPlugin absent{.api_version = kVersion,
                          .command = {"/nowhere/login"},
                          .environment = {},
                          .install_hint = "install it with: get login"};
  EXPECT_EQ(Run(absent).error().message,
            "the credential plugin /nowhere/login: it cannot be run: No such file or directory; "
            "install it with: get login");
}

TEST_F(KubernetesExec, OneThatPrintsForEverHoldsNothingUp) {
  const std::string there = testing::TempDir() + "exec-goes-on-" + std::to_string(::getpid());
  std::filesystem::remove(there);
  // More than is kept; then it is silent until the loop has done something else.
  const ExecPlugin plugin{.api_version = kVersion,
                          .command = {"sh", "-c",
                                      "head -c 1048577 /dev/zero; for i in $(seq 200); do "
                                      "[ -e \"$THERE\" ] && exit 5; sleep 0.05; done; exit 6"},
                          .environment = {{"THERE", there}},
                          .install_hint = {}};
  EventLoop loop;
  std::string fault;
  const ExecRun run(loop, plugin, [&](const Result<ExecCredential>& result) {
    fault = result.ok() ? "none" : result.error().message;
    loop.Stop();
  });
  loop.After(Millis(500), [&] { std::ofstream(there) << "go on"; });
  loop.Run();
  EXPECT_EQ(fault, "the credential plugin sh: it exited with status 5");
  std::filesystem::remove(there);
}

TEST_F(KubernetesExec, OneRunAnswersAllAndItsAnswerIsKept) {
  const KubeconfigFile file(
      "https://x",
      "exec: {apiVersion: " + std::string(kVersion) + ", command: sh, args: [-c, \"" +
          R"(echo >> \"$COUNT\"; echo '{\"kind\": \"ExecCredential\", \"status\": {\"token\": \"t\"}}')" +
          "\"], env: [{name: COUNT, value: " + testing::TempDir() + "exec-count-" +
          std::to_string(::getpid()) + "}]}");
  const std::string count = testing::TempDir() + "exec-count-" + std::to_string(::getpid());
  std::filesystem::remove(count);
  EventLoop loop;
  Credentials credentials(loop, file.path(), "");
  int answers = 0;
  const auto take = [&](const Result<ClusterAccess>& access) {
    ASSERT_TRUE(access.ok()) << access.error().message;
    EXPECT_EQ(access->token, "t");
    if (++answers % 2 == 0) loop.Stop();
  };
  credentials.Get(false, take);
  credentials.Get(false, take);
  loop.Run();
  EXPECT_EQ(std::filesystem::file_size(count), 1u);
  credentials.Get(false, take);
  credentials.Get(true, take);  // it was refused
  loop.Run();
  EXPECT_EQ(std::filesystem::file_size(count), 2u);
  std::filesystem::remove(count);
}

}  // namespace
}  // namespace autoscale::kubernetes
