#include "providers/http/http_provider.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "net/fault_point.h"
#include "net/http_text.h"
#include "providers/http/answer.h"

namespace autoscale {
namespace {

using Json = nlohmann::json;
using TargetPtr = std::shared_ptr<const HttpTarget>;
using Answer = std::shared_ptr<const Result<Json>>;

// A change may be tried for so many time-outs.
constexpr int kChangeBudget = 3;

// A shared pointer to a part of the target, which it keeps.
std::shared_ptr<const HttpAccess> AccessOf(const TargetPtr& target) {
  return {target, &target->access};
}

// Reads with equal keys are one request.
std::string KeyOf(const std::string& url, const HttpTarget& target) {
  return url + '\n' + target.access.Key();
}

Result<Json> Parsed(const HttpRequest& request, Result<HttpResponse> answer) {
  if (!answer.ok()) return std::move(answer).error();
  auto json = ParseJson(answer->body);
  if (json.ok()) return json;
  return std::move(json).error().Within(request.method + " " + ShownUrl(request.url));
}

HttpRequest ReadRequest(const std::string& url, const HttpTarget& target) {
  return {.url = url,
          .headers = {{"Accept", "application/json"}},
          .timeout = target.timeout,
          .max_answer_bytes = target.max_answer_bytes};
}

// What a proxy or a login in front of the manager answers, with a status as if all were well.
bool IsPage(const HttpResponse& response) {
  return std::any_of(response.headers.begin(), response.headers.end(), [](const auto& header) {
    return header.first == "content-type" && header.second.starts_with("text/html");
  });
}

// What all targets of one Observe ask for, each URL once.
struct Survey {
  std::vector<TargetRef> targets;
  std::map<std::string, Answer> answers;
  size_t missing = 0;
  std::function<void(Result<std::vector<Observation>>)> done;
};

// One change of a target on its way.
struct Change {
  TargetPtr target;
  std::string service;
  CapacityWish wish;
};

class HttpProvider final : public Provider {
 public:
  HttpProvider(EventLoop& loop, HttpClient& http, HttpCaller::Options options)
      : caller_(loop, http, std::move(options)), loop_(loop) {}

  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override;
  void SetCapacity(TargetRef target, CapacityWish wish, std::function<void(Status)> done) override;

 private:
  void Ask(const std::shared_ptr<Survey>& survey, const std::string& url, const TargetPtr& target);
  void Conclude(const std::shared_ptr<Survey>& survey);
  Observation See(const TargetRef& ref, const Survey& survey);
  void SeeInstances(const HttpTarget& target, const Json& answer, Observation& observation);
  static void Count(const HttpTarget& target, const Json& answer, Observation& observation);
  InstanceState StateOf(const std::string& service, const ListedInstance& listed, bool first);

  void TryChange(const std::shared_ptr<Change>& change, Millis timeout,
                 const HttpCaller::Tried& tried);
  void Step(const std::shared_ptr<Change>& change, int current, Millis timeout,
            const HttpCaller::Tried& tried);
  void SendChange(const std::shared_ptr<Change>& change, const HttpChange& how,
                  const HttpVariables& values, Millis timeout, const HttpCaller::Tried& tried);

  HttpCaller caller_;
  EventLoop& loop_;
  // By service, then id: those that were ready once, or may have been before we were there.
  std::map<std::string, std::map<std::string, bool>> known_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

// --- Observe ---

void HttpProvider::Observe(std::vector<TargetRef> targets,
                           std::function<void(Result<std::vector<Observation>>)> done) {
  auto survey = std::make_shared<Survey>();
  survey->targets = std::move(targets);
  survey->done = std::move(done);
  survey->missing = 1;  // this one ends when all are asked
  for (const TargetRef& ref : survey->targets) {
    const auto target = std::dynamic_pointer_cast<const HttpTarget>(ref.target);
    if (!target) continue;
    Ask(survey, target->current.url, target);
    if (target->instances) Ask(survey, target->instances->read.url, target);
  }
  loop_.Post([this, alive = std::weak_ptr<int>(alive_), survey] {
    if (!alive.expired()) Conclude(survey);
  });
}

void HttpProvider::Ask(const std::shared_ptr<Survey>& survey, const std::string& url,
                       const TargetPtr& target) {
  const std::string key = KeyOf(url, *target);
  if (!survey->answers.try_emplace(key).second) return;
  ++survey->missing;
  const HttpRequest request = ReadRequest(url, *target);
  caller_.Repeat(
      {.timeout = target->timeout, .budget = target->timeout, .retries = target->retries},
      [this, request, target](Millis timeout, HttpCaller::Tried tried) {
        HttpRequest one = request;
        one.timeout = timeout;
        caller_.Send(std::move(one), AccessOf(target), std::move(tried));
      },
      [this, survey, key, request](Result<HttpResponse> answer) {
        survey->answers[key] =
            std::make_shared<const Result<Json>>(Parsed(request, std::move(answer)));
        Conclude(survey);
      });
}

void HttpProvider::Conclude(const std::shared_ptr<Survey>& survey) {
  if (--survey->missing > 0) return;
  std::vector<Observation> observations;
  observations.reserve(survey->targets.size());
  for (const TargetRef& ref : survey->targets) observations.push_back(See(ref, *survey));
  survey->done(std::move(observations));
}

Observation HttpProvider::See(const TargetRef& ref, const Survey& survey) {
  Observation observation;
  observation.service = ref.service;
  const auto target = std::dynamic_pointer_cast<const HttpTarget>(ref.target);
  if (!target) {
    observation.fault = Error{ErrorKind::kInternal, "not a target of the provider http"};
    return observation;
  }
  observation.abilities = {
      .names_instances = false, .ends_exactly = target->ends_exactly(), .poll = target->poll};
  const auto answer_of = [&](const std::string& url) -> const Result<Json>& {
    return *survey.answers.at(KeyOf(url, *target));
  };
  const auto fail = [&](Error error, const std::string& url) {
    observation.fault = std::move(error).Within("GET " + ShownUrl(url));
    return observation;
  };
  const Result<Json>& current = answer_of(target->current.url);
  if (!current.ok()) {
    observation.fault = current.error();
    return observation;
  }
  const auto capacity = ReadCount(*current, target->current.pointer);
  if (!capacity.ok()) return fail(capacity.error(), target->current.url);
  observation.capacity = *capacity;
  if (!target->instances) {
    Count(*target, *current, observation);
    return observation;
  }
  const Result<Json>& list = answer_of(target->instances->read.url);
  if (!list.ok()) {
    observation.fault = list.error();
  } else {
    SeeInstances(*target, *list, observation);
  }
  return observation;
}

void HttpProvider::SeeInstances(const HttpTarget& target, const Json& answer,
                                Observation& observation) {
  auto list = ReadList(answer, *target.instances);
  if (!list.ok()) {
    observation.fault =
        std::move(list).error().Within("GET " + ShownUrl(target.instances->read.url));
    return;
  }
  const bool first = !known_.contains(observation.service);
  auto& known = known_[observation.service];
  std::set<std::string> present;
  for (ListedInstance& listed : *list) {
    present.insert(listed.id);
    const InstanceState state = StateOf(observation.service, listed, first);
    observation.instances.push_back({.id = std::move(listed.id),
                                     .state = state,
                                     .endpoint = std::move(listed.endpoint),
                                     .detail = std::move(listed.detail)});
  }
  std::erase_if(known, [&](const auto& entry) { return !present.contains(entry.first); });
}

InstanceState HttpProvider::StateOf(const std::string& service, const ListedInstance& listed,
                                    bool first) {
  bool& passed = known_[service].try_emplace(listed.id, first).first->second;
  switch (listed.health) {
    case ListedInstance::Health::kReady:
      passed = true;
      return InstanceState::kReady;
    case ListedInstance::Health::kStopping:
      return InstanceState::kStopping;
    case ListedInstance::Health::kNotReady:
      break;
  }
  return passed ? InstanceState::kUnready : InstanceState::kStarting;
}

// Of instances that nobody lists only the number is known.
void HttpProvider::Count(const HttpTarget& target, const Json& answer, Observation& observation) {
  int ready = *observation.capacity;
  if (target.ready) {
    const auto count = ReadCount(answer, *target.ready);
    if (!count.ok()) {
      observation.fault = Error(count.error()).Within("GET " + ShownUrl(target.current.url));
      return;
    }
    ready = *count;
  }
  for (int i = 1; i <= *observation.capacity; ++i) {
    observation.instances.push_back(
        {.id = observation.service + "-" + std::to_string(i),
         .state = i <= ready ? InstanceState::kReady : InstanceState::kStarting,
         .endpoint = {},
         .detail = {},
         .rank = i});
  }
}

// --- SetCapacity ---

void HttpProvider::SetCapacity(TargetRef target, CapacityWish wish,
                               std::function<void(Status)> done) {
  auto change = std::make_shared<Change>();
  change->target = std::dynamic_pointer_cast<const HttpTarget>(target.target);
  change->service = target.service;
  change->wish = std::move(wish);
  if (!change->target) {
    return done(Error{ErrorKind::kInternal, "not a target of the provider http"});
  }
  const HttpTarget& options = *change->target;
  caller_.Repeat(
      {.timeout = options.timeout,
       .budget = options.timeout * kChangeBudget,
       .retries = options.retries},
      [this, change](Millis timeout, const HttpCaller::Tried& tried) {
        TryChange(change, timeout, tried);
      },
      [done = std::move(done)](Result<HttpResponse> answer) {
        done(answer.ok() ? Status(Ok{}) : Status(std::move(answer).error()));
      });
}

void HttpProvider::TryChange(const std::shared_ptr<Change>& change, Millis timeout,
                             const HttpCaller::Tried& tried) {
  const HttpTarget& target = *change->target;
  const CapacityWish& wish = change->wish;
  if (target.set) {
    return SendChange(change, *target.set,
                      {.service = change->service,
                       .capacity = wish.capacity,
                       .delta = wish.capacity - wish.seen,
                       .seen = wish.seen,
                       .intent = wish.intent,
                       .victims = wish.victims},
                      timeout, tried);
  }
  // How many more or fewer can only be said of what is there now: each try begins with a look.
  HttpRequest request = ReadRequest(target.current.url, target);
  request.timeout = timeout;
  caller_.Send(request, AccessOf(change->target),
               [this, change, request, timeout, tried](HttpOutcome outcome) {
                 if (!outcome.result.ok()) return tried(std::move(outcome));
                 auto json = Parsed(request, std::move(outcome.result));
                 if (!json.ok()) return tried({std::move(json).error(), false});
                 auto current = ReadCount(*json, change->target->current.pointer);
                 if (!current.ok()) return tried({std::move(current).error(), false});
                 Step(change, *current, timeout, tried);
               });
}

// By so many more or fewer, from what is there.
void HttpProvider::Step(const std::shared_ptr<Change>& change, int current, Millis timeout,
                        const HttpCaller::Tried& tried) {
  const HttpTarget& target = *change->target;
  const CapacityWish& wish = change->wish;
  if (current == wish.capacity && wish.victims.empty()) return tried({HttpResponse{}});
  if (current != wish.seen) {
    return tried({Error{ErrorKind::kConflict, "the capacity is " + std::to_string(current) +
                                                  " now, not " + std::to_string(wish.seen) +
                                                  ": somebody else changed it"}});
  }
  const auto victims = static_cast<int>(wish.victims.size());
  HttpVariables values{.service = change->service,
                       .capacity = wish.capacity,
                       .delta = wish.capacity - current,
                       .seen = current,
                       .intent = wish.intent,
                       .victims = {}};
  if (values.delta > 0 && victims == 0) {
    return SendChange(change, *target.scale_up, values, timeout, tried);
  }
  values.victims = wish.victims;
  values.delta = std::max(victims, -values.delta);
  values.capacity = current - values.delta;
  SendChange(change, *target.scale_down, values, timeout,
             [this, change, timeout, tried, left = values.capacity](HttpOutcome outcome) {
               if (!outcome.result.ok() || left == change->wish.capacity) {
                 return tried(std::move(outcome));
               }
               // More were to go than the capacity is to fall: the rest is new.
               SendChange(change, *change->target->scale_up,
                          {.service = change->service,
                           .capacity = change->wish.capacity,
                           .delta = change->wish.capacity - left,
                           .seen = left,
                           .intent = change->wish.intent + "/up",
                           .victims = {}},
                          timeout, tried);
             });
}

void HttpProvider::SendChange(const std::shared_ptr<Change>& change, const HttpChange& how,
                              const HttpVariables& values, Millis timeout,
                              const HttpCaller::Tried& tried) {
  HttpRequest request{.method = how.method,
                      .url = how.url.Render(values, HttpEscaping::kUrl),
                      .body = how.has_body ? how.body.Render(values, HttpEscaping::kJson) : "",
                      .timeout = timeout,
                      .max_answer_bytes = change->target->max_answer_bytes,
                      // Over a connection of before curl would send it again by itself when that
                      // ends without an answer.
                      .keep_alive = false};
  for (const auto& [name, value] : how.headers) {
    request.headers.emplace_back(name, value.Render(values, HttpEscaping::kHeader));
  }
  if (!values.intent.empty()) request.headers.emplace_back("Idempotency-Key", values.intent);
  const std::string shown = request.method + " " + ShownUrl(request.url);
  caller_.Send(std::move(request), AccessOf(change->target), [shown, tried](HttpOutcome outcome) {
    if (outcome.result.ok() && IsPage(*outcome.result)) {
      Error error{ErrorKind::kUnavailable,
                  "answered with a page for people (text/html), not as a manager does"};
      return tried({std::move(error).Within(shown), false});
    }
    tried(std::move(outcome));
  });
}

}  // namespace

std::unique_ptr<Provider> MakeHttpProvider(EventLoop& loop, HttpClient& http,
                                           HttpCaller::Options options) {
  return std::make_unique<HttpProvider>(loop, http, std::move(options));
}

Result<std::unique_ptr<Provider>> CreateHttpProvider(const ProviderContext& context) {
  return MakeHttpProvider(context.loop, context.http, {});
}

}  // namespace autoscale
