// The real daemon scales what a real API server and its controllers run, with a real nginx before
// it.
#include <algorithm>

#include "tests/real/kubernetes_fixture.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

using RealKubernetesScale = KubernetesFixture;

TEST_F(RealKubernetesScale, NoRequestFailsWhileADeploymentGoesOutAndIn) {
  StartNginx();
  if (IsSkipped()) return;
  RunPods(PodRunner::Kind::kReal);
  Grant();
  CreateWorkload("Deployment", "checkout", 1);
  WriteService("checkout");
  Load("checkout", 2);
  rig_.Start();
  Await("Deployment", "checkout", 2);
  Child load({BuiltProgram("demo/demo-load"), "--port", std::to_string(nginx_->port()),
              "--schedule", "15:200", "--summary", rig_.folder() / "load.json"},
             rig_.folder() / "output/load");
  for (const int count : {5, 1, 3, 2}) {
    Load("checkout", count);
    Await("Deployment", "checkout", count);
  }
  ASSERT_EQ(load.Wait(seconds(60)), 0) << load.Errors();
  const Json summary = Json::parse(ReadWhole(rig_.folder() / "load.json"), nullptr, false);
  ASSERT_TRUE(summary.is_object()) << load.Errors();
  EXPECT_GE(summary["arrived"], 2500);
  EXPECT_EQ(summary["failed"], 0) << summary;
  EXPECT_EQ(Set(), (std::vector{2, 5, 1, 3, 2}));
  EXPECT_TRUE(Says(rig_.Explain("checkout"), {"so many are asked for"}));
}

TEST_F(RealKubernetesScale, AStatefulSetGoesOutAndInByItsOrdinals) {
  RunPods(PodRunner::Kind::kPaper);
  Grant();
  CreateWorkload("StatefulSet", "store", 1);
  WriteService("store", "StatefulSet");
  Load("store", 4);
  rig_.Start();
  Await("StatefulSet", "store", 4);
  Load("store", 2);
  Await("StatefulSet", "store", 2);
  EXPECT_EQ(pods_->Names(), (std::set<std::string>{"store-0", "store-1"}));
  EXPECT_EQ(Set(), (std::vector{4, 2}));
}

// With replicas where only its scale subresource knows.
TEST_F(RealKubernetesScale, ACustomResourceGoesOutAndIn) {
  CreateBoxes();
  Grant(Boxes::kYes);
  admin().Create(PathOf("Box"), {{"apiVersion", "example.com/v1"},
                                 {"kind", "Box"},
                                 {"metadata", {{"name", "crate"}}},
                                 {"spec", {{"size", 1}}}});
  WriteService("crate", "Box", "  api_version: example.com/v1\n");
  Load("crate", 3);
  rig_.Start();
  Await("Box", "crate", 3);
  EXPECT_EQ(admin().Get(PathOf("Box", "crate")).json["spec"]["size"], 3);
  Load("crate", 2);
  Await("Box", "crate", 2);
  EXPECT_EQ(Set(), (std::vector{3, 2}));
}

TEST_F(RealKubernetesScale, WhatSomebodyElseSetsIsSetBackOrTaken) {
  Grant();
  for (const char* const name : {"ours", "theirs"}) {
    CreateWorkload("Deployment", name, 2);
    Load(name, 3);
  }
  WriteService("ours");
  WriteService("theirs", "Deployment", "", "capacity: shared\n");
  rig_.Start();
  Await("Deployment", "ours", 3);
  Await("Deployment", "theirs", 3);
  rig_.Ctl({"pause", "theirs", "--reason", "to see what is taken"});
  Scale("Deployment", "theirs", 5);
  Scale("Deployment", "ours", 6);
  AwaitLog("its capacity was changed from 3 to 6 by somebody else");
  Await("Deployment", "ours", 3);
  ASSERT_TRUE(Eventually([&] { return rig_.Service("theirs")["capacity"]["desired"] == 5; }))
      << rig_.Ctl({"status", "theirs"}).out;
  EXPECT_EQ(Replicas("Deployment", "theirs"), 5);
}

TEST_F(RealKubernetesScale, AnAutoscalerOfItsOwnIsNamedAndNothingIsSet) {
  Grant();
  CreateWorkload("Deployment", "web", 2);
  const std::string scalers =
      "/apis/autoscaling/v1/namespaces/" + ns() + "/horizontalpodautoscalers";
  admin().Create(scalers,
                 {{"metadata", {{"name", "web-hpa"}}},
                  {"spec",
                   {{"maxReplicas", 5},
                    {"scaleTargetRef",
                     {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", "web"}}}}}});
  WriteService("web");
  Load("web", 4);
  rig_.Start();
  AwaitProblem("web", "the HorizontalPodAutoscaler " + ns() + "/web-hpa scales it too");
  EXPECT_EQ(Replicas("Deployment", "web"), 2);
  EXPECT_EQ(Set(), std::vector<int>());
  ASSERT_TRUE(admin().Delete(scalers + "/web-hpa").ok());
  Await("Deployment", "web", 4);
}

}  // namespace
}  // namespace autoscale
