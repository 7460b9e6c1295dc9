// Client: one call to the daemon over its unix socket.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <variant>

#include "autoscale/v1/control.grpc.pb.h"
#include "cli/command.h"
#include "cli/json.h"

namespace autoscale::cli {

struct Failure {
  int exit_code = kExitFailed;
  std::string message;
};

// Connects now, so that each way to fail has its own sentence.
std::variant<std::shared_ptr<grpc::Channel>, Failure> Connect(const std::string& socket);

// What a failed call means to a person.
Failure Describe(const Context& context, const grpc::Status& status, bool daemon_answered);

template <typename Request, typename Response>
using Method = grpc::Status (v1::Control::Stub::*)(grpc::ClientContext*, const Request&, Response*);

// Calls the daemon, then `done` with its answer; else prints why not. Answers the exit code.
// Blocks at most for the context's time-out.
template <typename Request, typename Response, typename Done>
int Ask(const Context& context, Method<Request, Response> method, const Request& request,
        Done done) {
  auto connected = Connect(context.socket);
  if (const auto* failure = std::get_if<Failure>(&connected)) {
    return Fail(context, failure->exit_code, failure->message);
  }
  v1::Control::Stub stub(*std::get_if<std::shared_ptr<grpc::Channel>>(&connected));
  grpc::ClientContext call;
  call.set_deadline(std::chrono::system_clock::now() + context.timeout);
  Response response;
  const grpc::Status status = (stub.*method)(&call, request, &response);
  if (!status.ok()) {
    const bool answered = call.GetServerTrailingMetadata().count("autoscale-error") > 0;
    const Failure failure = Describe(context, status, answered);
    return Fail(context, failure.exit_code, failure.message);
  }
  done(response);
  return kExitOk;
}

// Prints the message as JSON where that was asked for, else the text.
template <typename Text>
void Show(const Context& context, const google::protobuf::Message& message, Text text) {
  context.out << (context.json ? Dump(ToJson(message)) : text());
}

// A Timestamp as a TimePoint.
TimePoint FromProto(const google::protobuf::Timestamp& t);

}  // namespace autoscale::cli
