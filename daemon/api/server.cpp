#include "daemon/api/server.h"

#include <grp.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "autoscale/v1/control.grpc.pb.h"
#include "daemon/api/convert.h"
#include "daemon/api/lock_file.h"
#include "net/listener.h"

namespace autoscale {
namespace {

constexpr int kMaxRequestBytes = 64 << 10;  // a request is a name and a sentence
constexpr int kMaxThreads = 16;             // calls at once; more are RESOURCE_EXHAUSTED
constexpr int kIdleMillis = 60'000;         // of a connection without a call, until it is closed
constexpr int kDefaultHistory = 20;         // records, when the caller does not say
constexpr int kMaxHistory = 1000;           // records, about 2 KiB each
constexpr size_t kMaxReasonBytes = 500;
constexpr double kLongestProtection = 365 * 86400;        // seconds
constexpr auto kShutdownGrace = std::chrono::seconds(1);  // for calls under way, then cancelled

// Metadata by which a client tells a failure the daemon answered from one of the transport.
constexpr const char* kErrorKey = "autoscale-error";

std::string ErrnoText(int code) { return std::generic_category().message(code); }

grpc::Status Refuse(grpc::ServerContext* context, const Error& error) {
  context->AddTrailingMetadata(kErrorKey, "1");
  return ToGrpc(error);
}

grpc::Status Answer(grpc::ServerContext* context, const Status& status) {
  return status ? grpc::Status::OK : Refuse(context, status.error());
}

Status CheckName(const std::string& service) {
  if (service.empty()) return Error{ErrorKind::kInvalid, "name a service"};
  return Ok{};
}

Status CheckReason(const std::string& reason) {
  if (reason.size() <= kMaxReasonBytes) return Ok{};
  return Error{ErrorKind::kInvalid, "the reason has " + std::to_string(reason.size()) +
                                        " bytes; at most " + std::to_string(kMaxReasonBytes) +
                                        " are kept"};
}

class ControlService final : public v1::Control::Service {
 public:
  explicit ControlService(ControlSurface& surface) : surface_(surface) {}

  grpc::Status GetServices(grpc::ServerContext* context, const v1::GetServicesRequest* request,
                           v1::GetServicesResponse* response) override {
    auto views = surface_.ReadServices(
        request->service().empty() ? std::nullopt : std::optional(request->service()));
    if (!views) return Refuse(context, views.error());
    for (const ServiceView& view : *views) *response->add_services() = ToProto(view);
    return grpc::Status::OK;
  }

  grpc::Status Explain(grpc::ServerContext* context, const v1::ExplainRequest* request,
                       v1::ExplainResponse* response) override {
    if (request->what_case() == v1::ExplainRequest::WHAT_NOT_SET ||
        (request->has_service() && request->service().empty())) {
      return Refuse(context, {ErrorKind::kInvalid, "name a service or a decision"});
    }
    auto record = request->has_service() ? surface_.Explain(request->service())
                                         : surface_.ExplainDecision(request->decision_id());
    if (!record) return Refuse(context, record.error());
    *response->mutable_record() = ToProto(*record);
    return grpc::Status::OK;
  }

  grpc::Status GetInputs(grpc::ServerContext* context, const v1::GetInputsRequest* request,
                         v1::GetInputsResponse* response) override {
    if (request->what_case() == v1::GetInputsRequest::WHAT_NOT_SET ||
        (request->has_service() && request->service().empty())) {
      return Refuse(context, {ErrorKind::kInvalid, "name a service or a decision"});
    }
    auto record = request->has_service() ? surface_.Inputs(request->service())
                                         : surface_.InputsOfDecision(request->decision_id());
    if (!record) return Refuse(context, record.error());
    response->set_record(ToJson(*record).dump());
    if (!record->inputs) return grpc::Status::OK;
    response->set_inputs(Encode(*record->inputs));
    const Basis& basis = record->inputs->basis;
    if (!basis.rules) return grpc::Status::OK;
    response->set_basis(Encode(basis));
    response->set_source(EncodeSource(basis));
    return grpc::Status::OK;
  }

  grpc::Status GetShadow(grpc::ServerContext* context, const v1::GetShadowRequest* request,
                         v1::GetShadowResponse* response) override {
    if (const Status named = CheckName(request->service()); !named) return Answer(context, named);
    auto view = surface_.ReadShadow(request->service());
    if (!view) return Refuse(context, view.error());
    *response->mutable_shadow() = ToProto(*view);
    return grpc::Status::OK;
  }

  grpc::Status History(grpc::ServerContext* context, const v1::HistoryRequest* request,
                       v1::HistoryResponse* response) override {
    const int limit = request->limit() == 0 ? kDefaultHistory : request->limit();
    if (limit < 1 || limit > kMaxHistory) {
      return Refuse(context,
                    {ErrorKind::kInvalid, "limit is " + std::to_string(limit) +
                                              "; it must be 1 to " + std::to_string(kMaxHistory)});
    }
    auto records = surface_.History(request->service(), limit);
    if (!records) return Refuse(context, records.error());
    for (const DecisionRecord& record : *records) *response->add_records() = ToProto(record);
    return grpc::Status::OK;
  }

  grpc::Status Pause(grpc::ServerContext* context, const v1::PauseRequest* request,
                     v1::PauseResponse*) override {
    if (const Status named = CheckName(request->service()); !named) return Answer(context, named);
    if (const Status fits = CheckReason(request->reason()); !fits) return Answer(context, fits);
    return Answer(context, surface_.Pause(request->service(), request->reason()));
  }

  grpc::Status Resume(grpc::ServerContext* context, const v1::ResumeRequest* request,
                      v1::ResumeResponse*) override {
    if (const Status named = CheckName(request->service()); !named) return Answer(context, named);
    return Answer(context, surface_.Resume(request->service()));
  }

  grpc::Status Protect(grpc::ServerContext* context, const v1::ProtectRequest* request,
                       v1::ProtectResponse*) override {
    if (const Status named = CheckName(request->service()); !named) return Answer(context, named);
    if (const Status fits = CheckReason(request->reason()); !fits) return Answer(context, fits);
    if (!(request->duration() >= 0 && request->duration() <= kLongestProtection)) {
      return Refuse(context, {ErrorKind::kInvalid, "protect for up to a year, or without an end"});
    }
    std::optional<Millis> duration;
    if (request->off()) {
      duration = Millis(0);
    } else if (request->duration() > 0) {
      duration = std::max(FromSeconds(request->duration()), Millis(1));
    }
    return Answer(context, surface_.Protect(request->service(), request->instance(), duration,
                                            request->reason()));
  }

  grpc::Status Reload(grpc::ServerContext* context, const v1::ReloadRequest* request,
                      v1::ReloadResponse* response) override {
    auto report = surface_.Reload(request->may_remove_all());
    if (!report) return Refuse(context, report.error());
    response->set_services(report->services);
    response->set_added(report->added);
    response->set_changed(report->changed);
    response->set_removed(report->removed);
    for (const std::string& warning : report->warnings) response->add_warnings(Utf8(warning));
    return grpc::Status::OK;
  }

  grpc::Status GetVersion(grpc::ServerContext*, const v1::GetVersionRequest*,
                          v1::GetVersionResponse* response) override {
    response->set_version(AUTOSCALED_VERSION);
    return grpc::Status::OK;
  }

 private:
  ControlSurface& surface_;
};

// -1: leave the group as it is.
Result<gid_t> GroupId(const std::string& name) {
  if (name.empty()) return static_cast<gid_t>(-1);
  std::vector<char> buffer(16 << 10);
  group entry{};
  group* found = nullptr;
  int code = 0;
  while ((code = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found)) ==
             ERANGE &&
         buffer.size() < (1u << 20)) {
    buffer.resize(buffer.size() * 2);
  }
  if (found == nullptr) {
    return Error{ErrorKind::kInvalid, "control.group: there is no group '" + name +
                                          "' here; create it (groupadd --system " + name +
                                          ") or name another"};
  }
  return found->gr_gid;
}

Status CheckPath(const std::string& path) {
  const size_t limit = sizeof(sockaddr_un{}.sun_path) - 1;
  if (path.empty() || path[0] != '/') {
    return Error{ErrorKind::kInvalid, "control.socket must be an absolute path"};
  }
  if (path.size() > limit) {
    return Error{ErrorKind::kInvalid, "control.socket has " + std::to_string(path.size()) +
                                          " bytes and a unix socket's path holds at most " +
                                          std::to_string(limit) + ": choose a shorter one"};
  }
  return Ok{};
}

// The socket's folder, made when only it is missing (a start by hand, without systemd's
// RuntimeDirectory).
Status MakeFolder(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/'));
  if (folder.empty() || mkdir(folder.c_str(), 0755) == 0 || errno == EEXIST) return Ok{};
  return Error{ErrorKind::kInvalid,
               "cannot create the socket's folder " + folder + ": " + ErrnoText(errno)};
}

// Under the lock nobody serves this path any more: a socket there is left over from a crash.
Status RemoveStaleSocket(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return Ok{};
  if (!S_ISSOCK(info.st_mode)) {
    return Error{ErrorKind::kInvalid,
                 path + " exists and is not a socket: move it away, or change control.socket"};
  }
  if (unlink(path.c_str()) != 0) {
    return Error{ErrorKind::kInvalid,
                 "cannot remove the stale socket " + path + ": " + ErrnoText(errno)};
  }
  return Ok{};
}

// Group before mode: for no moment may the former group enter.
Status SetAccess(const ControlSpec& spec, gid_t gid) {
  const char* path = spec.socket.c_str();
  if (gid != static_cast<gid_t>(-1) && chown(path, static_cast<uid_t>(-1), gid) != 0) {
    return Error{ErrorKind::kInvalid, "cannot give " + spec.socket + " to group '" + spec.group +
                                          "': " + ErrnoText(errno) +
                                          "; the daemon's user must be a member of it"};
  }
  if (chmod(path, spec.mode) != 0) {
    return Error{ErrorKind::kInternal,
                 "cannot set the mode of " + spec.socket + ": " + ErrnoText(errno)};
  }
  return Ok{};
}

// Without a port: connections come from the listener.
std::unique_ptr<grpc::Server> Serve(ControlService& service) {
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxThreads);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMillis);
  builder.SetResourceQuota(grpc::ResourceQuota("control").SetMaxThreads(kMaxThreads));
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 2);
  return builder.BuildAndStart();
}

}  // namespace

struct ControlServer::State {
  explicit State(ControlSurface& surface) : service(surface) {}
  ~State() {
    listener.reset();  // first: what it takes it hands to the server
    if (server) server->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  }

  std::unique_ptr<LockFile> lock;  // let go last
  ControlService service;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<Listener> listener;
};

Result<std::unique_ptr<ControlServer>> ControlServer::Start(const ControlSpec& spec,
                                                            ControlSurface& surface) {
  auto gid = GroupId(spec.group);
  if (!gid) return gid.error();
  for (auto* prepare : {CheckPath, MakeFolder}) {
    if (Status ready = prepare(spec.socket); !ready) return ready.error();
  }
  auto lock = LockFile::Take(spec.socket + ".lock");
  if (!lock) return lock.error();
  if (Status removed = RemoveStaleSocket(spec.socket); !removed) return removed.error();

  auto state = std::make_unique<State>(surface);
  state->lock = std::move(lock).value();
  state->server = Serve(state->service);
  if (!state->server) return Error{ErrorKind::kInternal, "gRPC does not start"};
  auto listener = Listener::AtPath(spec.socket);
  if (!listener) return listener.error();
  state->listener = std::move(listener).value();
  if (Status set = SetAccess(spec, *gid); !set) return set.error();
  const Status started = state->listener->Start([server = state->server.get()](int connection) {
    grpc::AddInsecureChannelFromFd(server, connection);
  });
  if (!started) return started.error();
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(state)));
}

ControlServer::ControlServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
ControlServer::~ControlServer() = default;

}  // namespace autoscale
