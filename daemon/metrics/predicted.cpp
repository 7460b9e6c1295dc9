#include "daemon/metrics/predicted.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "daemon/metrics/model_wire.h"
#include "daemon/telemetry/log.h"
#include "engine/model/text.h"

namespace autoscale {
namespace {

constexpr size_t kAnswerBase = 64 << 10;    // bytes
constexpr size_t kAnswerPerService = 1024;  // a name and a number, generously
constexpr size_t kLongestMessage = 300;     // bytes; it may quote the answer

bool IsPredicted(const MetricSpec& spec) {
  return spec.derived != nullptr && spec.derived->kind == DerivedSpec::Kind::kPredict;
}

// Services of one interval ask together: they tick together.
std::string IdentityOf(const ServiceSpec& service, const MetricSpec& metric) {
  const DerivedSpec& derived = *metric.derived;
  std::string identity = metric.name + '\x1e' + derived.url + '\x1e' +
                         derived.credentials.username + '\x1e' + derived.credentials.ca_file;
  for (const auto& secret : {derived.credentials.bearer_token, derived.credentials.password}) {
    identity += '\x1e' + (secret ? secret->name : "");
  }
  for (const Millis d : {service.interval, derived.every, derived.timeout, derived.horizon}) {
    identity += '\x1e' + std::to_string(d.count());
  }
  return identity;
}

}  // namespace

struct PredictedMetrics::Model {
  std::string metric;
  std::shared_ptr<const DerivedSpec> spec;
  std::string token, password;
  std::string secret_problem;

  TimePoint due;
  bool asking = false;
  std::string noted;  // of the services of this tick, by commas
  size_t services = 0;
  std::unordered_set<std::string> known;  // services that ask for it
  struct Answer {
    double value = 0;
    TimePoint at;
  };
  std::unordered_map<std::string, Answer> answers;  // by service
  // Why there is none, as samples say it; null: the last request was answered.
  std::shared_ptr<const std::string> problem =
      std::make_shared<const std::string>("the model has not answered yet");
  bool told = false;
};

PredictedMetrics::PredictedMetrics(Options options) : options_(options) {}
PredictedMetrics::~PredictedMetrics() = default;

PredictedMetrics::Model* PredictedMetrics::ModelOf(const ServiceSpec& service,
                                                   const MetricSpec& metric) const {
  if (!IsPredicted(metric)) return nullptr;
  const auto model = models_.find(IdentityOf(service, metric));
  return model == models_.end() ? nullptr : model->second.get();
}

void PredictedMetrics::Use(const std::vector<std::shared_ptr<const ServiceSpec>>& services) {
  std::map<std::string, std::shared_ptr<Model>> models;
  for (const auto& service : services) {
    for (const MetricUse& use : service->metrics) {
      if (!IsPredicted(*use.spec)) continue;
      const std::string identity = IdentityOf(*service, *use.spec);
      auto& model = models[identity];
      if (model) {
        model->known.insert(service->name);
        continue;
      }
      const auto known = models_.find(identity);
      model = known == models_.end() ? std::make_shared<Model>() : known->second;
      model->known = {service->name};
      model->metric = use.spec->name;
      model->spec = use.spec->derived;
      model->secret_problem.clear();
      const Credentials& credentials = model->spec->credentials;
      for (auto [secret, text] : {std::pair{&credentials.bearer_token, &model->token},
                                  std::pair{&credentials.password, &model->password}}) {
        if (!*secret) continue;
        auto read = ReadSecret(**secret);
        if (read.ok()) {
          *text = *std::move(read);
        } else {
          model->secret_problem = read.error().message;
        }
      }
    }
  }
  for (auto& [identity, model] : models) {
    std::erase_if(model->answers,
                  [&known = model->known](const auto& one) { return !known.contains(one.first); });
  }
  models_ = std::move(models);
}

void PredictedMetrics::Fill(const ServiceSpec& service, const Capacity& capacity,
                            std::span<Sample> samples) {
  const TimePoint now = options_.clock.Now();
  std::string described;
  for (size_t i = 0; i < samples.size(); ++i) {
    const MetricUse& use = service.metrics[i];
    Model* const model = ModelOf(service, *use.spec);
    if (model == nullptr) continue;
    if (now >= model->due && !model->asking) {
      if (described.empty()) described = DescribeForModel(service, capacity, samples);
      model->noted += (model->noted.empty() ? "" : ",") + described;
      ++model->services;
    }
    Sample& sample = samples[i];
    sample = {};
    if (const auto answer = model->answers.find(service.name); answer != model->answers.end()) {
      sample = {.value = answer->second.value,
                .state = SampleState::kFresh,
                .age_s = static_cast<float>(ToSeconds(now - answer->second.at))};
      sample = Judge(std::move(sample), RulesOf(*use.spec));
      if (sample.state != SampleState::kStale) continue;
    }
    static const auto kSilent =
        std::make_shared<const std::string>("the model says nothing of this service");
    auto problem = model->problem ? model->problem : kSilent;
    if (use.base < 0) {
      sample = {.state = SampleState::kError, .error = std::move(problem)};
      continue;
    }
    sample = samples[static_cast<size_t>(use.base)];
    sample.instances.clear();
    sample.substituted = true;
    if (!sample.error) sample.error = std::move(problem);
  }
}

void PredictedMetrics::Step() {
  for (auto& [identity, model] : models_) {
    if (!model->noted.empty()) Ask(*model);
  }
}

void PredictedMetrics::Ask(Model& model) {
  const TimePoint now = options_.clock.Now();
  const DerivedSpec& spec = *model.spec;
  model.due = now + spec.every;
  const std::string services = std::exchange(model.noted, {});
  const size_t count = std::exchange(model.services, 0);
  if (options_.source == nullptr) return;
  if (!model.secret_problem.empty()) return Tell(model, model.secret_problem);
  HttpRequest request{.method = "POST",
                      .url = spec.url,
                      .headers = {{"Content-Type", "application/json"}},
                      .body = ModelRequestBody(now, spec.horizon, model.metric, services),
                      .timeout = spec.timeout,
                      .max_answer_bytes = kAnswerBase + kAnswerPerService * count,
                      .username = spec.credentials.username,
                      .password = model.password,
                      .ca_file = spec.credentials.ca_file};
  if (!model.token.empty()) {
    request.headers.emplace_back("Authorization", "Bearer " + model.token);
  }
  model.asking = true;
  ++options_.counters.model_requests;
  // Kept by its own request: a reload may drop it meanwhile.
  for (auto& [identity, kept] : models_) {
    if (kept.get() != &model) continue;
    options_.source->Send(std::move(request), [this, kept = kept](Result<HttpResponse> response) {
      kept->asking = false;
      Take(*kept, std::move(response));
    });
    return;
  }
}

void PredictedMetrics::Take(Model& model, Result<HttpResponse> response) {
  if (!response.ok()) {
    ++options_.counters.model_errors;
    return Tell(model, response.error().message);
  }
  if (response->status != 200) {
    ++options_.counters.model_errors;
    return Tell(model, "answered with status " + std::to_string(response->status));
  }
  auto values = ParseModelAnswer(response->body);
  if (!values.ok()) {
    ++options_.counters.model_errors;
    return Tell(model, values.error().message);
  }
  const TimePoint now = options_.clock.Now();
  for (auto& [service, value] : *values) {
    if (model.known.contains(service)) model.answers[service] = {.value = value, .at = now};
  }
  model.problem.reset();
  if (!std::exchange(model.told, false)) return;
  LogInfo("the model answers again", {{"metric", model.metric}});
}

// Told when it begins and when it is another one.
void PredictedMetrics::Tell(Model& model, const std::string& problem) {
  std::string text = "the model: " + OneLine(problem, kLongestMessage);
  if (model.told && model.problem && *model.problem == text) return;
  model.problem = std::make_shared<const std::string>(std::move(text));
  model.told = true;
  LogWarning("a model outside does not answer; its last answer counts until it is too old",
             {{"metric", model.metric}, {"error", *model.problem}});
}

std::string PredictedMetrics::ProblemOf(const ServiceSpec& service) const {
  for (const MetricUse& use : service.metrics) {
    const Model* const model = ModelOf(service, *use.spec);
    if (model != nullptr && model->told && model->problem) {
      return "metric '" + model->metric + "': " + *model->problem;
    }
  }
  return {};
}

}  // namespace autoscale
