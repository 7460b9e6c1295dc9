// ApiServer: as much of a Kubernetes API server as the provider asks of one: lists in pages,
// watches with history and its compaction, scales, merge-patches.
#pragma once

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/fakes/http_server.h"

namespace autoscale {

class ApiServer {
 public:
  using Json = nlohmann::json;

  explicit ApiServer(int port = 0);

  [[nodiscard]] FakeHttpServer& http() { return http_; }
  [[nodiscard]] std::string Url() const { return http_.Url(); }

  // Creates or replaces an object of a collection: "/apis/apps/v1/namespaces/shop/deployments".
  void Put(const std::string& collection, const std::string& name, Json object);
  void Delete(const std::string& collection, const std::string& name);
  [[nodiscard]] Json Get(const std::string& collection, const std::string& name);
  // As `kubectl scale`, or a controller writing a status.
  void Patch(const std::string& collection, const std::string& name, const Json& patch);

  // Every watch from before now is told 410, in its stream or, if `cut`, when it comes again.
  void Compact(bool in_stream);
  // Ends every watch, as a restart does.
  void CutWatches();
  void SendBookmarks();
  // Sends an event of its own to the watches of a collection.
  void Push(const std::string& collection, const std::string& type, const Json& object);
  // Answers so many requests of the method to paths that begin so; -1: all until Heal.
  void Fail(const std::string& method, const std::string& prefix, FakeAnswer answer, int times);
  void Heal();
  // Tokens that are known; empty: any.
  void Know(std::vector<std::string> tokens);
  void SetMinor(int minor) { minor_ = minor; }
  void DropCollection(const std::string& collection) { missing_.push_back(collection); }
  // Called after each accepted scale, before it is answered.
  std::function<void()> before_scale;

  // How many requests of the method came to paths that begin so (with their query).
  [[nodiscard]] int Count(const std::string& method, const std::string& prefix) const;

 private:
  struct Event {
    int version = 0;
    std::string collection, line;
  };
  struct Watch {
    std::string collection;
    std::shared_ptr<FakeStream> stream;
  };
  struct Fault {
    std::string method, prefix;
    FakeAnswer answer;
    int times = 0;
  };
  FakeAnswer Answer(const FakeRequest& request);
  std::optional<FakeAnswer> Broken(const FakeRequest& request);
  FakeAnswer List(const std::string& collection, const std::string& query);
  FakeAnswer StartWatch(const std::string& collection, const std::string& query);
  FakeAnswer Scale(const FakeRequest& request, const std::string& object_path);
  FakeAnswer PatchObject(const FakeRequest& request, const std::string& path);
  void Store(const std::string& collection, const std::string& name, Json object,
             const std::string& type);
  bool Split(const std::string& path, std::string& collection, std::string& name) const;

  std::recursive_mutex mutex_;  // before_scale comes back in
  std::map<std::string, std::map<std::string, Json>> objects_;
  std::vector<Event> history_;
  std::vector<Watch> watches_;
  std::vector<Fault> faults_;
  std::vector<std::string> tokens_, missing_;
  int version_ = 100;
  int compacted_ = 0;
  int minor_ = 28;
  FakeHttpServer http_;  // last: its threads use all the above
};

// Objects as controllers write them.
ApiServer::Json WorkloadJson(int replicas);
ApiServer::Json SliceJson(const std::string& service,
                          const std::vector<std::pair<std::string, bool>>& pods);
FakeAnswer Refusal(int status, const std::string& reason, const std::string& message);

}  // namespace autoscale
