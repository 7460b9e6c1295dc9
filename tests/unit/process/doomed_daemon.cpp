// STATE_DIR PORT PROGRAM [ARGUMENT...]: launches the instance "orphan" of the service "web" and
// dies by SIGKILL in the same moment, most likely before the launcher has written its record.
#include <csignal>
#include <cstdlib>

#include "providers/process/process_provider.h"

using autoscale::EventLoop;
using autoscale::HttpClient;

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  EventLoop loop;
  HttpClient http(loop, 4);
  auto provider = autoscale::CreateProcessProvider({loop, http, argv[1]});
  if (!provider.ok()) return 3;
  auto target = std::make_shared<autoscale::ProcessTarget>();
  target->first_port = target->last_port = std::atoi(argv[2]);
  target->command.assign(argv + 3, argv + argc);
  target->directory = "/";
  (*provider)->Launch({"web", target}, {"orphan"},
                      [](const std::vector<autoscale::Status>&) { std::raise(SIGKILL); });
  loop.Run();
}
