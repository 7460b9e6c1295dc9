// Moto: a real moto_server, which keeps groups and instances as AWS does, and a proxy before it
// that has faults.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/http_client.h"
#include "providers/aws/answer.h"
#include "tests/fakes/http_server.h"
#include "tests/integration/child.h"

namespace autoscale {

// The program: $AUTOSCALE_PARTS/moto/bin/moto_server, else build/parts/moto's of the source tree.
// Nothing: skip, and say that tests/real/fetch_moto gets it.
std::optional<std::string> FindMoto();

// One request, waited for.
Result<HttpResponse> AskAndWait(HttpRequest request);

class Moto {
 public:
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  // Starts it and waits until it answers.
  explicit Moto(const std::string& program);
  ~Moto();
  Moto(const Moto&) = delete;
  Moto& operator=(const Moto&) = delete;

  [[nodiscard]] std::string Url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // Forgets all groups and instances.
  void Reset();
  void MakeGroup(const std::string& name, int desired, int min = 0, int max = 20);
  // Any action of Auto Scaling, EC2 or IAM, as somebody else would call it; fails the test when it
  // fails.
  std::string Call(const std::string& service, const std::string& action,
                   const Parameters& parameters);
  aws::Group Group(const std::string& name);
  // Of those in service.
  std::set<std::string> Ids(const std::string& name);
  // Private addresses of those in service.
  std::set<std::string> Addresses(const std::string& name);

 private:
  int port_;
  std::string output_;
  std::unique_ptr<Child> child_;
};

// Hands requests on and answers back, but for what it is told. Any thread may call.
class MotoProxy {
 public:
  explicit MotoProxy(const Moto& moto);

  [[nodiscard]] std::string Url() const { return server_.Url(); }
  // The next calls of an action are answered so, one each. `done`: they reach moto all the same.
  void Fail(const std::string& action, FakeAnswer answer, int times = 1, bool done = false);
  // Calls that reached moto.
  [[nodiscard]] int Done(const std::string& action) const;
  [[nodiscard]] int Asked(const std::string& action) const;

 private:
  struct Planned {
    FakeAnswer answer;
    bool done;
  };
  FakeAnswer Answer(const FakeRequest& request);

  const std::string upstream_;
  mutable std::mutex mutex_;
  std::map<std::string, std::deque<Planned>> planned_;
  std::map<std::string, int> asked_, done_;
  FakeHttpServer server_;  // last: its threads call Answer
};

}  // namespace autoscale
