// FakeRuntimeApi: HAProxy's stats socket, as far as the gateway uses it: keeps servers of backends,
// records what changed them, and misbehaves as HAProxy will not.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace autoscale {

// Every method may be called from any thread.
class FakeRuntimeApi {
 public:
  enum class Mood { kFine, kHangs, kDrops, kHalfAnswers, kGarbage, kEndless };
  struct Server {
    int id = 0;
    std::string host;
    int port = 0;
    int weight = 1;
    int admin = 1;  // bits of srv_admin_state: 1 maintenance, 8 drain
    int served = 0;
    int queued = 0;
  };
  using Servers = std::map<std::string, Server>;

  // Listens at a unix socket of its own, and has these backends, without servers.
  explicit FakeRuntimeApi(const std::vector<std::string>& backends);
  ~FakeRuntimeApi();
  FakeRuntimeApi(const FakeRuntimeApi&) = delete;
  FakeRuntimeApi& operator=(const FakeRuntimeApi&) = delete;

  [[nodiscard]] const std::string& socket() const { return path_; }
  void Be(Mood mood) { mood_ = mood; }
  void SetUptime(int seconds) { uptime_ = seconds; }
  // As a reload: servers are gone.
  void Forget();
  // As a reload just before the next command that begins so: servers are gone, the uptime is 0.
  void ReloadAt(const std::string& beginning);
  // As if they were there already, by the configuration or by an earlier push.
  void Put(const std::string& backend, const std::string& name, Server server);
  void Load(const std::string& backend, const std::string& name, int served, int queued = 0);
  // Commands that begin so are answered with the text, and not run.
  void Refuse(const std::string& beginning, const std::string& text);
  // Closes the connection after so many more changes, without an answer.
  void DieAfter(int changes);

  [[nodiscard]] Servers Of(const std::string& backend) const;
  // The commands that change something, in their order, those refused included.
  [[nodiscard]] std::vector<std::string> history() const;
  void ClearHistory();
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void Serve();
  void Converse(int connection);
  bool Run(const std::string& command, bool& numbers, std::string& answer);
  std::string Change(const std::string& command, bool numbers);
  std::string Set(const std::vector<std::string>& words, Servers& servers, bool numbers);
  [[nodiscard]] std::string ShowServers(const std::string& backend) const;
  [[nodiscard]] std::string ShowStat(int id) const;

  std::string path_;
  std::vector<std::string> names_;  // of backends; their ids are 3, 4, ...
  mutable std::mutex mutex_;
  std::map<std::string, Servers> backends_;
  std::map<std::string, std::string> refusals_;
  std::vector<std::string> history_;
  std::string reloads_at_;
  int dies_after_ = -1;
  std::atomic<Mood> mood_ = Mood::kFine;
  std::atomic<int> uptime_{86'400};
  std::atomic<int> connections_{0};
  std::atomic<bool> stops_{false};
  int listener_ = -1;
  std::vector<int> hung_;
  std::thread thread_;
};

}  // namespace autoscale
