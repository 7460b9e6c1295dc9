#include "providers/kubernetes/objects.h"

#include <gtest/gtest.h>

namespace autoscale::kubernetes {
namespace {

Slice SliceOf(const char* text) { return ReadSlice(Json::parse(text)); }

std::string Shown(const Result<std::vector<ObservedInstance>>& instances) {
  if (!instances.ok()) return instances.error().message;
  std::string text;
  for (const ObservedInstance& one : *instances) {
    text += one.id + "=" + one.endpoint + " " + std::string(ToString(one.state)) + "; ";
  }
  return text;
}

constexpr const char* kFirst = R"({
  "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
  "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
  "endpoints": [
    {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "web-a"}},
    {"addresses": ["10.0.0.2"], "conditions": {"ready": false}, "targetRef": {"name": "web-b"}},
    {"addresses": ["10.0.0.3"], "conditions": {"ready": true, "terminating": true}, "targetRef": {"name": "web-c"}},
    {"addresses": ["10.0.0.4"], "conditions": {}},
    {"addresses": []}, 7]})";

TEST(KubernetesObjects, InstancesAreTheEndpoints) {
  const Slice slice = SliceOf(kFirst);
  EXPECT_EQ(slice.service, "web");
  EXPECT_EQ(Shown(ReadInstances({&slice}, "")),
            "10.0.0.4=10.0.0.4:8080 ready; web-a=10.0.0.1:8080 ready; "
            "web-b=10.0.0.2:8080 unready; web-c=10.0.0.3:8080 stopping; ");
}

TEST(KubernetesObjects, OverlappingSlicesAreMerged) {
  const Slice first = SliceOf(kFirst);
  const Slice second = SliceOf(R"({
    "metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv6",
    "ports": [{"name": "http", "port": 8080}],
    "endpoints": [
      {"addresses": ["fd00::1"], "conditions": {"ready": true, "terminating": true}, "targetRef": {"name": "web-a"}},
      {"addresses": ["fd00::2"], "conditions": {"ready": true}, "targetRef": {"name": "web-b"}},
      {"addresses": ["fd00::9"], "conditions": {"ready": true}, "targetRef": {"name": "web-z"}}]})");
  const std::string merged =
      "10.0.0.4=10.0.0.4:8080 ready; web-a=10.0.0.1:8080 stopping; web-b=10.0.0.2:8080 ready; "
      "web-c=10.0.0.3:8080 stopping; web-z=[fd00::9]:8080 ready; ";
  EXPECT_EQ(Shown(ReadInstances({&first, &second}, "")), merged);
  EXPECT_EQ(Shown(ReadInstances({&second, &first}, "http")), merged);
}

TEST(KubernetesObjects, APortIsChosenByNameOrNumber) {
  const Slice slice = SliceOf(R"({
    "metadata": {"labels": {"kubernetes.io/service-name": "web"}},
    "ports": [{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}],
    "endpoints": [{"addresses": ["10.0.0.1"]}]})");
  EXPECT_EQ(Shown(ReadInstances({&slice}, "metrics")), "10.0.0.1=10.0.0.1:9090 ready; ");
  EXPECT_EQ(Shown(ReadInstances({&slice}, "80")), "10.0.0.1=10.0.0.1:80 ready; ");
  EXPECT_EQ(Shown(ReadInstances({&slice}, "")),
            "the Service web has the ports http, metrics: say port");
  EXPECT_EQ(Shown(ReadInstances({&slice}, "grpc")),
            "the Service web has no port grpc, but http, metrics");
  const Slice bare = SliceOf(R"({"metadata": {"labels": {"kubernetes.io/service-name": "web"}},
                                 "endpoints": [{"addresses": ["10.0.0.1"]}]})");
  EXPECT_EQ(Shown(ReadInstances({&bare}, "")), "the Service web has no ports");
  EXPECT_EQ(Shown(ReadInstances({}, "")), "");
  const Slice odd = SliceOf(R"({"metadata": {"labels": {"kubernetes.io/service-name": "w\neb"}},
                                "ports": [{"name": "h\ttp", "port": 80}],
                                "endpoints": [{"addresses": ["10.0.0.1"]}]})");
  EXPECT_EQ(Shown(ReadInstances({&odd}, "grpc")).find_first_of("\n\t"), std::string::npos);
}

TEST(KubernetesObjects, ReplicasAreOneUnlessSaid) {
  const auto read = [](const char* text, const char* kind) {
    return ReadWorkload(Json::parse(text), "apps", kind);
  };
  EXPECT_EQ(read(R"({"spec": {}})", "Deployment").replicas, 1);
  EXPECT_EQ(read(R"({"spec": {"replicas": 0}})", "StatefulSet").replicas, 0);
  EXPECT_EQ(
      read(R"({"spec": {"replicas": 7}, "metadata": {"resourceVersion": "12"}})", "ReplicaSet")
          .version,
      "12");
  const char* rolling =
      R"({"spec": {"replicas": 3}, "status": {"replicas": 4, "updatedReplicas": 1}})";
  EXPECT_TRUE(read(rolling, "Deployment").rolling);
  EXPECT_FALSE(read(rolling, "ReplicaSet").rolling);
  EXPECT_FALSE(ReadWorkload(Json::parse(rolling), "example.com", "Deployment").replicas);
}

TEST(KubernetesObjects, VersionsAreComparedWhereTheyAreNumbers) {
  EXPECT_TRUE(IsOlder("9", "10"));
  EXPECT_FALSE(IsOlder("10", "10"));
  EXPECT_FALSE(IsOlder("11", "10"));
  EXPECT_FALSE(IsOlder("a9", "b1"));
  EXPECT_FALSE(IsOlder("", "1"));
}

}  // namespace
}  // namespace autoscale::kubernetes
