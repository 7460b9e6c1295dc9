// Many Deployments of a real API server, and how little is asked for them.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "tests/real/kubernetes_fixture.h"

namespace autoscale {
namespace {

// AUTOSCALED_KUBERNETES_MANY: another number of Deployments, for measurements.
int Many() {
  const char* named = std::getenv("AUTOSCALED_KUBERNETES_MANY");
  return named != nullptr ? std::max(20, std::atoi(named)) : 1000;
}
constexpr int kPage = 200;  // of a list
constexpr int kTicks = 10;
constexpr const char* kInterval = "2s";
constexpr std::chrono::seconds kTicksPatience{300};

class RealKubernetesMany : public KubernetesFixture {
 protected:
  static std::string Name(int i) { return "web-" + std::to_string(i); }
  // Each at one replica, which nobody makes a pod of: what is counted here are requests.
  void CreateThem(int count) const {
    const Json labels{{"app", "many"}};
    Json deployment{
        {"spec",
         {{"replicas", 1},
          {"paused", true},
          {"selector", {{"matchLabels", labels}}},
          {"template",
           {{"metadata", {{"labels", labels}}},
            {"spec", {{"containers", {{{"name", "web"}, {"image", "example.com/web"}}}}}}}}}}};
    std::vector<std::thread> threads;
    for (int first = 0; first < 4; ++first) {
      threads.emplace_back([this, first, count, deployment]() mutable {
        for (int i = first; i < count; i += 4) {
          deployment["metadata"]["name"] = Name(i);
          admin().Create(PathOf("Deployment"), deployment);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  // Seconds of processor time that the daemon has used, and the memory it has now, in MiB.
  double Cpu() {
    std::istringstream fields(ReadWhole("/proc/" + std::to_string(rig_.daemon().pid()) + "/stat"));
    std::string skipped;
    for (int i = 0; i < 13; ++i) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  double Memory() {
    std::istringstream fields(ReadWhole("/proc/" + std::to_string(rig_.daemon().pid()) + "/statm"));
    double all = 0, resident = 0;
    fields >> all >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
  }
  [[nodiscard]] double Ticks() const { return rig_.Metric("autoscaled_ticks_total"); }
  // Seldom asked: /metrics of so many services is long, and would be most of what is measured.
  bool AwaitTicks(double ticks) const {
    return Eventually(
        [&] {
          if (Ticks() >= ticks) return true;
          std::this_thread::sleep_for(std::chrono::seconds(2));
          return false;
        },
        kTicksPatience);
  }
};

TEST_F(RealKubernetesMany, TheyAreOneListAndOneWatch) {
  const int count = Many();
  Grant();
  CreateThem(count);
  interval_ = kInterval;
  for (int i = 0; i < count; ++i) {
    WriteService(Name(i));
    Load(Name(i), 1);
  }
  rig_.Start();
  ASSERT_TRUE(AwaitTicks(1));
  const double ticks = Ticks(), cpu = Cpu();
  ASSERT_TRUE(AwaitTicks(ticks + kTicks));
  std::printf("deployments=%d cpu_us_per_service_and_tick=%.1f resident_mib=%.0f\n", count,
              (Cpu() - cpu) / (Ticks() - ticks) / count * 1e6, Memory());
  for (int i = 0; i < 10; ++i) Load(Name(i), 3);
  for (int i = 0; i < 10; ++i) Await("Deployment", Name(i), 3);

  const size_t lists = Asked("list", "deployments").size();
  const size_t gets = Asked("get", "deployments").size() + Asked("get", "deployments/scale").size();
  std::printf("lists=%zu watches_that_ended=%zu gets=%zu patches=%zu\n", lists,
              Asked("watch", "deployments").size(), gets, Set().size());
  EXPECT_EQ(lists, static_cast<size_t>((count + kPage - 1) / kPage));
  EXPECT_EQ(gets, 0u);
  EXPECT_EQ(Set(), std::vector(10, 3));
}

}  // namespace
}  // namespace autoscale
