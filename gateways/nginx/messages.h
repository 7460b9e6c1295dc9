// What the pusher and the Lua inside nginx say to each other, as text. Pure; tested by itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateways/gateway.h"

namespace autoscale::nginx {

// The body of a PUT. kInvalid: an endpoint's address is not host:port.
Result<std::string> PushBody(const UpstreamList& list);

// The answer to GET /upstreams, reduced to the upstreams asked for, in their order; unknown ones
// come with version 0.0. kUnavailable: it is not such an answer.
Result<std::vector<UpstreamStatus>> ParseUpstreams(std::string_view body,
                                                   const std::vector<std::string>& upstreams);

// What an answer to a PUT means for the daemon.
Status JudgePush(int http_status, std::string_view body);

// Is it a name that nginx's side takes?
bool IsUpstreamName(std::string_view name);

}  // namespace autoscale::nginx
