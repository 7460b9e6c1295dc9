// A backend that serves GET on 127.0.0.1 and misbehaves as asked. In its folder the file
// `answer.PORT`, or else `answer`, says how it answers from now on; each request looks there anew.
//
//   --port N         listen here; must come first
//   --start HOW      exit (complain, status 3), crash, never (listens at nothing), background
//   (leave
//                    the work to a child in a session of its own, and exit), abandon (the same, and
//                    the child drops every descriptor and stays)
//   --answer HOW     if no file says: ok, 500, garbage, close, hang
//   --ignore-term    as it says
//   --helper         fork a child in a session of its own that shares the listener
//   --flood          write to standard output for ever
//   --show FILE      write there what was inherited
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace {

struct Options {
  int port = 0;
  std::string start;
  std::string answer = "ok";
  std::string show;
  bool helper = false;
  bool flood = false;
};

int Listen(int port) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 64) != 0) {
    std::perror("listen");
    std::exit(1);
  }
  return listener;
}

std::string AnswerNow(const Options& options) {
  for (const std::string& file :
       {"answer." + std::to_string(options.port), std::string("answer")}) {
    std::string how;
    if (std::ifstream(file) >> how) return how;
  }
  return options.answer;
}

// How it answers one client; true: the connection is to stay open, unanswered.
bool Answer(int client, const std::string& how) {
  char request[4096];
  if (how == "close") return false;
  if (read(client, request, sizeof request) <= 0) return false;
  if (how == "hang") return true;
  std::string_view text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
  if (how == "500") {
    text = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  } else if (how == "garbage") {
    text = "\x16\x03\x01 220 mail.example ESMTP\r\n";
  }
  if (send(client, text.data(), text.size(), MSG_NOSIGNAL) < 0) std::perror("send");
  return false;
}

[[noreturn]] void Serve(int listener, const Options& options) {
  int unanswered = -1;  // one at a time is enough
  for (;;) {
    const int client = accept(listener, nullptr, nullptr);
    if (client < 0) continue;
    if (!Answer(client, AnswerNow(options))) {
      close(client);
      continue;
    }
    if (unanswered >= 0) close(unanswered);
    unanswered = client;
  }
}

[[noreturn]] void Flood() {
  const std::string line(1023, 'x');
  for (;;) {
    std::puts(line.c_str());
    std::fflush(stdout);
    usleep(200);  // some megabytes a second
  }
}

void Show(const std::string& file) {
  std::ofstream out(file + ".new");
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed;
    out << "fd " << entry.path().filename().string() << " "
        << std::filesystem::read_symlink(entry.path(), closed).string() << "\n";
  }
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Sig") || line.starts_with("Umask")) out << line << "\n";
  }
  for (char** variable = environ; *variable != nullptr; ++variable)
    out << "env " << *variable << "\n";
  out << "leads " << (getpid() == getsid(0) && getpid() == getpgid(0)) << "\n";
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  out << "files " << files.rlim_cur << "\n";
  out.close();
  std::filesystem::rename(file + ".new", file);
}

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (option == "--port") options.port = std::atoi(value);
    if (option == "--start") options.start = value;
    if (option == "--answer") options.answer = value;
    if (option == "--show") options.show = value;
    if (option == "--ignore-term") std::signal(SIGTERM, SIG_IGN);
    if (option == "--helper") options.helper = true;
    if (option == "--flood") options.flood = true;
  }
  return options;
}

void Begin(const std::string& how) {
  if (how == "exit") {
    std::fprintf(stderr, "reading the licence\nno licence found\n");
    std::exit(3);
  }
  if (how == "crash") {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer would report it and exit
    raise(SIGSEGV);
  }
  if (how == "never") {
    for (;;) pause();
  }
}

// Returns in a child in a session of its own; the parent exits when that has happened.
void LeaveToChild(int listener, bool drop_all) {
  int done[2];
  if (pipe(done) != 0) std::exit(1);
  if (fork() > 0) {
    close(done[1]);
    char none;
    std::exit(read(done[0], &none, 1) == 0 ? 0 : 1);
  }
  setsid();
  close(done[0]);
  if (drop_all) {
    for (int fd = 0; fd < 1024; ++fd) {
      if (fd != listener) close(fd);
    }
  }
  close(done[1]);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  if (!options.show.empty()) Show(options.show);
  Begin(options.start);
  const int listener = Listen(options.port);
  if (options.start == "background" || options.start == "abandon") {
    LeaveToChild(listener, options.start == "abandon");
  }
  if (options.helper && fork() == 0) {
    setsid();
    Serve(listener, options);
  }
  if (options.flood && fork() == 0) Flood();
  Serve(listener, options);
}
