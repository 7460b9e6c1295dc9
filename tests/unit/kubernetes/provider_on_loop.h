// A provider on a loop of its own thread, asked as if its calls blocked.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "providers/kubernetes/kubernetes_provider.h"

namespace autoscale {

class ProviderOnLoop {
 public:
  ProviderOnLoop() : http_(loop_, 8) {
    provider_ =
        CreateKubernetesProvider({.loop = loop_, .http = http_, .state_dir = "/unused"}).value();
    provider_->SetTargetListener([this](Observation observation) {
      const std::lock_guard lock(mutex_);
      const std::string service = observation.service;
      latest_.insert_or_assign(service, std::move(observation));
      changed_.notify_all();
    });
    thread_ = std::thread([this] { loop_.Run(); });
  }
  ~ProviderOnLoop() {
    std::promise<void> gone;
    loop_.Post([&] {
      provider_.reset();
      gone.set_value();
    });
    gone.get_future().wait();
    loop_.Stop();
    thread_.join();
  }
  ProviderOnLoop(const ProviderOnLoop&) = delete;
  ProviderOnLoop& operator=(const ProviderOnLoop&) = delete;

  std::vector<Observation> Observe(std::vector<std::shared_ptr<KubernetesTarget>> targets) {
    auto answer = std::make_shared<std::promise<std::vector<Observation>>>();
    auto future = answer->get_future();
    loop_.Post([this, targets = std::move(targets), answer] {
      std::vector<TargetRef> refs;
      for (const auto& target : targets) refs.push_back({target->name, target});
      provider_->Observe(std::move(refs), [answer](Result<std::vector<Observation>> all) {
        answer->set_value(*std::move(all));
      });
    });
    return future.get();
  }

  Observation Observe(const std::shared_ptr<KubernetesTarget>& target) {
    return Observe(std::vector{target}).front();
  }

  // `before`: happens at a moment at which the provider hears of nothing until it is asked.
  Status SetCapacity(
      const std::shared_ptr<KubernetesTarget>& target, CapacityWish wish,
      const std::function<void()>& before = [] {}) {
    auto answer = std::make_shared<std::promise<Status>>();
    auto future = answer->get_future();
    loop_.Post([this, target, wish = std::move(wish), before, answer] {
      before();
      provider_->SetCapacity({target->name, target}, wish,
                             [answer](Status status) { answer->set_value(std::move(status)); });
    });
    return future.get();
  }

  // Waits until something is reported of the service that fits; a failure when nothing does.
  Observation Await(const std::string& service,
                    const std::function<bool(const Observation&)>& fits) {
    std::unique_lock lock(mutex_);
    const auto there = [&] { return latest_.contains(service) && fits(latest_.at(service)); };
    if (!changed_.wait_for(lock, std::chrono::seconds(20), there)) {
      ADD_FAILURE() << "nothing fitting was reported of " << service;
    }
    return latest_[service];
  }
  Observation AwaitCapacity(const std::string& service, int capacity) {
    return Await(service, [=](const Observation& o) { return !o.fault && o.capacity == capacity; });
  }
  Observation AwaitFault(const std::string& service, const std::string& part) {
    return Await(service, [=](const Observation& o) {
      return o.fault && o.fault->message.find(part) != std::string::npos;
    });
  }

 private:
  EventLoop loop_;
  HttpClient http_;
  std::unique_ptr<Provider> provider_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Observation> latest_;
  std::thread thread_;
};

}  // namespace autoscale
