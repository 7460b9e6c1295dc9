#include "providers/plugin/answer.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "config/scalar.h"
#include "config/section.h"
#include "engine/model/text.h"
#include "providers/plugin/errors.h"

namespace autoscale {
namespace {

constexpr int kMostInstances = 100'000;  // and the largest capacity
constexpr size_t kMaxId = 200;           // bytes
constexpr size_t kMaxText = 500;         // bytes, of what is for a person
constexpr size_t kShownBytes = 120;
constexpr Millis kUsualPoll = std::chrono::seconds(5);
constexpr DurationRange kPoll{.min = Millis(100), .max = std::chrono::hours(1)};

Error Bad(std::string message) { return {ErrorKind::kUnavailable, std::move(message)}; }

std::string Quoted(std::string_view text) { return "'" + OneLine(text, kShownBytes) + "'"; }

bool IsId(std::string_view text) {
  return !text.empty() && text.size() <= kMaxId &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

// "10.0.0.5:8080" or "[fd00::5]:8080".
bool IsEndpoint(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return false;
  const auto port = ParseInt(std::string_view(text).substr(colon + 1));
  if (!port || *port < 1 || *port > 65535) return false;
  std::string host = text.substr(0, colon);
  const bool v6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (v6) host = host.substr(1, host.size() - 2);
  in6_addr room{};
  return inet_pton(v6 ? AF_INET6 : AF_INET, host.c_str(), &room) == 1;
}

std::optional<InstanceState> StateOf(v1::TargetInstance::State state) {
  switch (state) {
    case v1::TargetInstance::STATE_STARTING:
      return InstanceState::kStarting;
    case v1::TargetInstance::STATE_READY:
      return InstanceState::kReady;
    case v1::TargetInstance::STATE_UNREADY:
      return InstanceState::kUnready;
    case v1::TargetInstance::STATE_STOPPING:
      return InstanceState::kStopping;
    default:
      return std::nullopt;
  }
}

Result<std::vector<ObservedInstance>> ReadInstances(const v1::TargetState& state) {
  if (state.instances_size() > kMostInstances) {
    return Bad("lists " + std::to_string(state.instances_size()) + " instances: more than " +
               std::to_string(kMostInstances));
  }
  std::vector<ObservedInstance> instances;
  instances.reserve(static_cast<size_t>(state.instances_size()));
  std::set<std::string_view> ids, endpoints;
  for (const v1::TargetInstance& said : state.instances()) {
    const std::string name = "instance " + Quoted(said.id());
    if (!IsId(said.id())) {
      return Bad("names an " + name + ": an id is printable ASCII without blanks, of 1 to " +
                 std::to_string(kMaxId) + " bytes");
    }
    if (!ids.insert(said.id()).second) return Bad("lists " + name + " twice");
    const auto known = StateOf(said.state());
    if (!known) return Bad("gives " + name + " no state that is known");
    if (!said.endpoint().empty() && !IsEndpoint(said.endpoint())) {
      return Bad("gives " + name + " the endpoint " + Quoted(said.endpoint()) +
                 ": it must be an IP address and a port, such as 10.0.0.5:8080");
    }
    if (!said.endpoint().empty() && !endpoints.insert(said.endpoint()).second) {
      return Bad("gives " + name + " the endpoint of another, " + said.endpoint());
    }
    instances.push_back({.id = said.id(),
                         .state = *known,
                         .endpoint = said.endpoint(),
                         .detail = OneLine(said.detail(), kMaxText),
                         .rank = said.rank()});
  }
  return instances;
}

Result<Millis> ReadPoll(const v1::TargetState& state) {
  if (!state.has_poll()) return kUsualPoll;
  const int64_t seconds = std::clamp<int64_t>(state.poll().seconds(), -1, 1'000'000);
  const Millis poll(seconds * 1000 + state.poll().nanos() / 1'000'000);
  if (poll >= kPoll.min && poll <= kPoll.max) return poll;
  return Bad("wants to be observed each " + FormatNumber(ToSeconds(poll)) + "s: from " +
             FormatDuration(kPoll.min) + " to " + FormatDuration(kPoll.max) + " is possible");
}

}  // namespace

Observation ReadTargetState(const v1::TargetState& state) {
  Observation observation;
  observation.service = state.service();
  const auto fail = [&observation](Error error) {
    observation.fault = std::move(error);
    return observation;
  };
  if (state.has_fault()) return fail(ErrorOf(state.fault().code(), state.fault().message()));
  if (!state.has_capacity()) return fail(Bad("tells no capacity"));
  if (state.capacity() < 0 || state.capacity() > kMostInstances) {
    return fail(Bad("tells a capacity of " + std::to_string(state.capacity()) + ": 0 to " +
                    std::to_string(kMostInstances) + " is possible"));
  }
  auto poll = ReadPoll(state);
  if (!poll.ok()) return fail(std::move(poll).error());
  auto instances = ReadInstances(state);
  if (!instances.ok()) return fail(std::move(instances).error());
  observation.instances = *std::move(instances);
  observation.abilities = {
      .names_instances = false, .ends_exactly = state.ends_exactly(), .poll = *poll};
  observation.capacity = state.capacity();
  observation.blocked = OneLine(state.blocked(), kMaxText);
  return observation;
}

}  // namespace autoscale
