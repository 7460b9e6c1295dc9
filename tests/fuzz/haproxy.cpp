// What HAProxy's Runtime API answers, and what it is asked to do.
//
// Input: what the rest is ('0' a look, '1' loads, '2' the answer to changes, '3' lines: servers of
// a backend as "b NAME ADMIN WEIGHT" and endpoints of a list as "s ADDRESS WEIGHT" or "d ADDRESS"),
// then the text.
#include <algorithm>
#include <charconv>

#include "gateways/haproxy/messages.h"
#include "gateways/haproxy/plan.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

const std::vector<std::string> kAsked = {"web", "shop"};

void CheckLook(std::string_view text) {
  const auto look = haproxy::ParseLook(text, kAsked);
  if (!look.ok()) {
    Expect(look.error().kind == ErrorKind::kUnavailable, "HAProxy's fault is not ours");
    return ExpectMessage(look.error().message);
  }
  Expect(look->size() == kAsked.size(), "what was asked for is answered");
  for (size_t i = 0; i < kAsked.size(); ++i) {
    const haproxy::Backend& backend = (*look)[i];
    Expect(backend.name == kAsked[i], "in the order in which it was asked");
    Expect(backend.known || backend.servers.empty(), "a backend that is not there has no servers");
    for (const haproxy::BackendServer& server : backend.servers) {
      Expect(!server.name.empty(), "a server has a name");
      Expect(server.port >= 0 && server.port <= 65535, "a port is a port", server.name);
      Expect(server.weight >= 0 && server.weight <= 256, "a weight is in its range", server.name);
    }
  }
}

void CheckLoads(std::string_view text) {
  const auto loads = haproxy::ParseLoads(text);
  if (!loads.ok()) return ExpectMessage(loads.error().message);
  Expect(loads->uptime >= Millis(0), "an uptime is not negative");
  for (const auto& [server, count] : loads->in_flight) {
    Expect(count >= 0, "no requests below 0", server);
  }
}

void CheckComplaints(std::string_view text) {
  const std::vector<std::string> complaints = haproxy::Complaints(text);
  Expect(complaints.size() <= 3, "a few complaints are enough");
  for (const std::string& complaint : complaints) {
    ExpectMessage(complaint);
    ExpectMessage(haproxy::JudgeComplaint(complaint, "web").message);
  }
}

std::vector<std::string> Words(std::string_view line) {
  std::vector<std::string> words;
  while (!line.empty()) words.emplace_back(TakeUntil(line, " "));
  return words;
}

int Number(const std::vector<std::string>& words, size_t index) {
  int value = 0;
  if (index < words.size()) {
    std::from_chars(words[index].data(), words[index].data() + words[index].size(), value);
  }
  return value;
}

// HAProxy, as far as these commands go.
void Apply(const std::string& command, haproxy::Backend& backend) {
  Expect(command.find_first_of(";\n\r") == std::string::npos, "one command is one", command);
  const std::vector<std::string> words = Words(command);
  Expect(words.size() >= 3 && words[2].starts_with("web/autoscaled-"), "only ours", command);
  const std::string name = words[2].substr(4);
  auto& servers = backend.servers;
  const auto found = std::find_if(servers.begin(), servers.end(),
                                  [&name](const auto& server) { return server.name == name; });
  if (words[0] == "add") {
    Expect(found == servers.end(), "none is added twice", command);
    const auto address = haproxy::ParseServerAddress(words[3]);
    Expect(address.has_value(), "an address is one", command);
    for (const auto& server : servers) {
      Expect(server.id != static_cast<uint32_t>(Number(words, 7)), "an id is new", command);
    }
    servers.push_back({.id = static_cast<uint32_t>(Number(words, 7)),
                       .name = name,
                       .host = address->host,
                       .port = address->port,
                       .weight = Number(words, 5),
                       .admin = 1});
    return;
  }
  Expect(found != servers.end(), "what is changed is there", command);
  if (words[0] == "del") {
    Expect((found->admin & haproxy::kMaint) != 0, "only what is in maintenance is deleted",
           command);
    servers.erase(found);
  } else if (words[3] == "state") {
    found->admin = words[4] == "ready" ? 0 : words[4] == "drain" ? 8 : 1;
  } else if (words[3] == "weight") {
    found->weight = Number(words, 4);
  } else {
    found->host = words[4];
    found->port = Number(words, 6);
  }
}

void CheckPlan(std::string_view text) {
  haproxy::Backend backend{.name = "web", .known = true, .id = 3, .servers = {}};
  UpstreamList list{.upstream = "web", .version = {1, 1}, .endpoints = {}, .may_be_empty = true};
  while (!text.empty()) {
    const std::vector<std::string> words = Words(TakeUntil(text, "\n"));
    if (words.size() < 2) continue;
    if (words[0] == "b") {
      const bool twice =
          std::any_of(backend.servers.begin(), backend.servers.end(),
                      [&words](const auto& server) { return server.name == words[1]; });
      if (twice) continue;
      backend.servers.push_back({.id = static_cast<uint32_t>(backend.servers.size()),
                                 .name = words[1],
                                 .host = "10.0.0.1",
                                 .port = 80,
                                 .weight = Number(words, 3),
                                 .admin = static_cast<uint32_t>(Number(words, 2))});
    } else {
      list.endpoints.push_back(
          {.address = words[1],
           .weight = Number(words, 2),
           .state = words[0] == "d" ? Endpoint::State::kDraining : Endpoint::State::kServing});
    }
  }
  const Status checked = haproxy::CheckList(list);
  if (!checked.ok()) return ExpectMessage(checked.error().message);
  const haproxy::BackendPlan plan = haproxy::PlanBackend(list, backend);
  for (const std::string& command : plan.up) Apply(command, backend);
  for (const std::string& command : plan.down) Apply(command, backend);
  Expect(haproxy::Difference(list, backend).empty(), "the plan makes the backend the list",
         haproxy::Difference(list, backend));
  const haproxy::BackendPlan again = haproxy::PlanBackend(list, backend);
  Expect(again.up.empty() && again.down.empty(), "and then there is nothing to do");
}

void Run(std::string_view text) {
  switch (TakeChoice(text, 4)) {
    case 0:
      return CheckLook(text);
    case 1:
      return CheckLoads(text);
    case 2:
      return CheckComplaints(text);
    default:
      return CheckPlan(text);
  }
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  autoscale::fuzz::Run(autoscale::fuzz::ToText(data, size));
  return 0;
}
