// PluginChannel: calls to one running plugin, without waiting for them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "autoscale/v1/provider.pb.h"
#include "engine/model/result.h"
#include "net/event_loop.h"

namespace autoscale {

// The calls to all plugins that are under way, and the thread that takes their ends. It does
// nothing but post them to the event loop. (gRPC has threads of its own for callbacks; those
// of 1.51 abort when the last channel of a process goes while another comes, and plugins make that
// happen.)
class OpenCalls {
 public:
  struct State;

  OpenCalls();
  ~OpenCalls();
  OpenCalls(const OpenCalls&) = delete;
  OpenCalls& operator=(const OpenCalls&) = delete;

  // Takes no more, cancels those that are there and waits until they have ended: from then on
  // nothing is posted. Not while the loop runs.
  void Close();
  [[nodiscard]] State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
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
