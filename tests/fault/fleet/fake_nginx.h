// FakeNginx: the control server of a gateway, which keeps lists as nginx's Lua does and misbehaves
// as nginx will not.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/fakes/http_server.h"

namespace autoscale {

// Every method may be called from any thread.
class FakeNginx {
 public:
  enum class Mood {
    kFine,
    kAnswers500,
    kGarbage,
    kHalfAnswer,
    kHangs,
    kFindsListsBad,
    kFindsListsLarge
  };
  struct Push {
    std::chrono::steady_clock::time_point at;
    std::string upstream;
    std::set<int> serving;  // ports
    bool taken = false;
  };

  FakeNginx();

  // Of a gateway's section: "type: nginx, address: ...".
  [[nodiscard]] std::string Section() const;
  void Be(Mood mood);
  // As one that was restarted without its state files.
  void Forget();
  // Makes it know a list of this version, empty.
  void Know(const std::string& upstream, uint64_t epoch, uint64_t sequence);
  // The ports that the upstream's list says serve.
  [[nodiscard]] std::set<int> Serving(const std::string& upstream) const;
  [[nodiscard]] nlohmann::json List(const std::string& upstream) const;
  // Every push that came, also those that were answered badly.
  [[nodiscard]] std::vector<Push> pushes() const;
  [[nodiscard]] size_t requests() const;

 private:
  FakeAnswer Answer(const FakeRequest& request);
  FakeAnswer Put(const std::string& upstream, const nlohmann::json& list);
  [[nodiscard]] FakeAnswer GetAll() const;

  mutable std::mutex mutex_;
  Mood mood_ = Mood::kFine;
  std::map<std::string, nlohmann::json> lists_;
  std::vector<Push> pushes_;
  size_t requests_ = 0;
  FakeHttpServer server_;  // last: its threads call Answer
};

}  // namespace autoscale
