// The control API's edge: the daemon's values -> wire messages, errors -> gRPC statuses.
#pragma once

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "autoscale/v1/control.pb.h"
#include "daemon/view.h"
#include "engine/model/result.h"
#include "engine/record/record.h"

namespace autoscale {

v1::Service ToProto(const ServiceView& view);
v1::Record ToProto(const DecisionRecord& record);

v1::Shadow ToProto(const ShadowView& view);

// The status travels in headers that receivers bound to 8 KiB, so that a long message is cut at a
// line's end, and says so.
grpc::Status ToGrpc(const Error& error);

// The text with every byte that is not UTF-8 replaced by U+FFFD: a protobuf string must be UTF-8,
// and a policy's reason may be anything.
std::string Utf8(std::string_view text);

}  // namespace autoscale
