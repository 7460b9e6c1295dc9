// PluginChannel: calls to one running plugin, without waiting for them.
//
// gRPC runs its callbacks on threads of its own; here they do nothing but post to the event loop.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "autoscale/v1/provider.pb.h"
#include "engine/model/result.h"
#include "net/event_loop.h"

namespace grpc {
class ClientContext;
}

namespace autoscale {

// The calls that gRPC still has, of all plugins: it must not call back into what is gone.
class OpenCalls {
 public:
  // False: no more are taken, and this one is not to begin.
  bool Add(std::shared_ptr<grpc::ClientContext> context);
  void Remove(const std::shared_ptr<grpc::ClientContext>& context);
  // Takes no more, cancels those that are there and waits until they have ended.
  void Close();

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  std::set<std::shared_ptr<grpc::ClientContext>> contexts_;
  bool closed_ = false;
};

class PluginChannel {
 public:
  template <typename T>
  using Done = std::function<void(Result<T>)>;

  // `address` as gRPC names it. Connects with the first call.
  PluginChannel(EventLoop& loop, OpenCalls& calls, const std::string& address);
  ~PluginChannel();
  PluginChannel(const PluginChannel&) = delete;
  PluginChannel& operator=(const PluginChannel&) = delete;

  // Each calls back once on the loop's thread, about when the time is up at the latest, also after
  // this object's end. Errors have the kinds of providers/plugin/errors.h.

  // Whether its health service says that "plugin" is serving.
  void CheckHealth(Millis timeout, Done<Ok> done);
  void Describe(Millis timeout, Done<v1::DescribeResponse> done);
  void Validate(v1::ValidateRequest request, Millis timeout, Done<v1::ValidateResponse> done);
  void Observe(v1::ObserveRequest request, Millis timeout, Done<v1::ObserveResponse> done);
  void SetCapacity(v1::SetCapacityRequest request, Millis timeout, Done<Ok> done);
  // Asks it to end. Nobody is told what came of it.
  void Shutdown(Millis timeout);

 private:
  struct Stubs;
  template <typename Response, typename Request, typename Begin>
  void Call(Request request, Millis timeout, Begin begin, Done<Response> done);

  EventLoop& loop_;
  OpenCalls& calls_;
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace autoscale
