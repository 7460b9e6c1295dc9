// The fleet's side of the gateways: lists out, confirmations and counts of requests in.
#include <algorithm>
#include <utility>

#include "daemon/fleet/channel.h"
#include "daemon/fleet/fleet.h"
#include "net/fault_point.h"

namespace autoscale {
namespace {

// A gateway that has nothing to drain is asked this often whether it still holds its lists.
constexpr Millis kInspectIdle = std::chrono::seconds(2);
constexpr Millis kInspectDraining{40};
constexpr Millis kFirstRetry{200};
constexpr Millis kLongestRetry = std::chrono::seconds(5);

}  // namespace

void Fleet::BuildLinks(Member& member, std::vector<Link> old_links) {
  const Adapters& adapters = member.rehearsal ? options_.recording : options_.live;
  for (const GatewayUse& use : member.spec->gateways) {
    Gateway* adapter = adapters.gateways.at(use.gateway);
    // A link that stays keeps what its gateway has confirmed.
    const auto old = std::find_if(old_links.begin(), old_links.end(), [&](const Link& link) {
      return link.adapter == adapter && link.upstream == use.upstream;
    });
    if (old != old_links.end()) {
      member.links.push_back(std::move(*old));
    } else {
      member.links.push_back({.gateway = use.gateway,
                              .upstream = use.upstream,
                              .adapter = adapter,
                              .capabilities = adapter->capabilities(),
                              .epoch = options_.epoch});
    }
    std::unique_ptr<Channel>& channel = channels_[{use.gateway, member.rehearsal}];
    if (!channel) {
      channel = std::make_unique<Channel>();
      channel->name = use.gateway;
      channel->adapter = adapter;
    }
    channel->services[use.upstream] = &member;
  }
}

void Fleet::DropLinks(const Member& member, const std::vector<Link>& links) {
  for (const Link& link : links) {
    const auto channel = channels_.find({link.gateway, member.rehearsal});
    if (channel == channels_.end()) continue;
    const auto service = channel->second->services.find(link.upstream);
    if (service != channel->second->services.end() && service->second == &member) {
      channel->second->services.erase(service);
    }
  }
}

void Fleet::Publish(Member& member, size_t index, TimePoint now) {
  ReachFaultPoint(FaultPoint::kBeforePublish);
  Link& link = member.links[index];
  link.busy = true;
  for (Instance& instance : member.instances) {
    const bool shown = instance.phase == InstancePhase::kDraining && instance.drain_sequence > 0;
    if (shown && !instance.asked) instance.asked = now;
  }
  const uint64_t sequence = member.sequence;
  UpstreamList list{.upstream = link.upstream,
                    .version = VersionOf(link, sequence),
                    .endpoints = member.endpoints,
                    .may_be_empty = member.desired == 0};
  if (!member.rehearsal) ++options_.counters.gateway_publishes;
  options_.courier.ToLoop([this, adapter = link.adapter, service = member.spec->name,
                           gateway = link.gateway, upstream = link.upstream, sequence, now,
                           list = std::move(list)]() mutable {
    adapter->Publish(
        std::move(list), [this, service, gateway, upstream, sequence, now](Status status) {
          options_.courier.ToTick(
              [this, service, gateway, upstream, sequence, now, status = std::move(status)] {
                Member* found = FindMember(service);
                if (found == nullptr) return;
                for (Link& each : found->links) {
                  if (each.gateway == gateway && each.upstream == upstream) {
                    TakeConfirmation(*found, each, sequence, now, status);
                  }
                }
              });
        });
    ReachFaultPoint(FaultPoint::kPublished);
  });
}

void Fleet::TakeConfirmation(Member& member, Link& link, uint64_t sequence, TimePoint sent,
                             const Status& status) {
  const TimePoint now = options_.clock.Now();
  link.busy = false;
  Touch(member.spec->name);
  if (status.ok()) {
    ReachFaultPoint(FaultPoint::kConfirmed);
    const bool news = sequence > link.confirmed;
    link.confirmed = std::max(link.confirmed, sequence);
    link.failures = 0;
    link.problem.clear();
    const auto serving =
        std::count_if(member.endpoints.begin(), member.endpoints.end(),
                      [](const Endpoint& e) { return e.state == Endpoint::State::kServing; });
    if (news && sequence == member.sequence) {
      Note(member, "gateway " + link.gateway + " confirmed list " + ToString(link, sequence) +
                       " (" + std::to_string(serving) + " serving) after " +
                       std::to_string((now - sent).count()) + " ms");
    }
    return;
  }
  ++options_.counters.gateway_errors;
  link.problem = status.error().message;
  if (link.failures == 0) {
    Warn(member, "gateway " + link.gateway + " did not take the list: " + link.problem);
  }
  const int doublings = std::min(link.failures++, 5);
  link.retry_at = now + std::min(kFirstRetry * (1 << doublings), kLongestRetry);
  // It knows a higher version: an inspection tells which, and ours is raised above it.
  if (status.error().kind == ErrorKind::kConflict) {
    channels_.at({link.gateway, member.rehearsal})->next = now;
  }
}

void Fleet::Inspect(TimePoint now) {
  for (auto& [key, channel] : channels_) {
    if (channel->busy || now < channel->next || channel->services.empty()) continue;
    std::vector<std::string> upstreams;
    upstreams.reserve(channel->services.size());
    for (const auto& [upstream, member] : channel->services) upstreams.push_back(upstream);
    channel->busy = true;
    options_.courier.ToLoop([this, key = key, adapter = channel->adapter, now,
                             upstreams = std::move(upstreams)]() mutable {
      adapter->Inspect(std::move(upstreams), [this, key, now](auto answer) {
        options_.courier.ToTick([this, key, now, answer = std::move(answer)] {
          TakeInspection(*channels_.at(key), now, answer);
        });
      });
    });
  }
}

void Fleet::TakeInspection(Channel& channel, TimePoint sent,
                           const Result<std::vector<UpstreamStatus>>& answer) {
  channel.busy = false;
  channel.next = options_.clock.Now() + kInspectIdle;
  for (const std::string& service : to_watch_) {
    const Member* member = Find(service);
    if (member == nullptr) continue;
    for (const Link& link : member->links) {
      if (link.gateway == channel.name) channel.next = options_.clock.Now() + kInspectDraining;
    }
  }
  const std::string problem = answer.ok() ? "" : answer.error().message;
  if (channel.problem.empty() != problem.empty()) {
    options_.note("", problem.empty() ? NoteKind::kNews : NoteKind::kTrouble,
                  "gateway " + channel.name +
                      (problem.empty() ? " answers again" : " does not answer: " + problem));
  }
  channel.problem = problem;
  channel.failures = answer.ok() ? 0 : std::min(channel.failures + 1, 5);
  for (const auto& [upstream, member] : channel.services) {
    for (Link& link : member->links) {
      if (link.upstream != upstream || link.gateway != channel.name) continue;
      link.silent = !answer.ok();
      if (link.silent) link.problem = problem;
    }
  }
  if (!answer.ok()) {
    ++options_.counters.gateway_errors;
    channel.next = options_.clock.Now() + kFirstRetry * (1 << channel.failures);
    return;
  }
  for (const UpstreamStatus& status : *answer) {
    const auto service = channel.services.find(status.upstream);
    if (service == channel.services.end()) continue;
    Member& member = *service->second;
    for (Link& link : member.links) {
      if (link.upstream == status.upstream && link.gateway == channel.name) {
        TakeStatus(member, link, status, sent);
      }
    }
  }
}

void Fleet::TakeStatus(Member& member, Link& link, const UpstreamStatus& status, TimePoint sent) {
  link.loads = status.endpoints;
  link.loads_asked = sent;
  if (link.failures == 0) link.problem.clear();
  if (link.busy) return;
  const ListVersion ours = VersionOf(link, link.confirmed);
  if (link.confirmed > 0 && status.version < ours) {
    Warn(member, "gateway " + link.gateway + " fell back to list " + ToString(status.version) +
                     " from " + ToString(ours) + ": it is pushed again");
    link.confirmed = 0;
    link.retry_at = sent;
    Touch(member.spec->name);
  } else if (const ListVersion wanted = VersionOf(link, member.sequence);
             status.version > wanted ||
             (link.confirmed < member.sequence && status.version == wanted)) {
    // Under the version wanted it may hold what another owner of the upstream published.
    Warn(member, "gateway " + link.gateway + " knows a higher list, " + ToString(status.version) +
                     ": ours is raised");
    link.epoch = status.version.epoch;
    link.offset = status.version.sequence;
    link.confirmed = 0;
    link.retry_at = sent;
    Touch(member.spec->name);
  }
}

}  // namespace autoscale
