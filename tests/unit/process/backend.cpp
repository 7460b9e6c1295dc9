// A backend for tests: serves GET /healthz on 127.0.0.1, and misbehaves on request.
//
//   --port N          listen here
//   --sick-file PATH  answer 503 while this file exists
//   --ignore-term     as it says
//   --fork            leave the work to a child, as servers with workers do
//   --burn            use a little CPU first
//   --exit N          complain and exit at once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

void Burn() {
  for (rusage used{}; used.ru_utime.tv_sec == 0 && used.ru_utime.tv_usec < 60'000;) {
    getrusage(RUSAGE_SELF, &used);
  }
}

int Serve(int port, const std::string& sick_file) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 16) != 0) {
    std::perror("listen");
    return 1;
  }
  for (;;) {
    const int client = accept(listener, nullptr, nullptr);
    if (client < 0) continue;
    char request[4096];
    const bool sick = !sick_file.empty() && access(sick_file.c_str(), F_OK) == 0;
    const std::string_view answer =
        sick ? "HTTP/1.1 503 Sick\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
             : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if (read(client, request, sizeof request) > 0 &&
        write(client, answer.data(), answer.size()) < 0) {
      std::perror("write");
    }
    close(client);
  }
}

}  // namespace

int main(int argc, char** argv) {
  int port = 0;
  bool forks = false;
  std::string sick_file;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (option == "--port") port = std::atoi(value);
    if (option == "--sick-file") sick_file = value;
    if (option == "--ignore-term") std::signal(SIGTERM, SIG_IGN);
    if (option == "--burn") Burn();
    if (option == "--fork") forks = true;
    if (option == "--exit") {
      std::fprintf(stderr, "first line\nno licence found\n");
      return std::atoi(value);
    }
  }
  std::signal(SIGPIPE, SIG_IGN);
  if (forks && fork() > 0) {
    for (;;) pause();
  }
  return Serve(port, sick_file);
}
