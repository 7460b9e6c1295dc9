#include "providers/plugin/channel.h"

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "autoscale/v1/provider.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "plugin/grpc_controller.grpc.pb.h"
#include "providers/plugin/errors.h"

namespace autoscale {
namespace {

constexpr int kMaxAnswerBytes = 64 << 20;
// It listens before it says where, or soon after.
constexpr int kFirstReconnectMillis = 100, kLongestReconnectMillis = 1000;
constexpr const char* kHealthService = "plugin";  // what go-plugin calls it

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMillis);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kFirstReconnectMillis);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLongestReconnectMillis);
  // Not the connection to an earlier process at the same address, nor through a proxy. (A pool of
  // its own would say the same: with it gRPC 1.51 aborts when a channel goes as its connection
  // breaks.)
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // the daemon asks again by itself
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

// One call; its address is the tag by which the queue names it.
struct OpenCall {
  virtual ~OpenCall() = default;
  // Posts what came of it.
  virtual void End() = 0;
  grpc::ClientContext context;
  grpc::Status status;
};

struct OpenCalls::State {
  grpc::CompletionQueue queue;
  std::mutex mutex;
  std::map<OpenCall*, std::unique_ptr<OpenCall>> open;
  bool closed = false;
  std::thread thread;  // from the first call on

  void Run() {
    void* tag = nullptr;
    for (bool fine = false; queue.Next(&tag, &fine);) {
      std::unique_ptr<OpenCall> call;
      {
        const std::lock_guard lock(mutex);
        const auto found = open.find(static_cast<OpenCall*>(tag));
        call = std::move(found->second);
        open.erase(found);
      }
      call->End();
    }
  }
};

OpenCalls::OpenCalls() : state_(std::make_unique<State>()) {}

OpenCalls::~OpenCalls() { Close(); }

void OpenCalls::Close() {
  {
    const std::lock_guard lock(state_->mutex);
    if (std::exchange(state_->closed, true)) return;
    for (const auto& [tag, call] : state_->open) call->context.TryCancel();
  }
  state_->queue.Shutdown();
  if (state_->thread.joinable()) state_->thread.join();
}

struct PluginChannel::Stubs {
  explicit Stubs(std::shared_ptr<grpc::Channel> to) : channel(std::move(to)) {}
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Provider::Stub> provider = v1::Provider::NewStub(channel);
  std::unique_ptr<grpc::health::v1::Health::Stub> health =
      grpc::health::v1::Health::NewStub(channel);
  std::unique_ptr<plugin::GRPCController::Stub> controller =
      plugin::GRPCController::NewStub(channel);
};

PluginChannel::PluginChannel(EventLoop& loop, OpenCalls& calls, const std::string& address)
    : loop_(loop), calls_(calls), stubs_(std::make_unique<Stubs>(Connect(address))) {}
PluginChannel::~PluginChannel() = default;

template <typename Response, typename Request, typename Begin>
void PluginChannel::Call(Request request, Millis timeout, Begin begin, Done<Response> done) {
  struct Exchange final : OpenCall {
    void End() override {
      if (!status.ok()) {
        loop->Post([done = std::move(done), error = ErrorOf(status, timeout)] { done(error); });
      } else {
        loop->Post([done = std::move(done), response = std::move(response)] { done(response); });
      }
    }
    EventLoop* loop;
    Millis timeout;
    Request request;
    Response response;
    Done<Response> done;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
  };
  OpenCalls::State& calls = calls_.state();
  auto owned = std::make_unique<Exchange>();
  Exchange& exchange = *owned;
  exchange.loop = &loop_;
  exchange.timeout = timeout;
  exchange.request = std::move(request);
  exchange.done = std::move(done);
  exchange.context.set_deadline(std::chrono::system_clock::now() + timeout);
  exchange.context.set_wait_for_ready(true);
  const std::lock_guard lock(calls.mutex);
  if (calls.closed) return;
  if (!calls.thread.joinable()) calls.thread = std::thread([&calls] { calls.Run(); });
  calls.open.emplace(&exchange, std::move(owned));
  exchange.reader = begin(exchange.context, exchange.request, calls.queue);
  exchange.reader->StartCall();
  exchange.reader->Finish(&exchange.response, &exchange.status, static_cast<OpenCall*>(&exchange));
}

void PluginChannel::CheckHealth(Millis timeout, Done<Ok> done) {
  using grpc::health::v1::HealthCheckResponse;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(kHealthService);
  Call<HealthCheckResponse>(
      std::move(request), timeout,
      [this](auto& context, auto& asked, auto& queue) {
        return stubs_->health->PrepareAsyncCheck(&context, asked, &queue);
      },
      [done = std::move(done)](Result<HealthCheckResponse> answer) {
        if (!answer.ok()) return done(std::move(answer).error());
        if (answer->status() == HealthCheckResponse::SERVING) return done(Ok{});
        const std::string& name = HealthCheckResponse::ServingStatus_Name(answer->status());
        done(Error{ErrorKind::kUnavailable,
                   "says that it is " + (name.empty() ? "in an unknown state" : name)});
      });
}

void PluginChannel::Describe(Millis timeout, Done<v1::DescribeResponse> done) {
  v1::DescribeRequest request;
  request.set_daemon_version(AUTOSCALED_VERSION);
  Call<v1::DescribeResponse>(
      std::move(request), timeout,
      [this](auto& context, auto& asked, auto& queue) {
        return stubs_->provider->PrepareAsyncDescribe(&context, asked, &queue);
      },
      std::move(done));
}

void PluginChannel::Validate(v1::ValidateRequest request, Millis timeout,
                             Done<v1::ValidateResponse> done) {
  Call<v1::ValidateResponse>(
      std::move(request), timeout,
      [this](auto& context, auto& asked, auto& queue) {
        return stubs_->provider->PrepareAsyncValidate(&context, asked, &queue);
      },
      std::move(done));
}

void PluginChannel::Observe(v1::ObserveRequest request, Millis timeout,
                            Done<v1::ObserveResponse> done) {
  Call<v1::ObserveResponse>(
      std::move(request), timeout,
      [this](auto& context, auto& asked, auto& queue) {
        return stubs_->provider->PrepareAsyncObserve(&context, asked, &queue);
      },
      std::move(done));
}

void PluginChannel::SetCapacity(v1::SetCapacityRequest request, Millis timeout, Done<Ok> done) {
  Call<v1::SetCapacityResponse>(
      std::move(request), timeout,
      [this](auto& context, auto& asked, auto& queue) {
        return stubs_->provider->PrepareAsyncSetCapacity(&context, asked, &queue);
      },
      [done = std::move(done)](Result<v1::SetCapacityResponse> answer) {
        if (!answer.ok()) return done(std::move(answer).error());
        done(Ok{});
      });
}

void PluginChannel::Shutdown(Millis timeout) {
  Call<plugin::Empty>(
      plugin::Empty(), timeout,
      [this](auto& context, auto& asked, auto& queue) {
        return stubs_->controller->PrepareAsyncShutdown(&context, asked, &queue);
      },
      [](const Result<plugin::Empty>&) {});
}

}  // namespace autoscale
