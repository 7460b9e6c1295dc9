// Gateway: the seam to whatever takes upstream lists.
//
// All calls are made on the event loop's thread and never block; each callback runs there too,
// exactly once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/loader.h"
#include "engine/model/result.h"
#include "net/event_loop.h"
#include "net/http_client.h"

namespace autoscale {

// Lists are ordered by (epoch, sequence); the epoch rises in the store at each start of the daemon.
struct ListVersion {
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  auto operator<=>(const ListVersion&) const = default;
};

struct Endpoint {
  enum class State : uint8_t { kServing, kDraining };
  std::string address;  // "10.0.0.5:8080"
  int weight = 100;     // 1..100 while serving; relative
  State state = State::kServing;
  bool operator==(const Endpoint&) const = default;
};

struct UpstreamList {
  std::string upstream;
  ListVersion version;
  std::vector<Endpoint> endpoints;  // in the order of their addresses
  bool may_be_empty = false;        // an empty list is otherwise refused
};

struct EndpointLoad {
  std::string address;
  int in_flight = 0;  // requests, as the gateway counts them
};

struct UpstreamStatus {
  std::string upstream;
  ListVersion version;
  std::vector<EndpointLoad> endpoints;  // also those draining or just removed while requests remain
};

struct GatewayCapabilities {
  Millis settle{0};  // after an acknowledgement old choices of an endpoint may last so long
  bool counts_in_flight = false;
  bool persists = false;  // keeps its lists over its own restart
};

class Gateway {
 public:
  virtual ~Gateway() = default;

  [[nodiscard]] virtual GatewayCapabilities capabilities() const = 0;

  // Replaces one upstream's list. kConflict: the gateway knows a higher version; Inspect
  // tells which, and the daemon tops it. kInvalid: the gateway refused the list itself.
  virtual void Publish(UpstreamList list, std::function<void(Status)> done) = 0;

  // What the gateway holds of the named upstreams; those it does not know come with version 0.0.
  virtual void Inspect(std::vector<std::string> upstreams,
                       std::function<void(Result<std::vector<UpstreamStatus>>)> done) = 0;
};

struct GatewayContext {
  EventLoop& loop;
  HttpClient& http;
  std::string name;
  std::shared_ptr<const GatewayOptions> options;
};

// One row a gateway type; the registry is an explicit table in gateways/registry.cpp.
struct GatewayType {
  std::string name;
  GatewayParser parse;
  std::function<Result<std::unique_ptr<Gateway>>(const GatewayContext&)> create;
};
const std::vector<GatewayType>& GatewayTypes();

}  // namespace autoscale
