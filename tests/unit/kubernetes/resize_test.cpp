#include "tests/unit/kubernetes/rig.h"

namespace autoscale {
namespace {

using KubernetesResize = KubernetesRig;

TEST_F(KubernetesResize, TheScaleIsSetAndSeenAtOnce) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  ASSERT_TRUE(provider_.SetCapacity(Target(), {.capacity = 5, .victims = {}, .seen = 2}).ok());
  EXPECT_EQ(provider_.Observe(Target()).capacity, 5);
  EXPECT_EQ(server_.Get(kDeployments, "checkout")["spec"]["replicas"], 5);
}

TEST_F(KubernetesResize, AskingTwiceIsHarmless) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  const CapacityWish wish{.capacity = 5, .victims = {}, .seen = 2, .intent = "checkout/1/1"};
  ASSERT_TRUE(provider_.SetCapacity(Target(), wish).ok());
  ASSERT_TRUE(provider_.SetCapacity(Target(), wish).ok());
  EXPECT_EQ(server_.Count("PATCH", std::string(kDeployments) + "/checkout/scale"), 1);
}

TEST_F(KubernetesResize, VictimsAreMarkedBefore) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  server_.Put(kPods, "checkout-b", {{"spec", {{"nodeName", "n"}}}});
  server_.before_scale = [this] {
    EXPECT_EQ(server_.Get(kPods, "checkout-b")["metadata"]["annotations"][kCostKey], "-2147483648");
  };
  // One that has gone by itself does not matter.
  const Status status = provider_.SetCapacity(
      Target(), {.capacity = 0, .victims = {"checkout-b", "checkout-gone"}, .seen = 2});
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(server_.Count("PATCH", std::string(kPods) + "/"), 2);
  EXPECT_EQ(provider_.Observe(Target()).capacity, 0);
}

TEST_F(KubernetesResize, PodsThatTheEndpointsDoNotShowAreNotEnded) {
  const auto ready = [&](int pods) {
    auto workload = WorkloadJson(4);
    workload["status"] = {{"replicas", 4}, {"updatedReplicas", 4}, {"readyReplicas", pods}};
    server_.Put(kDeployments, "checkout", workload);
  };
  ready(4);
  ASSERT_TRUE(provider_.Observe(Target()).abilities.ends_exactly);
  const Status status = provider_.SetCapacity(Target(), {.capacity = 3, .victims = {}, .seen = 4});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kConflict);
  EXPECT_EQ(status.error().message,
            "Deployment shop/checkout: 4 pods are ready, more than 3 and those that are drained: "
            "the endpoints do not show them all");
  EXPECT_EQ(server_.Get(kDeployments, "checkout")["spec"]["replicas"], 4);
  // One that is drained may go; and so may the next at once, though the status is not news yet.
  ASSERT_TRUE(
      provider_.SetCapacity(Target(), {.capacity = 3, .victims = {"checkout-d"}, .seen = 4}).ok());
  ASSERT_TRUE(
      provider_.SetCapacity(Target(), {.capacity = 2, .victims = {"checkout-c"}, .seen = 3}).ok());
}

TEST_F(KubernetesResize, PodsWithoutAServiceHaveNothingToBeDrainedFrom) {
  server_.Delete(kSlices, "checkout-x");
  auto workload = WorkloadJson(4);
  workload["status"] = {{"replicas", 4}, {"updatedReplicas", 4}, {"readyReplicas", 4}};
  server_.Put(kDeployments, "checkout", workload);
  ASSERT_TRUE(provider_.Observe(Target()).abilities.ends_exactly);
  EXPECT_TRUE(provider_.SetCapacity(Target(), {.capacity = 3, .victims = {}, .seen = 4}).ok());
}

TEST_F(KubernetesResize, PodsThatAreNotReadyNeedNoDrain) {
  auto workload = WorkloadJson(4);
  workload["status"] = {{"replicas", 4}, {"updatedReplicas", 4}, {"readyReplicas", 3}};
  server_.Put(kDeployments, "checkout", workload);
  ASSERT_TRUE(provider_.Observe(Target()).abilities.ends_exactly);
  EXPECT_TRUE(provider_.SetCapacity(Target(), {.capacity = 3, .victims = {}, .seen = 4}).ok());
}

TEST_F(KubernetesResize, WhereKubernetesChoosesThoseThatAreReadyDoNotMatter) {
  server_.SetMinor(20);
  auto workload = WorkloadJson(4);
  workload["status"] = {{"replicas", 4}, {"updatedReplicas", 4}, {"readyReplicas", 4}};
  server_.Put(kDeployments, "checkout", workload);
  ASSERT_FALSE(provider_.Observe(Target()).abilities.ends_exactly);
  EXPECT_TRUE(provider_.SetCapacity(Target(), {.capacity = 3, .victims = {}, .seen = 4}).ok());
}

TEST_F(KubernetesResize, VictimsThatMayNotBeMarkedAreNotGuessed) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  const std::string said =
      "pods \"checkout-a\" is forbidden: User \"me\" cannot patch resource "
      "\"pods\" in API group \"\" in the namespace \"shop\"";
  server_.Fail("PATCH", kPods, Refusal(403, "Forbidden", said), -1);
  const Status status =
      provider_.SetCapacity(Target(), {.capacity = 1, .victims = {"checkout-a"}, .seen = 2});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(status.error().message,
            "Deployment shop/checkout: marking who is to end: the API "
            "server answered 403: " +
                said);
  EXPECT_EQ(server_.Get(kDeployments, "checkout")["spec"]["replicas"], 2);
}

TEST_F(KubernetesResize, AnotherCapacityThanWasSeenIsAConflict) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  server_.before_scale = [this] {
    server_.before_scale = nullptr;
    server_.Patch(kDeployments, "checkout", WorkloadJson(9));
  };
  const Status status = provider_.SetCapacity(Target(), {.capacity = 3, .victims = {}, .seen = 2});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kConflict);
  EXPECT_EQ(status.error().message, "Deployment shop/checkout: it was set to 9 meanwhile, not 2");
  EXPECT_EQ(server_.Get(kDeployments, "checkout")["spec"]["replicas"], 9);
  EXPECT_EQ(provider_.Observe(Target()).capacity, 9);
}

TEST_F(KubernetesResize, AChangeOfItsStatusIsNoConflict) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  int changes = 3;
  server_.before_scale = [&] {
    if (changes-- > 0) server_.Patch(kDeployments, "checkout", {{"status", {{"n", changes}}}});
  };
  const Status status = provider_.SetCapacity(Target(), {.capacity = 3, .victims = {}, .seen = 2});
  EXPECT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(server_.Get(kDeployments, "checkout")["spec"]["replicas"], 3);
}

TEST_F(KubernetesResize, OneThatChangesForEverIsGivenUp) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  int changes = 0;
  server_.before_scale = [&] {
    server_.Patch(kDeployments, "checkout", {{"status", {{"n", ++changes}}}});
  };
  const Status status = provider_.SetCapacity(Target(), {.capacity = 3, .victims = {}, .seen = 2});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kConflict);
  EXPECT_EQ(changes, 5);
}

TEST_F(KubernetesResize, WhatIsOlderThanOurOwnChangeIsNotBelieved) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  // A change that was on its way to us before ours: the watch brings it afterwards.
  const auto stale = server_.Get(kDeployments, "checkout");
  ASSERT_TRUE(provider_.SetCapacity(Target(), {.capacity = 5, .victims = {}, .seen = 2}).ok());
  server_.Push(kDeployments, "MODIFIED", stale);
  server_.Put(kSlices, "checkout-y", SliceJson("checkout", {{"checkout-c", true}}));
  const Observation seen =
      provider_.Await("checkout", [](const Observation& o) { return o.instances.size() == 3; });
  EXPECT_EQ(seen.capacity, 5);
  EXPECT_EQ(provider_.Observe(Target()).capacity, 5);
}

TEST_F(KubernetesResize, WithoutALookBeforeTheScaleIsRead) {
  ASSERT_TRUE(provider_.SetCapacity(Target(), {.capacity = 4, .victims = {}, .seen = 2}).ok());
  EXPECT_EQ(server_.Get(kDeployments, "checkout")["spec"]["replicas"], 4);
  EXPECT_EQ(provider_.Observe(Target()).capacity, 4);
}

TEST_F(KubernetesResize, WhatIsNoScaleIsNotBelieved) {
  const FakeAnswer page{.body = "<html>login</html>"};
  server_.Fail("GET", std::string(kDeployments) + "/checkout/scale", page, 1);
  // Without a look before, its scale is read.
  const CapacityWish wish{.capacity = 4, .victims = {}, .seen = 2};
  const Status status = provider_.SetCapacity(Target(), wish);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(status.error().message, "Deployment shop/checkout: the answer is no scale");
  EXPECT_EQ(provider_.Observe(Target()).capacity, 2);
  EXPECT_TRUE(provider_.SetCapacity(Target(), wish).ok());
}

TEST_F(KubernetesResize, ACustomResourceIsScaled) {
  server_.Put(kBoxes, "box", {{"spec", {{"replicas", 4}}}});
  const auto box = Target("box", "Box");
  ASSERT_EQ(provider_.Observe(box).capacity, 4);
  const Status status = provider_.SetCapacity(box, {.capacity = 0, .victims = {}, .seen = 4});
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(provider_.Observe(box).capacity, 0);
}

TEST_F(KubernetesResize, AScaleThatIsSetIsReadable) {
  server_.Put(kBoxes, "box", {{"spec", {{"replicas", 4}}}});
  const auto box = Target("box", "Box");
  server_.Fail("GET", std::string(kBoxes) + "/box/scale", Refusal(500, "InternalError", "etcd"), 1);
  ASSERT_TRUE(provider_.Observe(box).fault);
  ASSERT_TRUE(provider_.SetCapacity(box, {.capacity = 6, .victims = {}, .seen = 4}).ok());
  const Observation seen = provider_.Observe(box);
  EXPECT_FALSE(seen.fault) << seen.fault->message;
  EXPECT_EQ(seen.capacity, 6);
}

TEST_F(KubernetesResize, AnAnswerThatComesLateBringsNothingBack) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  server_.Delete(kDeployments, "checkout");
  provider_.AwaitFault("checkout", "there is no Deployment shop/checkout");
  const std::string scale = std::string(kDeployments) + "/checkout/scale";
  for (const char* const method : {"GET", "PATCH"}) {  // of the moment before
    const char* const body =
        R"({"kind": "Scale", "metadata": {"resourceVersion": "1"}, "spec": {"replicas": 2}})";
    server_.Fail(method, scale, FakeAnswer{.body = body}, -1);
  }
  ASSERT_TRUE(provider_.SetCapacity(Target(), {.capacity = 3, .victims = {}, .seen = 2}).ok());
  const Observation seen = provider_.Observe(Target());
  ASSERT_TRUE(seen.fault) << *seen.capacity;
  EXPECT_EQ(seen.fault->message, "there is no Deployment shop/checkout");
}

TEST_F(KubernetesResize, RefusalsSayWhatCanBeDone) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  FakeAnswer throttled{.status = 429, .body = "Too many requests, please try again later."};
  throttled.headers.emplace_back("Retry-After", "7");
  const std::vector<std::pair<FakeAnswer, ErrorKind>> refusals = {
      {Refusal(403, "Forbidden", "cannot patch resource \"deployments/scale\""),
       ErrorKind::kForbidden},
      {Refusal(404, "NotFound", "not found"), ErrorKind::kNotFound},
      {Refusal(422, "Invalid", "must be less"), ErrorKind::kOutOfRange},
      {Refusal(400, "BadRequest", "bad"), ErrorKind::kInvalid},
      {throttled, ErrorKind::kThrottled},
      {Refusal(500, "InternalError", "etcd"), ErrorKind::kUnavailable},
      {FakeAnswer{.status = 503, .body = "down"}, ErrorKind::kUnavailable},
      {FakeAnswer{.ending = FakeAnswer::Ending::kDrop}, ErrorKind::kUnavailable},
  };
  for (const auto& [refusal, kind] : refusals) {
    server_.Fail("PATCH", kDeployments, refusal, -1);  // a dropped one is sent again at once
    const Status status =
        provider_.SetCapacity(Target(), {.capacity = 3, .victims = {}, .seen = 2});
    server_.Heal();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, kind) << status.error().message;
    EXPECT_TRUE(status.error().message.starts_with("Deployment shop/checkout: "))
        << status.error().message;
    EXPECT_EQ(status.error().retry_after, Millis(refusal.status == 429 ? 7000 : 0));
  }
  EXPECT_TRUE(provider_.SetCapacity(Target(), {.capacity = 3, .victims = {}, .seen = 2}).ok());
}

}  // namespace
}  // namespace autoscale
