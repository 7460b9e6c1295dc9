// Who the daemon is to a real API server, and what it may do there.
#include "tests/real/kubernetes_fixture.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

class RealKubernetesAccess : public KubernetesFixture {
 protected:
  // A Deployment that the daemon, being whom the kubeconfig says, brings to so many.
  void Begin(const std::string& user, int count) {
    kubeconfig_ = WriteKubeconfig(user);
    CreateWorkload("Deployment", "web", 1);
    WriteService("web");
    Load("web", count);
    rig_.Start();
    Await("Deployment", "web", count);
  }
  void Bring(int count) {
    Load("web", count);
    Await("Deployment", "web", count);
  }
  // The token that is bound to the Secret is worth nothing from now on: once the API server has
  // forgotten, after ten seconds, that it was good.
  void Revoke(const std::string& secret, const std::string& token) const {
    ASSERT_TRUE(admin().Delete("/api/v1/namespaces/autoscaled/secrets/" + secret).ok());
    const auto client = cluster().Client(token);
    ASSERT_TRUE(Eventually([&] { return client->Get("/version").status == 401; }));
  }
  [[nodiscard]] bool May(const std::string& verb, const std::string& group,
                         const std::string& resource, const std::string& api_namespace) const {
    const Json asked{{"user", "system:serviceaccount:autoscaled:autoscaled"},
                     {"resourceAttributes",
                      {{"namespace", api_namespace},
                       {"verb", verb},
                       {"group", group},
                       {"resource", resource.substr(0, resource.find('/'))},
                       {"subresource", resource.find('/') == std::string::npos
                                           ? ""
                                           : resource.substr(resource.find('/') + 1)}}}};
    const Json review =
        admin().Create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {{"spec", asked}});
    return review["status"].value("allowed", false);
  }
};

// --- Who we are ---

TEST_F(RealKubernetesAccess, ATokenThatEndedIsToldAndReplacedWhenItsFileIs) {
  Grant();
  CreateSecret("first");
  const std::string first = Token("first");
  rig_.Write("token", first + "\n");
  Begin("tokenFile: token", 2);
  Revoke("first", first);
  Load("web", 3);
  AwaitProblem("web", "the API server does not know us (401)");
  EXPECT_EQ(Replicas("Deployment", "web"), 2);
  EXPECT_FALSE(LogSays(first));
  rig_.Write("token", Token() + "\n");
  Await("Deployment", "web", 3);
}

TEST_F(RealKubernetesAccess, ATokenThatRotatesInTimeIsNotNoticed) {
  Grant();
  CreateSecret("early");
  const std::string early = Token("early");
  rig_.Write("token", early + "\n");
  Begin("tokenFile: token", 2);
  rig_.Write("token", Token() + "\n");
  Revoke("early", early);
  Bring(3);
  EXPECT_FALSE(LogSays("401"));
}

TEST_F(RealKubernetesAccess, AClientCertificateIsEnough) {
  Grant(Boxes::kNo, "- kind: ServiceAccount\n  name: autoscaled\n  namespace: autoscaled\n",
        "- kind: User\n  name: test client\n  apiGroup: rbac.authorization.k8s.io\n");
  Begin("client-certificate: " + cluster().ClientFile() +
            ", client-key: " + cluster().ClientKeyFile(),
        3);
  ASSERT_FALSE(Asked("patch", "deployments/scale").empty());
  EXPECT_EQ(Asked("patch", "deployments/scale").front().user, "test client");
}

TEST_F(RealKubernetesAccess, APluginTellsWhoWeAre) {
  Grant();
  rig_.Write("plugin",
             "#!/bin/sh\necho ran >>\"$RUNS\"\n"
             "echo \"{\\\"apiVersion\\\":\\\"client.authentication.k8s.io/v1\\\","
             "\\\"kind\\\":\\\"ExecCredential\\\",\\\"status\\\":{\\\"token\\\":\\\"$(cat "
             "\"$1\")\\\"}}\"\n");
  fs::permissions(rig_.folder() / "plugin", fs::perms::owner_all);
  CreateSecret("plugin");
  const std::string told = Token("plugin");
  rig_.Write("told", told);
  Begin("exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, args: [" +
            (rig_.folder() / "told").string() +
            "], env: [{name: RUNS, value: " + (rig_.folder() / "runs").string() + "}]}",
        3);
  EXPECT_EQ(ReadWhole(rig_.folder() / "runs"), "ran\n");
  rig_.Write("told", Token());
  Revoke("plugin", told);
  Bring(4);  // asked again when its answer is refused
  EXPECT_EQ(ReadWhole(rig_.folder() / "runs"), "ran\nran\n");
}

// As in a pod: the address in the environment, the account in its usual folder, which a kubelet
// changes under us.
TEST_F(RealKubernetesAccess, InAPodTheAccountsFilesAreEnoughAndMayRotate) {
  Grant();
  CreateSecret("pod");
  const fs::path account = rig_.folder() / "account";
  fs::create_directory(account);
  fs::copy_file(cluster().CaFile(), account / "ca.crt");
  const std::string token = Token("pod");
  rig_.Write("account/token", token);
  const std::string place = "/run/secrets/kubernetes.io/serviceaccount";
  const std::vector<std::string> pod = {
      "/usr/bin/unshare",
      "--map-root-user",
      "--mount",
      "/bin/sh",
      "-c",
      "mount -t tmpfs none /run && mkdir -p " + place + " && mount --bind " + account.string() +
          " " + place + " && exec /usr/bin/env KUBERNETES_SERVICE_HOST=127.0.0.1 " +
          "KUBERNETES_SERVICE_PORT=" + std::to_string(cluster().port()) + " \"$@\"",
      "pod"};
  std::vector<std::string> probe = pod;
  probe.emplace_back("/bin/true");
  if (Child(probe, rig_.folder() / "output/probe").Wait() != 0) {
    GTEST_SKIP() << "no mount namespaces here: unshare --map-root-user --mount is refused";
  }
  rig_.RunUnder(pod);
  kubeconfig_ = "";
  CreateWorkload("Deployment", "web", 1);
  WriteService("web");
  Load("web", 3);
  rig_.Start();
  Await("Deployment", "web", 3);
  rig_.Write("account/next", Token());
  fs::rename(account / "next", account / "token");
  Revoke("pod", token);
  Bring(4);
}

// --- What we may do ---

struct Lack {
  const char* name;
  const char* rule;     // of the manifest
  const char* instead;  // a right less
  const char* told;
  bool may_scale = false;  // before it is noticed: what was listed is known
};

class RealKubernetesRights : public KubernetesFixture, public testing::WithParamInterface<Lack> {};

TEST_P(RealKubernetesRights, OneThatLacksIsToldByVerbAndResource) {
  const Lack& lack = GetParam();
  Grant(Boxes::kNo, lack.rule, lack.instead);
  CreateWorkload("Deployment", "web", 2);
  WriteService("web");
  Load("web", 3);
  const auto daemon = rig_.Launch({});  // not ready before it knows what exists
  AwaitProblem("web", lack.told);
  if (!lack.may_scale) {
    EXPECT_EQ(Replicas("Deployment", "web"), 2);
  }
  Grant();
  Await("Deployment", "web", 3);
}

constexpr Lack kLacks[] = {
    {"ListWorkloads", "statefulsets, replicasets]\n  verbs: [list, watch]",
     "statefulsets, replicasets]\n  verbs: [watch]", "cannot list resource \"deployments\""},
    {"WatchWorkloads", "statefulsets, replicasets]\n  verbs: [list, watch]",
     "statefulsets, replicasets]\n  verbs: [list]", "cannot watch resource \"deployments\"", true},
    {"PatchScales", "verbs: [get, patch]", "verbs: [get]",
     "cannot patch resource \"deployments/scale\""},
    {"ListEndpoints", "resources: [endpointslices]\n  verbs: [list, watch]",
     "resources: [endpointslices]\n  verbs: [watch]", "cannot list resource \"endpointslices\""},
    {"WatchEndpoints", "resources: [endpointslices]\n  verbs: [list, watch]",
     "resources: [endpointslices]\n  verbs: [list]", "cannot watch resource \"endpointslices\"",
     true},
};
INSTANTIATE_TEST_SUITE_P(Each, RealKubernetesRights, testing::ValuesIn(kLacks),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_F(RealKubernetesAccess, WithoutTheRightToSeeOtherAutoscalersItScales) {
  Grant(Boxes::kNo, "resources: [horizontalpodautoscalers]\n  verbs: [list, watch]",
        "resources: [horizontalpodautoscalers]\n  verbs: [watch]");
  Begin("token: " + Token(), 3);
}

TEST_F(RealKubernetesAccess, TheManifestsGrantNoMoreThanIsNeeded) {
  Grant();
  ASSERT_TRUE(Eventually([this] {  // the authorizer has heard of the Role
    return May("patch", "apps", "deployments/scale", ns());
  }));
  EXPECT_TRUE(May("patch", "", "pods", ns()));
  for (const char* const verb : {"create", "update", "patch", "delete"}) {
    EXPECT_FALSE(May(verb, "apps", "deployments", ns())) << verb;
    EXPECT_FALSE(May(verb, "discovery.k8s.io", "endpointslices", ns())) << verb;
  }
  for (const char* const verb : {"get", "list", "create", "delete"}) {
    EXPECT_FALSE(May(verb, "", "pods", ns())) << verb;
    EXPECT_FALSE(May(verb, "", "secrets", ns())) << verb;
  }
  EXPECT_FALSE(May("list", "apps", "deployments", "default"));
  EXPECT_FALSE(May("get", "", "secrets", "autoscaled"));
}

// --- The manifests ---

TEST_F(RealKubernetesAccess, TheManifestsAreTakenAsTheyAreWritten) {
  for (const char* const file : {"autoscaled.yaml", "target-namespace.yaml"}) {
    for (std::string document : YamlDocuments(Manifest(file))) {
      const size_t at = document.find("namespace: shop");
      if (at != std::string::npos) document.replace(at, 15, "namespace: " + ns());
      const auto applied = admin().Apply(YamlPath(document) + "?dryRun=All&force=true", document);
      EXPECT_TRUE(applied.ok()) << applied.text << "\n" << document;
    }
  }
  const Json pod = admin()
                       .Get("/apis/apps/v1/namespaces/autoscaled/statefulsets/autoscaled")
                       .json["spec"]["template"]["spec"];
  const Json& container = pod["containers"][0];
  EXPECT_EQ(container["livenessProbe"]["httpGet"]["path"], "/healthz");
  EXPECT_EQ(container["readinessProbe"]["httpGet"]["path"], "/readyz");
  EXPECT_EQ(container["securityContext"]["readOnlyRootFilesystem"], true);
  EXPECT_EQ(pod["securityContext"]["runAsNonRoot"], true);
  EXPECT_EQ(pod["serviceAccountName"], "autoscaled");
}

TEST_F(RealKubernetesAccess, TheirConfigurationIsOneThatTheDaemonTakes) {
  const Json daemon = admin().Get("/api/v1/namespaces/autoscaled/configmaps/autoscaled").json;
  const Json services =
      admin().Get("/api/v1/namespaces/autoscaled/configmaps/autoscaled-services").json;
  std::string text = daemon["data"]["autoscaled.yaml"];
  const std::string folder = "/etc/autoscaled-services";
  ASSERT_NE(text.find(folder), std::string::npos);
  text.replace(text.find(folder), folder.size(), rig_.folder() / "services.d");
  rig_.Write("pod.yaml", text);
  // As a kubelet lays a ConfigMap out.
  const fs::path mounted = rig_.folder() / "services.d";
  fs::create_directory(mounted / "..2026");
  fs::create_directory_symlink("..2026", mounted / "..data");
  for (const auto& [name, service] : services["data"].items()) {
    rig_.Write("services.d/..2026/" + name, service);
    fs::create_symlink(fs::path("..data") / name, mounted / name);
  }
  fs::create_directory(rig_.folder() / "account");
  fs::copy_file(cluster().CaFile(), rig_.folder() / "account/ca.crt");
  rig_.Write("account/token", "some");
  Child check(
      {"/usr/bin/env", "KUBERNETES_SERVICE_HOST=127.0.0.1",
       "AUTOSCALED_SERVICE_ACCOUNT=" + (rig_.folder() / "account").string(),
       BuiltProgram("bin/autoscaled"), "--config", rig_.folder() / "pod.yaml", "--check-config"},
      rig_.folder() / "output/check");
  EXPECT_EQ(check.Wait(), 0) << check.Output() << check.Errors();
  EXPECT_TRUE(Says(check.Output() + check.Errors(), {"1 service"}));
}

}  // namespace
}  // namespace autoscale
