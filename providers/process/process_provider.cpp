#include "providers/process/process_provider.h"

#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "net/fault_point.h"
#include "providers/local/ports.h"
#include "providers/process/instance.h"
#include "providers/process/launch.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

// Folders of instances that were forgotten, kept for whoever wants to know what happened.
constexpr size_t kKeptFolders = 5;
// Between looks at the size of output files.
constexpr Millis kRotateEvery{1000};

// Whether a folder can carry the name; ".gone" and the like are not instances.
bool IsName(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos && name.size() <= 200;
}

// The folders in a folder that bear names of services or instances.
Result<std::vector<std::string>> Names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code fault;
  for (fs::directory_iterator it(folder, fault), end; !fault && it != end; it.increment(fault)) {
    std::error_code ignored;
    std::string name = it->path().filename();
    if (it->is_directory(ignored) && IsName(name)) names.push_back(std::move(name));
  }
  if (!fault) return names;
  return Error{ErrorKind::kUnavailable, "cannot read " + folder.string() + ": " + fault.message()};
}

// The instances of earlier daemons, as (service, id). None may be overlooked: it would be taken for
// lost, and another one started beside it.
Result<std::vector<std::pair<std::string, std::string>>> FindAll(const fs::path& state_dir) {
  std::vector<std::pair<std::string, std::string>> all;
  auto services = Names(state_dir);
  if (!services.ok()) return std::move(services).error();
  for (const std::string& service : *services) {
    auto ids = Names(state_dir / service);
    if (!ids.ok()) return std::move(ids).error();
    for (std::string& id : *ids) {
      const InstanceFolder folder((state_dir / service / id).string());
      if (Status readable = folder.CheckReadable(); !readable) return std::move(readable).error();
      all.emplace_back(service, std::move(id));
    }
  }
  return all;
}

class ProcessProvider final : public Provider {
 public:
  // Takes up the instances that are found.
  ProcessProvider(const ProviderContext& context, std::string state_dir,
                  const std::vector<std::pair<std::string, std::string>>& found)
      : loop_(context.loop),
        http_(context.http),
        state_dir_(std::move(state_dir)),
        launcher_(DefaultLauncherPath()) {
    for (const auto& [service, id] : found) Make(service, id).Adopt();
    RotateOutputs();
  }
  ~ProcessProvider() override { loop_.Cancel(rotate_timer_); }

  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override {
    std::vector<Observation> observations;
    for (const auto& ref : targets) {
      Observation& observation = observations.emplace_back();
      observation.service = ref.service;
      const auto target = std::dynamic_pointer_cast<const ProcessTarget>(ref.target);
      for (auto& [id, instance] : instances_[ref.service]) {
        if (target) instance->SetTarget(target);
        observation.instances.push_back(instance->Observed());
      }
    }
    loop_.Post([done = std::move(done), answer = std::move(observations)]() mutable {
      done(std::move(answer));
    });
  }

  void Launch(TargetRef target, std::vector<std::string> ids,
              std::function<void(std::vector<Status>)> done) override {
    std::vector<Status> answers;
    answers.reserve(ids.size());
    for (const auto& id : ids) answers.push_back(LaunchOne(target, id));
    Answer(std::move(answers), std::move(done));
  }

  void Terminate(TargetRef target, std::vector<std::string> ids,
                 std::function<void(std::vector<Status>)> done) override {
    const auto options = std::dynamic_pointer_cast<const ProcessTarget>(target.target);
    auto& instances = instances_[target.service];
    for (const auto& id : ids) {
      const auto instance = instances.find(id);
      if (instance == instances.end()) continue;
      if (options) instance->second->SetTarget(options);
      instance->second->Stop();
    }
    Answer(std::vector<Status>(ids.size(), Ok{}), std::move(done));
  }

  void Forget(const std::string& service, const std::string& id) override {
    auto& instances = instances_[service];
    const auto instance = instances.find(id);
    if (instance == instances.end() || !instance->second->gone()) return;
    instance->second->folder().Retire(kKeptFolders);
    ReachFaultPoint(FaultPoint::kRetired);
    instances.erase(instance);
  }

  void ReadUsage(std::function<void(std::vector<InstanceUsage>)> done) override {
    std::vector<InstanceUsage> usages;
    for (auto& [service, instances] : instances_) {
      for (auto& [id, instance] : instances) {
        if (!instance->gone()) usages.push_back(instance->Usage());
      }
    }
    loop_.Post([done = std::move(done), usages = std::move(usages)]() mutable {
      done(std::move(usages));
    });
  }

  void SetListener(InstanceListener listener) override { listener_ = std::move(listener); }

 private:
  ProcessInstance& Make(const std::string& service, const std::string& id) {
    auto& slot = instances_[service][id];
    slot = std::make_unique<ProcessInstance>(
        ProcessInstance::Surroundings{
            .loop = loop_,
            .http = http_,
            .changed = [this](const ProcessInstance& changed) { Tell(changed); }},
        service, id, InstanceFolder((fs::path(state_dir_) / service / id).string()));
    return *slot;
  }

  Status LaunchOne(const TargetRef& ref, const std::string& id) {
    const auto target = std::dynamic_pointer_cast<const ProcessTarget>(ref.target);
    if (!target || !IsName(id) || !IsName(ref.service)) {
      return Error{ErrorKind::kInvalid, "'" + ref.service + "/" + id + "' cannot be launched"};
    }
    auto& instances = instances_[ref.service];
    if (instances.contains(id)) return Ok{};
    auto port = ChoosePort(target->host, target->first_port, target->last_port, ClaimedPorts());
    if (!port.ok()) return std::move(port).error();
    Status launched = Make(ref.service, id).Launch(launcher_, target, *port);
    if (!launched.ok()) instances.erase(id);
    return launched;
  }

  // Of all services: their ranges may overlap, and a slow starter has a port that still looks free.
  [[nodiscard]] std::set<int> ClaimedPorts() const {
    std::set<int> ports;
    for (const auto& [service, instances] : instances_) {
      for (const auto& [id, instance] : instances) {
        if (!instance->gone()) ports.insert(instance->port());
      }
    }
    return ports;
  }

  void Answer(std::vector<Status> answers, std::function<void(std::vector<Status>)> done) {
    loop_.Post([done = std::move(done), answers = std::move(answers)]() mutable {
      done(std::move(answers));
    });
  }

  // By a task of its own: the listener may call any method.
  void Tell(const ProcessInstance& instance) {
    loop_.Post([this, alive = std::weak_ptr<int>(alive_), service = instance.service(),
                observed = instance.Observed()] {
      if (!alive.expired() && listener_) listener_(service, observed);
    });
  }

  void RotateOutputs() {
    for (const auto& [service, instances] : instances_) {
      for (const auto& [id, instance] : instances) instance->RotateOutput();
    }
    rotate_timer_ = loop_.After(kRotateEvery, [this] { RotateOutputs(); });
  }

  EventLoop& loop_;
  HttpClient& http_;
  const std::string state_dir_;
  const std::string launcher_;
  InstanceListener listener_;
  EventLoop::TimerId rotate_timer_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
  // By service, then id.
  std::map<std::string, std::map<std::string, std::unique_ptr<ProcessInstance>>> instances_;
};

}  // namespace

Result<std::unique_ptr<Provider>> CreateProcessProvider(const ProviderContext& context) {
  std::error_code fault;
  const fs::path state_dir = fs::absolute(context.state_dir, fault);
  fs::create_directories(state_dir, fault);
  if (fault) {
    return Error{ErrorKind::kUnavailable, "provider process: cannot make the folder " +
                                              state_dir.string() + ": " + fault.message()};
  }
  const std::string launcher = DefaultLauncherPath();
  if (access(launcher.c_str(), X_OK) != 0) {
    return Error{ErrorKind::kNotFound,
                 "provider process: there is no " + launcher + ": is the installation complete?"};
  }
  auto found = FindAll(state_dir);
  if (!found.ok()) {
    return Error{ErrorKind::kUnavailable,
                 "provider process: " + found.error().message +
                     "; what may run there must not be taken for lost. Let the daemon's user read "
                     "all of " +
                     state_dir.string() + ", and start it again"};
  }
  return std::unique_ptr<Provider>(
      std::make_unique<ProcessProvider>(context, state_dir.string(), *found));
}

}  // namespace autoscale
