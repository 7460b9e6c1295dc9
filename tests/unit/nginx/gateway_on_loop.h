// A gateway on a loop of its own thread, asked as if its calls blocked.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gateways/nginx/nginx_gateway.h"

namespace autoscale {

class GatewayOnLoop {
 public:
  explicit GatewayOnLoop(const NginxOptions& options)
      : GatewayOnLoop(std::make_shared<NginxOptions>(options), CreateNginxGateway) {}
  GatewayOnLoop(std::shared_ptr<const GatewayOptions> options,
                Result<std::unique_ptr<Gateway>> (*create)(const GatewayContext&))
      : http_(loop_, 8) {
    gateway_ = create({.loop = loop_, .http = http_, .name = "edge", .options = std::move(options)})
                   .value();
    thread_ = std::thread([this] { loop_.Run(); });
  }
  ~GatewayOnLoop() {
    loop_.Stop();
    thread_.join();
  }
  GatewayOnLoop(const GatewayOnLoop&) = delete;
  GatewayOnLoop& operator=(const GatewayOnLoop&) = delete;

  Status Publish(UpstreamList list) {
    auto answer = std::make_shared<std::promise<Status>>();
    std::future<Status> future = answer->get_future();
    loop_.Post([this, list = std::move(list), answer] {
      gateway_->Publish(list, [answer](Status status) { answer->set_value(std::move(status)); });
    });
    return future.get();
  }

  Result<std::vector<UpstreamStatus>> Inspect(std::vector<std::string> upstreams) {
    using Answer = Result<std::vector<UpstreamStatus>>;
    auto answer = std::make_shared<std::promise<Answer>>();
    std::future<Answer> future = answer->get_future();
    loop_.Post([this, upstreams = std::move(upstreams), answer] {
      gateway_->Inspect(upstreams,
                        [answer](Answer result) { answer->set_value(std::move(result)); });
    });
    return future.get();
  }

  [[nodiscard]] const Gateway& gateway() const { return *gateway_; }

 private:
  EventLoop loop_;
  HttpClient http_;
  std::unique_ptr<Gateway> gateway_;
  std::thread thread_;
};

}  // namespace autoscale
