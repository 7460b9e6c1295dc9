// What a plugin's gRPC statuses mean: provider.proto has the table.
#pragma once

#include <string>

#include "engine/model/result.h"

namespace grpc {
class Status;
}

namespace autoscale {

// Precondition: the status is not OK. `timeout` is that of the call, for the message.
Error ErrorOf(const grpc::Status& status, Millis timeout);
// The same of a code within an answer.
Error ErrorOf(int code, const std::string& message);
// Whether the deadline of the call made it.
bool IsLate(const Error& error);
// Whether the plugin does not have the call.
bool IsUnimplemented(const Error& error);

}  // namespace autoscale
