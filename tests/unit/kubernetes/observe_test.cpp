#include "tests/unit/kubernetes/rig.h"

namespace autoscale {
namespace {

using KubernetesObserve = KubernetesRig;

TEST_F(KubernetesObserve, CapacityInstancesAndAbilities) {
  const Observation seen = provider_.Observe(Target());
  ASSERT_FALSE(seen.fault) << seen.fault->message;
  EXPECT_EQ(seen.service, "checkout");
  EXPECT_EQ(seen.capacity, 2);
  EXPECT_EQ(Instances(seen), "checkout-a:ready checkout-b:ready");
  EXPECT_EQ(seen.instances[0].endpoint, "10.0.0.1:8080");
  EXPECT_EQ(seen.abilities,
            (TargetAbilities{.names_instances = false, .ends_exactly = true, .poll = Millis(0)}));
  EXPECT_EQ(seen.blocked, "");
}

TEST_F(KubernetesObserve, ManyTargetsAreOneListEach) {
  std::vector<std::shared_ptr<KubernetesTarget>> targets;
  for (int i = 0; i < 450; ++i) {
    const std::string name = "web-" + std::to_string(i);
    server_.Put(kDeployments, name, WorkloadJson(i));
    targets.push_back(Target(name));
  }
  const auto seen = provider_.Observe(targets);
  ASSERT_EQ(seen.size(), 450u);
  for (int i = 0; i < 450; ++i) {
    ASSERT_FALSE(seen[static_cast<size_t>(i)].fault);
    EXPECT_EQ(seen[static_cast<size_t>(i)].capacity, i);
  }
  EXPECT_EQ(server_.Count("GET", std::string(kDeployments) + "?limit"), 3);  // pages of 200
  EXPECT_EQ(server_.Count("GET", std::string(kDeployments) + "/"), 0);
  const auto again = provider_.Observe(targets);
  EXPECT_EQ(again[449].capacity, 449);
  EXPECT_EQ(server_.Count("GET", std::string(kDeployments) + "?limit"), 3);
}

TEST_F(KubernetesObserve, ChangesAreReportedByTheWatch) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  server_.Patch(kDeployments, "checkout", WorkloadJson(3));
  provider_.AwaitCapacity("checkout", 3);
  server_.Put(kSlices, "checkout-y", SliceJson("checkout", {{"checkout-c", false}}));
  Observation seen =
      provider_.Await("checkout", [](const Observation& o) { return o.instances.size() == 3; });
  EXPECT_EQ(Instances(seen), "checkout-a:ready checkout-b:ready checkout-c:unready");
  server_.Delete(kSlices, "checkout-x");
  seen = provider_.Await("checkout", [](const Observation& o) { return o.instances.size() == 1; });
  EXPECT_EQ(Instances(seen), "checkout-c:unready");
  server_.Delete(kDeployments, "checkout");
  provider_.AwaitFault("checkout", "there is no Deployment shop/checkout");
  EXPECT_EQ(server_.Count("GET", std::string(kDeployments) + "?limit"), 1);
}

TEST_F(KubernetesObserve, AWatchThatExpiredInItsStreamIsListedAgain) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  server_.Compact(true);
  server_.Patch(kDeployments, "checkout", WorkloadJson(5));
  provider_.AwaitCapacity("checkout", 5);
  EXPECT_GE(server_.Count("GET", std::string(kDeployments) + "?limit"), 2);
}

TEST_F(KubernetesObserve, AWatchThatExpiredMeanwhileIsListedAgain) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  server_.Fail("GET", std::string(kDeployments) + "?watch", Refusal(410, "Expired", "too old"), 1);
  server_.Delete(kSlices, "checkout-x");
  server_.CutWatches();
  server_.Patch(kDeployments, "checkout", WorkloadJson(6));
  const Observation seen = provider_.AwaitCapacity("checkout", 6);
  EXPECT_FALSE(seen.fault);
  EXPECT_EQ(server_.Count("GET", std::string(kDeployments) + "?limit"), 2);
}

TEST_F(KubernetesObserve, AWatchGoesOnWhereItWas) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  server_.SendBookmarks();
  server_.CutWatches();
  server_.Patch(kDeployments, "checkout", WorkloadJson(4));
  provider_.AwaitCapacity("checkout", 4);
  EXPECT_EQ(server_.Count("GET", std::string(kDeployments) + "?limit"), 1);
}

TEST_F(KubernetesObserve, PagesThatExpireAreAskedForWhole) {
  for (int i = 0; i < 250; ++i) {
    server_.Put(kDeployments, "web-" + std::to_string(i), WorkloadJson(1));
  }
  server_.Fail("GET", std::string(kDeployments) + "?limit=200&continue",
               Refusal(410, "Expired", "The provided continue parameter is too old"), -1);
  EXPECT_EQ(provider_.Observe(Target("web-99")).capacity, 1);
}

TEST_F(KubernetesObserve, AnOldServersSlicesAreRead) {
  server_.DropCollection(kSlices);
  const std::string old = "/apis/discovery.k8s.io/v1beta1/namespaces/shop/endpointslices";
  server_.Put(old, "checkout-x", SliceJson("checkout", {{"checkout-z", true}}));
  server_.SetMinor(20);
  const Observation seen = provider_.Observe(Target());
  EXPECT_EQ(Instances(seen), "checkout-z:ready");
  EXPECT_FALSE(seen.abilities.ends_exactly);  // costs of deletion are of 1.22
  server_.Put(old, "checkout-x", SliceJson("checkout", {{"checkout-z", false}}));
  provider_.Await("checkout",
                  [](const Observation& o) { return Instances(o) == "checkout-z:unready"; });
}

TEST_F(KubernetesObserve, AnotherAutoscalerIsTold) {
  server_.Put(kScalers, "checkout-hpa",
              {{"spec", {{"scaleTargetRef", {{"kind", "Deployment"}, {"name", "checkout"}}}}}});
  EXPECT_EQ(provider_.Observe(Target()).blocked,
            "the HorizontalPodAutoscaler shop/checkout-hpa scales it too: delete it, or leave the "
            "capacity to it (capacity: external)");
  server_.Delete(kScalers, "checkout-hpa");
  provider_.Await("checkout", [](const Observation& o) { return o.blocked.empty(); });
}

TEST_F(KubernetesObserve, WhoMayNotReadAutoscalersGoesOnWithout) {
  server_.Fail("GET", kScalers, Refusal(403, "Forbidden", "may not"), -1);
  const Observation seen = provider_.Observe(Target());
  EXPECT_FALSE(seen.fault);
  EXPECT_EQ(seen.capacity, 2);
}

TEST_F(KubernetesObserve, ARightThatLacksIsNamed) {
  const std::string said =
      "deployments.apps is forbidden: User \"me\" cannot list resource "
      "\"deployments\" in API group \"apps\" in the namespace \"shop\"";
  server_.Fail("GET", kDeployments, Refusal(403, "Forbidden", said), -1);
  const Observation seen = provider_.Observe(Target());
  ASSERT_TRUE(seen.fault);
  EXPECT_EQ(seen.fault->kind, ErrorKind::kForbidden);
  EXPECT_EQ(seen.fault->message, "Deployment shop/checkout: the API server answered 403: " + said);
  server_.Heal();
  provider_.AwaitCapacity("checkout", 2);
}

TEST_F(KubernetesObserve, WhatIsNotThereIsTold) {
  const auto seen = provider_.Observe({Target("absent"), Target()});
  ASSERT_TRUE(seen[0].fault);
  EXPECT_EQ(seen[0].fault->message, "there is no Deployment shop/absent");
  EXPECT_EQ(seen[0].fault->kind, ErrorKind::kNotFound);
  EXPECT_FALSE(seen[1].fault);
  server_.Put(kDeployments, "absent", WorkloadJson(0));
  provider_.AwaitCapacity("absent", 0);
}

TEST_F(KubernetesObserve, AServerThatThrottlesOrFailsIsAskedAgain) {
  FakeAnswer throttled{.status = 429, .body = "Too many requests, please try again later."};
  throttled.headers.emplace_back("Retry-After", "1");
  server_.Fail("GET", kDeployments, throttled, 1);
  server_.Fail("GET", kSlices, FakeAnswer{.ending = FakeAnswer::Ending::kDrop}, 1);
  const Observation seen = provider_.Observe(Target());
  ASSERT_TRUE(seen.fault);
  provider_.AwaitCapacity("checkout", 2);
}

TEST_F(KubernetesObserve, AnOutageIsAFaultAndItsEndIsSeen) {
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  server_.Fail("GET", "/", FakeAnswer{.ending = FakeAnswer::Ending::kDrop}, -1);
  server_.CutWatches();
  provider_.AwaitFault("checkout", "the connection was closed before an answer came");
  server_.Heal();
  EXPECT_EQ(provider_.AwaitCapacity("checkout", 2).capacity, 2);
}

TEST_F(KubernetesObserve, GarbageIsNoList) {
  server_.Fail("GET", kDeployments, FakeAnswer{.body = "<html>login</html>"}, 1);
  const Observation seen = provider_.Observe(Target());
  ASSERT_TRUE(seen.fault);
  EXPECT_NE(seen.fault->message.find("is no list"), std::string::npos) << seen.fault->message;
  provider_.AwaitCapacity("checkout", 2);
}

TEST_F(KubernetesObserve, TheHighestOrdinalEndsFirst) {
  server_.Put(kStatefulSets, "db", WorkloadJson(11));
  server_.Put(kSlices, "db-x", SliceJson("db", {{"db-0", true}, {"db-10", true}, {"db-2", true}}));
  const Observation seen = provider_.Observe(Target("db", "StatefulSet"));
  ASSERT_EQ(seen.instances.size(), 3u);
  EXPECT_FALSE(seen.abilities.ends_exactly);
  EXPECT_EQ(seen.instances[0].rank, 1);
  EXPECT_EQ(seen.instances[1].rank, 11);
  EXPECT_EQ(seen.instances[2].rank, 3);
}

TEST_F(KubernetesObserve, AVersionThatCouldNotBeReadIsAskedAgain) {
  server_.Fail("GET", "/version", FakeAnswer{.status = 503, .body = "down"}, 1);
  const Observation seen = provider_.Observe(Target());
  EXPECT_FALSE(seen.fault);
  EXPECT_TRUE(seen.abilities.ends_exactly);  // nothing is told before that is known
}

TEST_F(KubernetesObserve, WhatIsNoVersionIsAskedAgain) {
  server_.Fail("GET", "/version", FakeAnswer{.body = "<html>login</html>"}, 1);
  EXPECT_TRUE(provider_.Observe(Target()).abilities.ends_exactly);
}

TEST_F(KubernetesObserve, WhoMayNotReadTheVersionGoesOnWithout) {
  server_.Fail("GET", "/version", Refusal(403, "Forbidden", "may not"), -1);
  const Observation seen = provider_.Observe(Target());
  EXPECT_FALSE(seen.fault);
  EXPECT_FALSE(seen.abilities.ends_exactly);
  server_.Heal();
  provider_.Await("checkout", [](const Observation& o) { return o.abilities.ends_exactly; });
}

TEST_F(KubernetesObserve, VictimsAreNotChosenDuringARollout) {
  ASSERT_TRUE(provider_.Observe(Target()).abilities.ends_exactly);
  server_.Patch(kDeployments, "checkout", {{"status", {{"replicas", 3}, {"updatedReplicas", 1}}}});
  provider_.Await("checkout", [](const Observation& o) { return !o.abilities.ends_exactly; });
}

TEST_F(KubernetesObserve, ACustomResourceIsReadByItsScale) {
  server_.Put(kBoxes, "box", {{"spec", {{"replicas", 4}}}});
  const Observation seen = provider_.Observe(Target("box", "Box"));
  ASSERT_FALSE(seen.fault) << seen.fault->message;
  EXPECT_EQ(seen.capacity, 4);
  EXPECT_FALSE(seen.abilities.ends_exactly);
  server_.Patch(kBoxes, "box", WorkloadJson(5));
  provider_.AwaitCapacity("box", 5);
}

TEST_F(KubernetesObserve, ACustomResourceThatIsFollowedLaterIsRead) {
  server_.Put(kBoxes, "box", {{"spec", {{"replicas", 4}}}});
  server_.Put(kBoxes, "chest", {{"spec", {{"replicas", 7}}}});
  ASSERT_EQ(provider_.Observe(Target("box", "Box")).capacity, 4);
  const Observation seen = provider_.Observe(Target("chest", "Box"));
  ASSERT_FALSE(seen.fault) << seen.fault->message;
  EXPECT_EQ(seen.capacity, 7);
}

TEST_F(KubernetesObserve, AScaleThatCouldNotBeReadIsAskedAgain) {
  server_.Put(kBoxes, "box", {{"spec", {{"replicas", 4}}}});
  server_.Fail("GET", std::string(kBoxes) + "/box/scale", Refusal(500, "InternalError", "etcd"), 1);
  const Observation seen = provider_.Observe(Target("box", "Box"));
  ASSERT_TRUE(seen.fault);
  EXPECT_EQ(seen.fault->message, "the scale of Box shop/box: the API server answered 500: etcd");
  provider_.AwaitCapacity("box", 4);  // though the object did not change
  EXPECT_EQ(server_.Count("GET", std::string(kBoxes) + "/box/scale"), 2);
}

TEST_F(KubernetesObserve, WhatIsNoScaleIsAFault) {
  server_.Put(kBoxes, "box", {{"spec", {{"replicas", 4}}}});
  server_.Fail("GET", std::string(kBoxes) + "/box/scale", FakeAnswer{.body = "<html>login</html>"},
               1);
  const Observation seen = provider_.Observe(Target("box", "Box"));
  ASSERT_TRUE(seen.fault) << *seen.capacity;
  EXPECT_EQ(seen.fault->kind, ErrorKind::kUnavailable);
  EXPECT_EQ(seen.fault->message, "the scale of Box shop/box: the answer is no scale");
  provider_.AwaitCapacity("box", 4);
}

TEST_F(KubernetesObserve, ACustomResourceWithoutReplicasOrKindIsTold) {
  server_.Put(kBoxes, "box", {{"spec", ApiServer::Json::object()}});
  const Observation unset = provider_.Observe(Target("box", "Box"));
  ASSERT_TRUE(unset.fault);
  EXPECT_NE(unset.fault->message.find("the scale of Box shop/box: the API server answered 500"),
            std::string::npos)
      << unset.fault->message;
  auto crate = Target("crate", "Box");
  crate->kind = "Crate";
  const Observation absent = provider_.Observe(crate);
  ASSERT_TRUE(absent.fault);
  EXPECT_EQ(absent.fault->message, "the API example.com/v1 has no resource of kind Crate");
}

TEST_F(KubernetesObserve, AKindThatIsInstalledLaterIsFound) {
  server_.Put(kBoxes, "box", {{"spec", {{"replicas", 4}}}});
  server_.Fail("GET", "/apis/example.com/v1", FakeAnswer{.body = R"({"resources": []})"}, 1);
  const auto box = Target("box", "Box");
  const Observation absent = provider_.Observe(box);
  ASSERT_TRUE(absent.fault);
  EXPECT_EQ(absent.fault->message, "the API example.com/v1 has no resource of kind Box");
  provider_.Observe(box);  // as each minute
  provider_.AwaitCapacity("box", 4);
}

TEST_F(KubernetesObserve, AnAbsentKindDoesNotHarmItsNeighbours) {
  server_.Put(kBoxes, "box", {{"spec", {{"replicas", 4}}}});
  const auto box = Target("box", "Box");
  auto crate = Target("crate", "Box");
  crate->kind = "Crate";
  ASSERT_TRUE(provider_.Observe({box, crate})[1].fault);
  server_.Fail("GET", "/apis/example.com/v1", FakeAnswer{.status = 503, .body = "down"}, 1);
  provider_.Observe({box, crate});  // asks for the kinds again, in vain
  server_.Patch(kBoxes, "box", WorkloadJson(5));
  provider_.AwaitCapacity("box", 5);
  EXPECT_FALSE(provider_.Observe(box).fault);
}

TEST_F(KubernetesObserve, ATokenIsReadAgainWhenItIsRefused) {
  server_.Know({"first"});
  ASSERT_FALSE(provider_.Observe(Target()).fault);
  server_.Know({"second"});
  file_.Write("token", "second\n");
  server_.CutWatches();
  server_.Patch(kDeployments, "checkout", WorkloadJson(7));
  EXPECT_FALSE(provider_.AwaitCapacity("checkout", 7).fault);
}

TEST_F(KubernetesObserve, ATokenThatIsNotKnownIsAFaultWithoutIt) {
  server_.Know({"another"});
  const Observation seen = provider_.Observe(Target());
  ASSERT_TRUE(seen.fault);
  EXPECT_EQ(seen.fault->kind, ErrorKind::kForbidden);
  EXPECT_EQ(seen.fault->message,
            "Deployment shop/checkout: the API server does not know us (401): the token or "
            "certificate is not valid");
}

}  // namespace
}  // namespace autoscale
