#include "providers/plugin/channel.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <optional>
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
  static std::atomic<int> number{0};
  arguments.SetInt("autoscaled.connection", ++number);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // the daemon asks again by itself
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

bool OpenCalls::Add(std::shared_ptr<grpc::ClientContext> context) {
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  contexts_.insert(std::move(context));
  return true;
}

void OpenCalls::Remove(const std::shared_ptr<grpc::ClientContext>& context) {
  const std::lock_guard lock(mutex_);
  contexts_.erase(context);
  if (contexts_.empty()) none_.notify_all();
}

void OpenCalls::Close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  const auto open = contexts_;
  lock.unlock();  // a cancelled call may come back in this very thread
  for (const auto& context : open) context->TryCancel();
  lock.lock();
  none_.wait(lock, [this] { return contexts_.empty(); });
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
  struct Exchange {
    grpc::ClientContext context;
    Request request;
    Response response;
    Done<Response> done;
  };
  auto exchange = std::make_shared<Exchange>();
  exchange->request = std::move(request);
  exchange->done = std::move(done);
  exchange->context.set_deadline(std::chrono::system_clock::now() + timeout);
  exchange->context.set_wait_for_ready(true);
  const std::shared_ptr<grpc::ClientContext> context(exchange, &exchange->context);
  if (!calls_.Add(context)) return;
  begin(exchange->context, exchange->request, exchange->response,
        [exchange, context, timeout, &loop = loop_, &calls = calls_](const grpc::Status& status) {
          std::optional<Error> error;
          if (!status.ok()) error = ErrorOf(status, timeout);
          loop.Post([exchange, error = std::move(error)] {
            if (error) return exchange->done(*error);
            exchange->done(std::move(exchange->response));
          });
          calls.Remove(context);  // last: from here on the loop may be gone
        });
}

void PluginChannel::CheckHealth(Millis timeout, Done<Ok> done) {
  using grpc::health::v1::HealthCheckResponse;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(kHealthService);
  Call<HealthCheckResponse>(
      std::move(request), timeout,
      [this](auto& context, auto& asked, auto& answer, auto on_end) {
        stubs_->health->async()->Check(&context, &asked, &answer, std::move(on_end));
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
      [this](auto& context, auto& asked, auto& answer, auto on_end) {
        stubs_->provider->async()->Describe(&context, &asked, &answer, std::move(on_end));
      },
      std::move(done));
}

void PluginChannel::Validate(v1::ValidateRequest request, Millis timeout,
                             Done<v1::ValidateResponse> done) {
  Call<v1::ValidateResponse>(
      std::move(request), timeout,
      [this](auto& context, auto& asked, auto& answer, auto on_end) {
        stubs_->provider->async()->Validate(&context, &asked, &answer, std::move(on_end));
      },
      std::move(done));
}

void PluginChannel::Observe(v1::ObserveRequest request, Millis timeout,
                            Done<v1::ObserveResponse> done) {
  Call<v1::ObserveResponse>(
      std::move(request), timeout,
      [this](auto& context, auto& asked, auto& answer, auto on_end) {
        stubs_->provider->async()->Observe(&context, &asked, &answer, std::move(on_end));
      },
      std::move(done));
}

void PluginChannel::SetCapacity(v1::SetCapacityRequest request, Millis timeout, Done<Ok> done) {
  Call<v1::SetCapacityResponse>(
      std::move(request), timeout,
      [this](auto& context, auto& asked, auto& answer, auto on_end) {
        stubs_->provider->async()->SetCapacity(&context, &asked, &answer, std::move(on_end));
      },
      [done = std::move(done)](Result<v1::SetCapacityResponse> answer) {
        if (!answer.ok()) return done(std::move(answer).error());
        done(Ok{});
      });
}

void PluginChannel::Shutdown(Millis timeout) {
  Call<plugin::Empty>(
      plugin::Empty(), timeout,
      [this](auto& context, auto& asked, auto& answer, auto on_end) {
        stubs_->controller->async()->Shutdown(&context, &asked, &answer, std::move(on_end));
      },
      [](const Result<plugin::Empty>&) {});
}

}  // namespace autoscale
