// What tells us of targets: managers over HTTP, Kubernetes' API server, plugins.
//
// Input: what the rest is ('0' a manager's capacity, '1' its instances, '2' objects of Kubernetes,
// one a line, '3' the line with which a plugin begins), then the text.
#include <algorithm>
#include <cctype>
#include <set>

#include "providers/http/answer.h"
#include "providers/kubernetes/objects.h"
#include "providers/plugin/handshake.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

template <typename T>
bool IsTold(const Result<T>& result) {
  if (!result.ok()) ExpectMessage(result.error().message);
  return result.ok();
}

void CheckCapacity(const std::string& body) {
  const auto json = ParseJson(body);
  if (!IsTold(json)) return;
  for (const char* pointer : {"", "/capacity", "/a/0"}) {
    const auto count = ReadCount(*json, JsonPointer(pointer));
    if (IsTold(count)) Expect(*count >= 0 && *count <= kMaxInstances, "a capacity is possible");
  }
}

void CheckList(const std::string& body) {
  const auto json = ParseJson(body);
  if (!IsTold(json)) return;
  HttpInstances options;
  options.read.pointer = JsonPointer("/items");
  options.id = JsonPointer("/id");
  options.address = JsonPointer("/address");
  options.port = JsonPointer("/port");
  options.ready = JsonPointer("/ready");
  options.ready_values = {"up"};
  options.stopping_values = {"ending"};
  const auto list = ReadList(*json, options);
  if (!IsTold(list)) return;
  std::set<std::string> ids, endpoints;
  for (const ListedInstance& instance : *list) {
    Expect(!instance.id.empty() && ids.insert(instance.id).second, "ids are unique", instance.id);
    if (instance.endpoint.empty()) continue;
    Expect(endpoints.insert(instance.endpoint).second, "endpoints are unique", instance.endpoint);
    const size_t colon = instance.endpoint.rfind(':');
    Expect(colon != std::string::npos, "an endpoint has a port", instance.endpoint);
    const int port = std::atoi(instance.endpoint.c_str() + colon + 1);
    Expect(port >= 1 && port <= 65535, "and a possible one", instance.endpoint);
  }
}

void CheckObjects(std::string_view text) {
  std::vector<kubernetes::Slice> slices;
  while (!text.empty()) {
    const kubernetes::Json object = kubernetes::Json::parse(TakeUntil(text, "\n"), nullptr, false);
    slices.push_back(kubernetes::ReadSlice(object));
    kubernetes::ReadScaleTarget(object);
    for (const char* kind : {"Deployment", "Box"}) {
      const auto workload = kubernetes::ReadWorkload(object, "apps", kind);
      Expect(workload.replicas.value_or(0) >= 0, "no fewer than none");
      Expect(!kubernetes::IsOlder(workload.version, workload.version), "nothing is before itself");
    }
  }
  std::vector<const kubernetes::Slice*> all;
  all.reserve(slices.size());
  for (const kubernetes::Slice& slice : slices) all.push_back(&slice);
  for (const char* port : {"", "http", "80"}) {
    const auto instances = kubernetes::ReadInstances(all, port);
    if (!IsTold(instances)) continue;
    std::set<std::string> ids;
    for (const ObservedInstance& instance : *instances) {
      Expect(!instance.id.empty() && ids.insert(instance.id).second, "ids are unique", instance.id);
    }
  }
}

void CheckHandshake(std::string_view line) {
  const auto address = ReadHandshake(line);
  if (!IsTold(address)) return;
  Expect(address->starts_with("unix:/") || address->starts_with("ipv4:127.") ||
             address->starts_with("ipv6:"),
         "a plugin is on this machine", *address);
  Expect(address->size() <= kMaxSocketPath + 5, "its path fits", *address);
}

void Run(std::string_view text) {
  switch (TakeChoice(text, 4)) {
    case 0:
      return CheckCapacity(std::string(text));
    case 1:
      return CheckList(std::string(text));
    case 2:
      return CheckObjects(text);
    default:
      return CheckHandshake(text);
  }
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  autoscale::fuzz::Run(autoscale::fuzz::ToText(data, size));
  return 0;
}
