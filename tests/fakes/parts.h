// Fakes of the daemon's seams. Each records what it was asked, in order, and answers when told to.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "daemon/courier.h"
#include "daemon/metrics/model_source.h"
#include "daemon/metrics/source.h"
#include "gateways/gateway.h"
#include "providers/provider.h"

namespace autoscale {

class HeldClock final : public Clock {
 public:
  explicit HeldClock(TimePoint now) : now_(now) {}
  [[nodiscard]] TimePoint Now() const override { return now_; }
  void Advance(Millis by) { now_ += by; }

 private:
  TimePoint now_;
};

// Both threads are the test's: tasks run when it says so.
class HandCourier final : public Courier {
 public:
  void ToLoop(Task task) override { tasks_.push_back(std::move(task)); }
  void ToTick(Task task) override { tasks_.push_back(std::move(task)); }
  // Runs what is there and what comes of it; bounded, so that a ping-pong fails rather than hangs.
  void Deliver() {
    for (int i = 0; i < 10000 && !tasks_.empty(); ++i) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }

 private:
  std::deque<Task> tasks_;
};

struct FakeTarget final : ProviderTarget {};

class FakeProvider final : public Provider {
 public:
  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override {
    observations.push_back(targets.size());
    if (observe_error) return done(*observe_error);
    std::vector<Observation> all;
    for (const TargetRef& target : targets) {
      Observation& one = all.emplace_back();
      one.service = target.service;
      for (const auto& [id, observed] : instances[target.service]) {
        one.instances.push_back(observed);
      }
    }
    done(std::move(all));
  }
  void Launch(TargetRef target, std::vector<std::string> ids,
              std::function<void(std::vector<Status>)> done) override {
    std::vector<Status> answers;
    for (const std::string& id : ids) {
      history.push_back("launch " + id);
      answers.push_back(launch_error ? Status(*launch_error) : Status(Ok{}));
      if (launch_error) continue;
      instances[target.service].try_emplace(
          id, ObservedInstance{.id = id,
                               .state = InstanceState::kStarting,
                               .endpoint = "127.0.0.1:" + std::to_string(next_port++)});
    }
    done(std::move(answers));
  }
  void Terminate(TargetRef, std::vector<std::string> ids,
                 std::function<void(std::vector<Status>)> done) override {
    for (const std::string& id : ids) history.push_back("terminate " + id);
    done(std::vector<Status>(ids.size(), Ok{}));
  }
  void Forget(const std::string& service, const std::string& id) override {
    history.push_back("forget " + id);
    instances[service].erase(id);
  }
  void ReadUsage(std::function<void(std::vector<InstanceUsage>)> done) override { done({}); }
  void SetListener(InstanceListener to) override { listener = std::move(to); }

  // Something happens to an instance.
  void Becomes(const std::string& service, const std::string& id, InstanceState state,
               const std::string& detail = {}) {
    ObservedInstance& observed = instances[service].at(id);
    observed.state = state;
    observed.detail = detail;
    if (listener) listener(service, observed);
  }

  std::map<std::string, std::map<std::string, ObservedInstance>> instances;
  std::optional<Error> observe_error, launch_error;
  std::vector<size_t> observations;  // of how many each was
  std::vector<std::string> history;
  InstanceListener listener;
  int next_port = 20001;
};

class FakeGateway final : public Gateway {
 public:
  [[nodiscard]] GatewayCapabilities capabilities() const override {
    return {.settle = Millis(50), .counts_in_flight = true};
  }
  void Publish(UpstreamList list, std::function<void(Status)> done) override {
    std::string line = "publish";
    for (const Endpoint& endpoint : list.endpoints) {
      line += " " + endpoint.address.substr(endpoint.address.find(':'));
      if (endpoint.state == Endpoint::State::kDraining) line += "(draining)";
    }
    history.push_back(line);
    if (error) return done(*error);
    const std::string upstream = list.upstream;
    const UpstreamList& held = lists[upstream];
    if (strict && (list.version < held.version ||
                   (list.version == held.version && list.endpoints != held.endpoints))) {
      return done(Error{ErrorKind::kConflict, "knows a higher version"});
    }
    if (upstream == refuse) return done(Error{ErrorKind::kUnavailable, "refused"});
    status.version = list.version;
    lists[upstream] = std::move(list);
    done(Ok{});
  }
  void Inspect(std::vector<std::string> upstreams,
               std::function<void(Result<std::vector<UpstreamStatus>>)> done) override {
    if (error) return done(*error);
    std::vector<UpstreamStatus> all;
    for (const std::string& upstream : upstreams) {
      all.push_back(
          {upstream, strict ? lists[upstream].version : status.version, status.endpoints});
    }
    done(std::move(all));
  }

  UpstreamStatus status;  // what it holds, of whatever upstream
  std::optional<Error> error;
  bool strict = false;  // keeps versions apart by upstream, and to their order, as nginx does
  std::string refuse;   // an upstream whose lists it does not take
  std::map<std::string, UpstreamList> lists;  // as taken last
  std::vector<std::string> history;
};

class FakeMetrics final : public MetricSource {
 public:
  void Ask(const MetricQuery& query, Millis, std::function<void(Result<Answer>)> done) override {
    asked.push_back(query.value);
    if (silent) return;
    const auto found = answers.find(query.value);
    if (found == answers.end()) {
      done(Error{ErrorKind::kUnavailable, "connection refused"});
    } else {
      done(ParseAnswer(found->second, query));
    }
  }
  void AskRange(const RangeQuery& query, Millis,
                std::function<void(Result<RangeAnswer>)> done) override {
    asked_ranges.push_back(query);
    if (past) {
      done(past(query));
    } else {
      held_ranges.push_back(std::move(done));
    }
  }
  // The answer of Prometheus to a query without key: one value, `age` seconds old.
  void Says(const std::string& query, double value) {
    answers[query] =
        R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000,")" +
        std::to_string(value) + R"("]}]}})";
  }
  void SaysNothing(const std::string& query) {
    answers[query] = R"({"status":"success","data":{"resultType":"vector","result":[]}})";
  }

  std::map<std::string, std::string> answers;
  std::vector<std::string> asked;
  bool silent = false;

  std::vector<RangeQuery> asked_ranges;
  // What range queries are answered; none: they are held.
  std::function<Result<RangeAnswer>(const RangeQuery&)> past;
  std::vector<std::function<void(Result<RangeAnswer>)>> held_ranges;
};

class FakeModel final : public ModelSource {
 public:
  void Send(HttpRequest request, std::function<void(Result<HttpResponse>)> done) override {
    asked.push_back(std::move(request));
    if (answer) {
      done(*answer);
    } else {
      held.push_back(std::move(done));
    }
  }
  void Says(const std::string& body, int status = 200) {
    answer = HttpResponse{.status = status, .body = body};
  }

  std::vector<HttpRequest> asked;
  std::optional<Result<HttpResponse>> answer;  // none: requests are held
  std::vector<std::function<void(Result<HttpResponse>)>> held;
};

}  // namespace autoscale
