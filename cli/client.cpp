#include "cli/client.h"

#include <grp.h>
#include <grpcpp/create_channel_posix.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "config/section.h"

namespace autoscale::cli {
namespace {

constexpr int kMaxAnswerBytes = 256 << 20;  // 100,000 services with their instances fit

std::string GroupName(gid_t gid) {
  std::array<char, 16384> buffer{};
  group entry{};
  group* found = nullptr;
  getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->gr_name : std::to_string(gid);
}

std::string Denied(const std::string& socket) {
  struct stat info {};
  if (stat(socket.c_str(), &info) != 0) {
    return "permission denied: you may not enter the folder of " + socket + "; try with sudo.";
  }
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", info.st_mode & 07777);
  const std::string text = "permission denied: " + socket + " (mode " + mode.data() + ")";
  const std::string group = GroupName(info.st_gid);
  if ((info.st_mode & S_IWGRP) == 0) {
    return text + " is open to its owner alone; try with sudo, or set control.mode and " +
           "control.group in the daemon's file.";
  }
  return text + " is open to group '" + group + "': try with sudo, or join it (usermod -aG " +
         group + " USER, then log in again).";
}

std::string WhyNot(const std::string& socket, int code) {
  switch (code) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
      return "no daemon listens on " + socket +
             ": is autoscaled running? Try `systemctl status autoscaled`, or give --socket PATH.";
    case EACCES:
    case EPERM:
      return Denied(socket);
    case EAGAIN:
      return "the daemon at " + socket + " has too many callers waiting; try again in a moment.";
    default:
      return "cannot connect to " + socket + ": " + std::generic_category().message(code) + ".";
  }
}

}  // namespace

int Fail(const Context& context, int code, const std::string& message) {
  context.err << "autoscalectl: " << message << "\n";
  return code;
}

std::variant<std::shared_ptr<grpc::Channel>, Failure> Connect(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.empty() || socket.size() >= sizeof(address.sun_path)) {
    return Failure{kExitUsage, "--socket must be a path of 1 to " +
                                   std::to_string(sizeof(address.sun_path) - 1) + " bytes."};
  }
  std::memcpy(address.sun_path, socket.c_str(), socket.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Failure{kExitFailed, std::generic_category().message(errno)};
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int code = errno;
    close(fd);
    return Failure{kExitUnreachable, WhyNot(socket, code)};
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  return grpc::CreateCustomInsecureChannelFromFd("autoscaled", fd, arguments);  // owns fd
}

Failure Describe(const Context& context, const grpc::Status& status, bool daemon_answered) {
  if (daemon_answered) return {kExitFailed, Printable(status.error_message())};
  switch (status.error_code()) {
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {kExitUnreachable, "the daemon at " + context.socket + " did not answer within " +
                                    FormatDuration(context.timeout) +
                                    "; try again with a longer --timeout, or look at its log "
                                    "(journalctl -u autoscaled)."};
    case grpc::StatusCode::UNAVAILABLE:
      return {kExitUnreachable, "the connection to " + context.socket +
                                    " was lost: the daemon ended, or something else listens "
                                    "there. Try `systemctl status autoscaled`."};
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return {kExitFailed, "the daemon is at a limit (" + status.error_message() +
                               "); try again in a moment, or ask for less."};
    case grpc::StatusCode::UNIMPLEMENTED:
      return {kExitFailed,
              "the daemon does not know this request: it is of another version. Compare "
              "`autoscalectl version`."};
    default:
      return {kExitFailed, "the daemon failed: " + Printable(status.error_message())};
  }
}

TimePoint FromProto(const google::protobuf::Timestamp& t) {
  return TimePoint(std::chrono::seconds(t.seconds()) + Millis(t.nanos() / 1'000'000));
}

}  // namespace autoscale::cli
