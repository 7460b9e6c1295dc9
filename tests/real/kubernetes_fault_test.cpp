// What a real API server does to us, and what happens meanwhile.
#include <csignal>
#include <thread>

#include "tests/real/hanging_webhook.h"
#include "tests/real/kubernetes_fixture.h"
#include "tests/unit/kubernetes/provider_on_loop.h"

namespace autoscale {
namespace {

// Many that ask at once, as we, for what a webhook keeps.
class Flood {
 public:
  Flood(const std::string& path, const std::function<std::unique_ptr<KubernetesClient>()>& make) {
    for (int i = 0; i < kClients; ++i) {
      threads_.emplace_back([this, path, client = std::shared_ptr(make())] {
        while (!stop_) {
          const auto answer = client->Ask("POST", path, R"({"metadata":{"generateName":"x-"}})",
                                          "application/json");
          refused_ += answer.status == 429;
          if (answer.status == 429) std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
      });
    }
  }
  ~Flood() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  [[nodiscard]] int refused() const { return refused_; }

 private:
  static constexpr int kClients = 8;
  std::atomic<bool> stop_{false};
  std::atomic<int> refused_{0};
  std::vector<std::thread> threads_;
};

class RealKubernetesFault : public KubernetesFixture {
 protected:
  // A Deployment that the daemon has brought to so many.
  void Begin(const std::string& name, int count) {
    Grant();
    CreateWorkload("Deployment", name, 1);
    WriteService(name);
    Load(name, count);
    rig_.Start();
    Await("Deployment", name, count);
  }
  std::shared_ptr<KubernetesTarget> Target(const std::string& name) const {
    auto target = std::make_shared<KubernetesTarget>();
    target->kubeconfig = kubeconfig_;
    target->api_namespace = ns();
    target->group = "apps";
    target->version = "v1";
    target->kind = "Deployment";
    target->name = target->api_service = name;
    return target;
  }
  // A priority level of our own with room for a few requests at once, and no queue.
  void ThrottleUs() const {
    const std::string api = "/apis/flowcontrol.apiserver.k8s.io/v1beta1/";
    admin().Create(
        api + "prioritylevelconfigurations",
        {{"metadata", {{"name", "little"}}},
         {"spec",
          {{"type", "Limited"},
           {"limited",
            {{"assuredConcurrencyShares", 1}, {"limitResponse", {{"type", "Reject"}}}}}}}});
    const Json account{{"kind", "ServiceAccount"},
                       {"serviceAccount", {{"name", "autoscaled"}, {"namespace", "autoscaled"}}}};
    const Json all{
        {"apiGroups", {"*"}}, {"namespaces", {"*"}}, {"resources", {"*"}}, {"verbs", {"*"}}};
    admin().Create(api + "flowschemas",
                   {{"metadata", {{"name", "us"}}},
                    {"spec",
                     {{"matchingPrecedence", 100},
                      {"priorityLevelConfiguration", {{"name", "little"}}},
                      {"rules", {{{"subjects", {account}}, {"resourceRules", {all}}}}}}}});
  }
  void StopThrottling() const {
    const std::string api = "/apis/flowcontrol.apiserver.k8s.io/v1beta1/";
    admin().Delete(api + "flowschemas/us");
    admin().Delete(api + "prioritylevelconfigurations/little");
  }
  // What the flood asks for.
  void AllowConfigMaps() const {
    const std::string api = "/apis/rbac.authorization.k8s.io/v1/namespaces/" + ns() + "/";
    const Json rule{{"apiGroups", {""}}, {"resources", {"configmaps"}}, {"verbs", {"create"}}};
    admin().Create(api + "roles", {{"metadata", {{"name", "flood"}}}, {"rules", {rule}}});
    const Json account{
        {"kind", "ServiceAccount"}, {"name", "autoscaled"}, {"namespace", "autoscaled"}};
    const Json role{{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "Role"}, {"name", "flood"}};
    admin().Create(api + "rolebindings",
                   {{"metadata", {{"name", "flood"}}}, {"roleRef", role}, {"subjects", {account}}});
  }
  std::vector<int> Codes() const {
    std::vector<int> codes;
    for (const auto& one : Asked("patch", "deployments/scale")) codes.push_back(one.code);
    return codes;
  }
};

// --- Others change it, too ---

TEST_F(RealKubernetesFault, ACapacityThatSomebodySetMeanwhileIsNotOverwritten) {
  Grant();
  CreateWorkload("Deployment", "web", 2);
  ProviderOnLoop provider;
  ASSERT_EQ(provider.Observe(Target("web")).capacity, 2);
  const Status refused = provider.SetCapacity(Target("web"), {.capacity = 3, .seen = 2},
                                              [this] { Scale("Deployment", "web", 5); });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kConflict);
  EXPECT_TRUE(Says(refused.error().message, {"it was set to 5 meanwhile, not 2"}));
  EXPECT_EQ(Replicas("Deployment", "web"), 5);
  EXPECT_EQ(Codes(), std::vector{409});  // it did not know better before it asked
}

TEST_F(RealKubernetesFault, AChangeOfAnythingElseIsNoConflict) {
  Grant();
  CreateWorkload("Deployment", "web", 2);
  ProviderOnLoop provider;
  ASSERT_EQ(provider.Observe(Target("web")).capacity, 2);
  const Status taken = provider.SetCapacity(Target("web"), {.capacity = 3, .seen = 2}, [this] {
    const Json label{{"metadata", {{"labels", {{"team", "shop"}}}}}};
    ASSERT_TRUE(admin().Patch(PathOf("Deployment", "web"), label).ok());
  });
  EXPECT_TRUE(taken.ok()) << taken.error().message;
  EXPECT_EQ(Replicas("Deployment", "web"), 3);
  EXPECT_EQ(Codes().front(), 409);  // and once more for each status that came between
  EXPECT_EQ(Codes().back(), 200);
}

// --- The API server fails ---

// StatefulSets are watched without the API server's own memory of what was: what etcd has forgotten
// is a 410, as on a server that forgets quickly.
TEST_F(RealKubernetesFault, WhatACompactionTookAwayIsListedAgain) {
  Grant();
  CreateWorkload("StatefulSet", "store", 1);
  WriteService("store", "StatefulSet");
  Load("store", 3);
  rig_.Start();
  Await("StatefulSet", "store", 3);
  const size_t lists = Asked("list", "statefulsets").size();
  rig_.daemon().Signal(SIGSTOP);
  cluster().KillApiServer();
  ASSERT_TRUE(cluster().StartApiServer()) << cluster().Log();
  Scale("StatefulSet", "store", 6);
  ASSERT_TRUE(cluster().Compact());
  rig_.daemon().Signal(SIGCONT);
  AwaitLog("its capacity was changed from 3 to 6 by somebody else");
  Await("StatefulSet", "store", 3);
  EXPECT_EQ(Asked("list", "statefulsets").size(), lists + 1);
}

TEST_F(RealKubernetesFault, ARestartOfTheApiServerIsToldAndForgotten) {
  Begin("web", 2);
  cluster().KillApiServer();
  AwaitLog("its target cannot be read: Deployment " + ns() + "/web: ");
  EXPECT_TRUE(Says(rig_.Explain("web"), {"its target cannot be read"}));
  ASSERT_TRUE(cluster().StartApiServer()) << cluster().Log();
  AwaitLog("its target can be read again");
  EXPECT_TRUE(Eventually([this] { return Problem("web").empty(); })) << Problem("web");
  EXPECT_EQ(Set(), std::vector{2});
}

TEST_F(RealKubernetesFault, AnApiServerThatDiesInTheMiddleIsToldAndItGoesOn) {
  RunPods(PodRunner::Kind::kPaper);
  Begin("web", 2);
  pods_->HoldStarts(true);
  Load("web", 4);
  ASSERT_TRUE(Eventually([this] { return Replicas("Deployment", "web") == 4; }));
  cluster().KillApiServer();
  AwaitProblem("web", "connection refused");
  Load("web", 6);
  ASSERT_TRUE(Eventually([this] { return rig_.Service("web")["capacity"]["desired"] == 6; }));
  ASSERT_TRUE(cluster().StartApiServer()) << cluster().Log();
  pods_->HoldStarts(false);
  Await("Deployment", "web", 6);
  EXPECT_EQ(Set(), (std::vector{2, 4, 6}));
}

// The change is on its way when the API server dies: whether it was made is not known.
TEST_F(RealKubernetesFault, AChangeThatDiesWithTheApiServerIsMadeAfterwards) {
  Begin("web", 2);
  {
    const HangingWebhook hang(admin(), ns(), "UPDATE", "apps", "deployments/scale");
    Load("web", 4);
    ASSERT_TRUE(Eventually([&] { return hang.IsAsked(); })) << rig_.Explain("web");
    cluster().KillApiServer();
    AwaitProblem("web", "connection refused");
    ASSERT_TRUE(cluster().StartApiServer()) << cluster().Log();
  }
  Await("Deployment", "web", 4);
}

TEST_F(RealKubernetesFault, OneThatThrottlesIsToldAndAskedAgain) {
  Begin("web", 2);
  AllowConfigMaps();
  ThrottleUs();
  {
    std::optional<HangingWebhook> hang(std::in_place, admin(), ns(), "CREATE", "", "configmaps");
    const Flood flood("/api/v1/namespaces/" + ns() + "/configmaps",
                      [token = Token()] { return cluster().Client(token); });
    EXPECT_TRUE(Eventually([&] { return hang->IsAsked() && flood.refused() > 0; }));
    Load("web", 4);
    AwaitProblem("web", "the API server answered 429");
    EXPECT_EQ(Replicas("Deployment", "web"), 2);
    hang.reset();  // before the flood, which waits for its answers
  }
  StopThrottling();
  Await("Deployment", "web", 4);
}

// --- The daemon dies ---

TEST_F(RealKubernetesFault, KilledWhileItScalesOutItAsksForNothingTwice) {
  StartNginx();
  if (IsSkipped()) return;
  RunPods(PodRunner::Kind::kReal);
  Begin("checkout", 1);
  pods_->HoldStarts(true);
  Load("checkout", 4);
  ASSERT_TRUE(Eventually([this] { return Set() == std::vector{4}; }));
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  pods_->HoldStarts(false);
  ASSERT_TRUE(Eventually([this] { return pods_->Serving().size() == 4; }));
  EXPECT_EQ(Published().size(), 1u);
  rig_.Start();
  Await("Deployment", "checkout", 4);
  EXPECT_EQ(Set(), std::vector{4});
}

// Whether the change was made nobody knows who was not there.
TEST_F(RealKubernetesFault, KilledWhileAChangeIsAnsweredItIsMadeOnce) {
  Begin("web", 2);
  {
    const HangingWebhook hang(admin(), ns(), "UPDATE", "apps", "deployments/scale");
    Load("web", 4);
    ASSERT_TRUE(Eventually([&] { return hang.IsAsked(); })) << rig_.Explain("web");
    EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  }
  rig_.Start();
  Await("Deployment", "web", 4);
  Load("web", 3);
  Await("Deployment", "web", 3);
  EXPECT_EQ(Set(), (std::vector{2, 4, 3}));
}

TEST_F(RealKubernetesFault, KilledWhileItScalesInNoRequestFailsAndNothingIsAskedTwice) {
  StartNginx();
  if (IsSkipped()) return;
  RunPods(PodRunner::Kind::kReal);
  Begin("checkout", 5);
  Child load({BuiltProgram("demo/demo-load"), "--port", std::to_string(nginx_->port()),
              "--schedule", "8:200", "--summary", rig_.folder() / "load.json"},
             rig_.folder() / "output/load");
  Load("checkout", 2);
  ASSERT_TRUE(Eventually([this] { return Set() == std::vector{5, 2}; }));
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  rig_.Start();
  Await("Deployment", "checkout", 2);
  EXPECT_EQ(Set(), (std::vector{5, 2}));
  ASSERT_EQ(load.Wait(), 0) << load.Errors();
  const Json summary = Json::parse(ReadWhole(rig_.folder() / "load.json"), nullptr, false);
  ASSERT_TRUE(summary.is_object());
  EXPECT_EQ(summary["failed"], 0) << summary;
}

}  // namespace
}  // namespace autoscale
