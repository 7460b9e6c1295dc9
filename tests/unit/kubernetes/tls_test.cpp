// Over TLS, as every API server speaks it.
#include "tests/fakes/tls_front.h"
#include "tests/unit/kubernetes/rig.h"

namespace autoscale {
namespace {

using KubernetesTls = KubernetesRig;

TEST_F(KubernetesTls, ACertificateOnEachSide) {
  const std::string folder = std::filesystem::path(file_.path()).parent_path().string();
  WriteCertificates(folder);
  const TlsFront front(folder, server_.http().port(), TlsFront::Clients::kCertified);
  const KubeconfigFile both(
      front.Url(),
      "client-certificate: " + folder + "/client.pem, client-key: " + folder + "/client.key",
      "certificate-authority: " + folder + "/ca.pem");
  auto target = Target();
  target->kubeconfig = both.path();
  const Observation seen = provider_.Observe(target);
  ASSERT_FALSE(seen.fault) << seen.fault->message;
  server_.Patch(kDeployments, "checkout", WorkloadJson(3));
  provider_.AwaitCapacity("checkout", 3);
  EXPECT_TRUE(provider_.SetCapacity(target, {.capacity = 5, .victims = {}, .seen = 3}).ok());
}

TEST_F(KubernetesTls, AServerThatIsNotTrustedIsAFault) {
  const std::string folder = std::filesystem::path(file_.path()).parent_path().string();
  WriteCertificates(folder);
  const TlsFront front(folder, server_.http().port(), TlsFront::Clients::kAny);
  const KubeconfigFile plain(front.Url(), "token: s3cret");
  auto target = Target();
  target->kubeconfig = plain.path();
  const Observation seen = provider_.Observe(target);
  ASSERT_TRUE(seen.fault);
  EXPECT_NE(seen.fault->message.find("the server's certificate is not trusted"), std::string::npos)
      << seen.fault->message;
  EXPECT_EQ(seen.fault->message.find("s3cret"), std::string::npos);
  EXPECT_EQ(server_.http().requests().size(), 0u);
  auto reckless = Target("checkout");
  const KubeconfigFile skip(front.Url(), "token: s3cret", "insecure-skip-tls-verify: true");
  reckless->kubeconfig = skip.path();
  EXPECT_EQ(provider_.Observe(reckless).capacity, 2);
}

}  // namespace
}  // namespace autoscale
