#include "gateways/haproxy/haproxy_gateway.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "gateways/haproxy/messages.h"
#include "gateways/haproxy/plan.h"

namespace autoscale {
namespace {

using haproxy::Backend;
using haproxy::Loads;
using Look = std::vector<Backend>;

class HaproxyGateway : public Gateway {
 public:
  HaproxyGateway(const GatewayContext& context, std::shared_ptr<const HaproxyOptions> options)
      : loop_(context.loop),
        context_("gateway " + context.name + " at " + options->shown),
        options_(std::move(options)),
        api_(loop_, options_->address, options_->timeout) {}

  [[nodiscard]] GatewayCapabilities capabilities() const override {
    return {.settle = options_->settle, .counts_in_flight = true, .persists = false};
  }

  void Publish(UpstreamList list, std::function<void(Status)> done) override {
    auto push = std::make_shared<Push>();
    push->list = std::move(list);
    push->done = std::move(done);
    TakeTurn(push->list.upstream, [this, push] { StartPush(push); });
  }

  void Inspect(std::vector<std::string> upstreams,
               std::function<void(Result<std::vector<UpstreamStatus>>)> done) override {
    auto fail = [done, context = context_ + ": inspect"](Error error) {
      done(std::move(error).Within(context));
    };
    LookAt(upstreams, [this, fail, done = std::move(done)](Result<Look> look) {
      if (!look) return fail(std::move(look).error());
      auto kept = std::make_shared<const Look>(std::move(look).value());
      api_.Ask(haproxy::LoadCommands(*kept), std::string(haproxy::kInfoCommand),
               [this, fail, done, kept](Result<std::string> answer) {
                 if (!answer) return fail(std::move(answer).error());
                 Result<Loads> loads = haproxy::ParseLoads(*answer);
                 if (!loads) return fail(std::move(loads).error());
                 std::vector<UpstreamStatus> statuses;
                 for (const Backend& backend : *kept) {
                   statuses.push_back(StatusOf(backend, *loads));
                   Sweep(backend, *loads);
                 }
                 done(std::move(statuses));
               });
    });
  }

 private:
  // A push under way; it has its upstream's turn.
  struct Push {
    UpstreamList list;
    std::function<void(Status)> done;
    haproxy::BackendPlan plan;
    std::string complaint;  // of what was taken away
  };
  using PushPtr = std::shared_ptr<Push>;

  // What changes a backend does so alone. The first task of an upstream has its turn.
  void TakeTurn(const std::string& upstream, std::function<void()> task) {
    auto& turns = turns_[upstream];
    turns.push_back(std::move(task));
    if (turns.size() == 1) turns.front()();
  }
  void EndTurn(const std::string& upstream) {
    const auto found = turns_.find(upstream);
    found->second.pop_front();
    if (found->second.empty()) {
      turns_.erase(found);
    } else {
      found->second.front()();
    }
  }

  void LookAt(std::vector<std::string> upstreams, std::function<void(Result<Look>)> done) {
    std::vector<std::string> commands = haproxy::LookCommands(upstreams);
    api_.Ask(
        std::move(commands), {},
        [upstreams = std::move(upstreams), done = std::move(done)](Result<std::string> answer) {
          if (!answer) return done(std::move(answer).error());
          done(haproxy::ParseLook(*answer, upstreams));
        });
  }

  // Reads the backend; `next` gets it once it is known to exist.
  void LookForPush(const PushPtr& push, std::function<void(const Backend&)> next) {
    LookAt({push->list.upstream}, [this, push, next = std::move(next)](Result<Look> look) {
      if (!look) return End(push, std::move(look).error());
      const Backend& backend = look->front();
      if (!backend.known) return End(push, haproxy::NoSuchBackend(backend.name));
      next(backend);
    });
  }

  void StartPush(const PushPtr& push) {
    Status checked = haproxy::CheckList(push->list);
    if (!checked) {
      return loop_.Post(
          [this, alive = std::weak_ptr(alive_), push, error = std::move(checked).error()] {
            if (!alive.expired()) End(push, error);
          });
    }
    LookForPush(push, [this, push](const Backend& backend) {
      push->plan = haproxy::PlanBackend(push->list, backend);
      if (push->plan.up.empty() && push->plan.down.empty()) return Confirm(push, backend);
      RunUp(push);
    });
  }

  void RunUp(const PushPtr& push) {
    Run(push->plan.up, [this, push](Result<std::vector<std::string>> complaints) {
      if (!complaints) return End(push, std::move(complaints).error());
      // With less than all of the new ones nothing is taken away.
      if (!complaints->empty()) {
        return End(push, haproxy::JudgeComplaint(complaints->front(), push->list.upstream));
      }
      RunDown(push);
    });
  }

  void RunDown(const PushPtr& push) {
    Run(push->plan.down, [this, push](Result<std::vector<std::string>> complaints) {
      if (!complaints) return End(push, std::move(complaints).error());
      // A server that has connections yet is not deleted, which is as it should be: the look tells.
      if (!complaints->empty()) push->complaint = complaints->front();
      LookForPush(push, [this, push](const Backend& backend) { Confirm(push, backend); });
    });
  }

  void Run(const std::vector<std::string>& commands,
           std::function<void(Result<std::vector<std::string>>)> done) {
    if (commands.empty()) return done(std::vector<std::string>{});
    api_.Ask(commands, std::string(haproxy::kNumberSeverity),
             [done = std::move(done)](Result<std::string> answer) {
               if (!answer) return done(std::move(answer).error());
               done(haproxy::Complaints(*answer));
             });
  }

  void Confirm(const PushPtr& push, const Backend& backend) {
    const std::string difference = haproxy::Difference(push->list, backend);
    if (difference.empty()) {
      published_[push->list.upstream] = push->list;
      return End(push, Ok{});
    }
    if (!push->complaint.empty()) {
      return End(push, haproxy::JudgeComplaint(push->complaint, push->list.upstream));
    }
    End(push, Error{ErrorKind::kUnavailable,
                    "somebody else changes the backend, or HAProxy was reloaded: " + difference});
  }

  void End(const PushPtr& push, Status status) {
    const std::string upstream = push->list.upstream;
    const auto done = std::move(push->done);
    EndTurn(upstream);
    if (status.ok()) return done(Ok{});
    done(std::move(status).error().Within(context_ + ": push of " + upstream));
  }

  // HAProxy keeps no version: a backend that is the list published last has its version, any other
  // has none. See docs/decisions/0016.
  UpstreamStatus StatusOf(const Backend& backend, const Loads& loads) const {
    UpstreamStatus status{.upstream = backend.name, .version = {}, .endpoints = {}};
    const auto found = published_.find(backend.name);
    const UpstreamList* list = found == published_.end() ? nullptr : &found->second;
    if (list != nullptr && backend.known && haproxy::Difference(*list, backend).empty()) {
      status.version = list->version;
    }
    std::map<std::string, int> in_flight;  // by the server's name
    for (const haproxy::BackendServer& server : backend.servers) {
      if (haproxy::IsOurs(server)) in_flight[server.name] = LoadOf(backend, server.name, loads);
    }
    for (const Endpoint& endpoint : list == nullptr ? std::vector<Endpoint>{} : list->endpoints) {
      const std::string name = haproxy::ServerName(*haproxy::ParseServerAddress(endpoint.address));
      const auto counted = in_flight.extract(name);
      int count = counted.empty() ? 0 : counted.mapped();
      // A process that is younger may have a predecessor, whose requests nobody counts.
      if (endpoint.state == Endpoint::State::kDraining && loads.uptime < options_->reload_grace) {
        count = std::max(count, 1);
      }
      status.endpoints.push_back({.address = endpoint.address, .in_flight = count});
    }
    for (const haproxy::BackendServer& server : backend.servers) {
      if (!in_flight.contains(server.name)) continue;
      status.endpoints.push_back(
          {.address = haproxy::ToText({.host = server.host, .port = server.port}),
           .in_flight = in_flight.at(server.name)});
    }
    return status;
  }

  static int LoadOf(const Backend& backend, const std::string& server, const Loads& loads) {
    const auto found = loads.in_flight.find(backend.name + "/" + server);
    return found == loads.in_flight.end() ? 0 : found->second;
  }

  // Deletes what a push had to leave in maintenance, once it has no requests any more. HAProxy
  // refuses it while anything is connected; then the next look tries again.
  void Sweep(const Backend& backend, const Loads& loads) {
    const auto list = published_.find(backend.name);
    if (list == published_.end() || turns_.contains(backend.name)) return;
    std::vector<std::string> commands;
    for (const std::string& name : haproxy::Leftovers(list->second, backend)) {
      if (LoadOf(backend, name, loads) > 0) continue;
      commands.push_back("del server " + backend.name + "/" + name);
    }
    if (commands.empty()) return;
    TakeTurn(backend.name, [this, upstream = backend.name, commands = std::move(commands)] {
      Run(commands, [this, upstream](const auto&) { EndTurn(upstream); });
    });
  }

  EventLoop& loop_;
  std::string context_;
  std::shared_ptr<const HaproxyOptions> options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<std::string, UpstreamList> published_;  // the last that the backend held, by upstream
  std::map<std::string, std::deque<std::function<void()>>> turns_;
  haproxy::RuntimeApi api_;
};

}  // namespace

Result<std::unique_ptr<Gateway>> CreateHaproxyGateway(const GatewayContext& context) {
  auto options = std::dynamic_pointer_cast<const HaproxyOptions>(context.options);
  if (!options) {
    return Error{ErrorKind::kInternal,
                 "gateway " + context.name + ": its options are not haproxy's"};
  }
  return std::unique_ptr<Gateway>(std::make_unique<HaproxyGateway>(context, std::move(options)));
}

}  // namespace autoscale
