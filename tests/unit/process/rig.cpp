#include "tests/unit/process/rig.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>

#include "engine/model/file.h"
#include "providers/local/ports.h"
#include "providers/process/identity.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::seconds kPatience{20};  // only ever waited for when a test fails

std::string MakeRoot() {
  std::string root = (fs::temp_directory_path() / "autoscaled-process-XXXXXX").string();
  return mkdtemp(root.data()) == nullptr ? "" : root;
}

// The first of a few free ports. Starts where other tests that run now do not, below the ports that
// clients are given.
int FreePorts() {
  constexpr int kNeeded = 5, kStep = 10, kRanges = 900;
  for (int i = 0; i < kRanges; ++i) {
    const int first = 22000 + (getpid() * 7 + i) % kRanges * kStep;
    bool free = true;
    for (int port = first; port < first + kNeeded; ++port) {
      free = free && ChoosePort("127.0.0.1", port, port, {}).ok();
    }
    if (free) return first;
  }
  return 0;
}

}  // namespace

std::string BesideTest(const std::string& program) {
  return fs::read_symlink("/proc/self/exe").parent_path() / program;
}

std::string ReadWhole(const std::string& path) {
  const auto text = ReadFile(path);
  return text.ok() ? *text : "";
}

bool Lives(pid_t pid) {
  const std::string stat = ReadWhole("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = stat.rfind(") ");
  return name_end != std::string::npos && stat[name_end + 2] != 'Z' && stat[name_end + 2] != 'X';
}

bool Eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    if (holds()) return true;
    std::this_thread::yield();
  }
  return holds();
}

Rig::Rig() : root_(MakeRoot()), first_port_(FreePorts()) {
  thread_ = std::thread([this] { loop_.Run(); });
  StartProvider();
}

Rig::~Rig() {
  StopProvider();
  loop_.Stop();
  thread_.join();
  std::error_code fault;
  for (fs::recursive_directory_iterator it(root_, fault), end; !fault && it != end;
       it.increment(fault)) {
    if (it->path().filename() != "record") continue;
    const auto identity = ParseProcessIdentity(ReadWhole(it->path()));
    if (!identity) continue;
    const auto process = OpenProcess(*identity);
    if (!process || !*process) continue;
    kill(-identity->pid, SIGKILL);
    // Its port is to be free for the next test; another daemon's child is waited for by nobody
    // here.
    if (waitpid(identity->pid, nullptr, 0) < 0) Eventually([&] { return !Lives(identity->pid); });
  }
  fs::remove_all(root_, fault);
}

void Rig::StartProvider() {
  std::promise<std::string> started;
  loop_.Post([&] {
    http_ = std::make_unique<HttpClient>(loop_, 4);
    auto created = CreateProcessProvider({loop_, *http_, root_ + "/state"});
    if (!created.ok()) return started.set_value(created.error().message);
    provider_ = std::move(created).value();
    provider_->SetListener([this](const std::string& service, const ObservedInstance& instance) {
      const std::lock_guard lock(mutex_);
      reports_.emplace_back(service, instance);
      told_.notify_all();
    });
    started.set_value("");
  });
  ASSERT_EQ(started.get_future().get(), "");
}

void Rig::StopProvider() {
  std::promise<void> stopped;
  loop_.Post([&] {
    provider_.reset();
    http_.reset();
    stopped.set_value();
  });
  stopped.get_future().get();
}

std::shared_ptr<ProcessTarget> Rig::Target(std::vector<std::string> options) const {
  auto target = std::make_shared<ProcessTarget>();
  target->command = {BesideTest("process_backend")};
  target->command.insert(target->command.end(), options.begin(), options.end());
  target->command.insert(target->command.end(), {"--port", "{port}"});
  target->directory = root_;
  target->first_port = first_port_;
  target->last_port = first_port_ + 9;
  target->health.path = "/healthz";
  target->health.interval = Millis(50);
  target->health.timeout = Millis(5000);
  return target;
}

std::string Rig::Folder(const std::string& id, const std::string& service) const {
  return root_ + "/state/" + service + "/" + id;
}

std::string Rig::File(const std::string& id, const std::string& name,
                      const std::string& service) const {
  return ReadWhole(Folder(id, service) + "/" + name);
}

pid_t Rig::Pid(const std::string& id, const std::string& service) const {
  const auto identity = ParseProcessIdentity(File(id, "record", service));
  return identity ? identity->pid : 0;
}

template <typename T>
T Rig::Call(std::function<void(Provider&, std::function<void(T)>)> call) {
  std::promise<T> answer;
  loop_.Post([&] { call(*provider_, [&](T value) { answer.set_value(std::move(value)); }); });
  return answer.get_future().get();
}

std::vector<Status> Rig::Launch(std::shared_ptr<const ProviderTarget> target,
                                std::vector<std::string> ids, const std::string& service) {
  return Call<std::vector<Status>>([&](Provider& provider, auto done) {
    provider.Launch({service, target}, ids, std::move(done));
  });
}

void Rig::Terminate(std::shared_ptr<const ProviderTarget> target, std::vector<std::string> ids,
                    const std::string& service) {
  const auto answers = Call<std::vector<Status>>([&](Provider& provider, auto done) {
    provider.Terminate({service, target}, ids, std::move(done));
  });
  EXPECT_EQ(answers.size(), ids.size());
  for (const auto& answer : answers) EXPECT_TRUE(answer.ok());
}

std::vector<ObservedInstance> Rig::Observe(std::shared_ptr<const ProviderTarget> target,
                                           const std::string& service) {
  using Answer = std::vector<Observation>;
  const Answer answer = Call<Answer>([&](Provider& provider, auto done) {
    provider.Observe({{service, target}}, [done = std::move(done)](Result<Answer> result) {
      done(result.ok() ? std::move(result).value() : Answer());
    });
  });
  EXPECT_EQ(answer.size(), 1u);
  return answer.empty() ? std::vector<ObservedInstance>() : answer.front().instances;
}

void Rig::Forget(const std::string& id, const std::string& service) {
  Call<bool>([&](Provider& provider, auto done) {
    provider.Forget(service, id);
    done(true);
  });
}

std::vector<InstanceUsage> Rig::ReadUsage() {
  return Call<std::vector<InstanceUsage>>(
      [&](Provider& provider, auto done) { provider.ReadUsage(std::move(done)); });
}

ObservedInstance Rig::Await(const std::string& id, InstanceState state,
                            const std::string& service) {
  std::unique_lock lock(mutex_);
  ObservedInstance found;
  const bool came = told_.wait_for(lock, kPatience, [&] {
    for (auto it = reports_.begin(); it != reports_.end(); ++it) {
      if (it->first != service || it->second.id != id || it->second.state != state) continue;
      found = it->second;
      reports_.erase(it);
      return true;
    }
    return false;
  });
  EXPECT_TRUE(came) << service << "/" << id << " never became " << ToString(state);
  return found;
}

}  // namespace autoscale
