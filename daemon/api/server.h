// ControlServer: gRPC over a unix socket, for autoscalectl and whoever else speaks control.proto.
#pragma once

#include <memory>
#include <string>

#include "config/spec.h"
#include "daemon/api/control_surface.h"
#include "engine/model/result.h"

namespace autoscale {

class ControlServer {
 public:
  // Takes the lock beside the socket (a second daemon is told so and which pid holds it), removes a
  // stale socket, listens, then sets the socket's mode and group before the first call is served.
  // `surface` outlives the server.
  static Result<std::unique_ptr<ControlServer>> Start(const ControlSpec& spec,
                                                      ControlSurface& surface);
  // Ends calls within two seconds, removes the socket, lets go of the lock.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  struct State;
  explicit ControlServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
