// A real nginx that hangs, is killed, restarted with lost or old lists, reloaded: the daemon puts
// it right, and no request fails while nginx itself is there. Skipped when there is no nginx, see
// parts.h.
#include <atomic>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <optional>
#include <thread>

#include "tests/integration/daemon_rig.h"
#include "tests/real/nginx_process.h"
#include "tests/real/parts.h"
#include "tests/signal_one.h"
#include "tests/unit/nginx/gateway_on_loop.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

class NginxFault : public testing::Test {
 protected:
  void SetUp() override {
    const auto root = PartsRoot("usr/sbin/nginx");
    if (!root || !fs::exists(*root / "usr/lib/nginx/modules")) {
      GTEST_SKIP() << "no nginx with Lua: deploy/fetch-parts.sh build/parts gets it";
    }
    nginx_.emplace(*root);
    ASSERT_TRUE(nginx_->Start()) << nginx_->ErrorLog();
    rig_.ConfigureDaemon("gateways: {edge: {type: nginx, timeout: 1s, address: \"unix:" +
                         nginx_->control_socket() + "\"}}\n");
    rig_.WriteService("checkout", "return scale_to(metric(\"load\").value)\n",
                      "max: 8\ngateways: [{gateway: edge}]\n",
                      {"--rps-capacity", "500", "--boot", "0.05"});
    Want(2);
    rig_.Start();
    AwaitServed(2);
  }
  void TearDown() override {
    if (HasFailure() && nginx_) std::cerr << nginx_->ErrorLog();
  }

  void Want(int instances) { rig_.prometheus().Set("load", "checkout", instances); }
  bool LogSays(const std::string& phrase) {
    return rig_.daemon().Errors().find(phrase) != std::string::npos;
  }
  bool Confirmed() {
    const nlohmann::json service = rig_.Service("checkout");
    if (service.is_null()) return false;
    for (const auto& gateway : service["gateways"]) {
      if (gateway["confirmed"] != gateway["wanted"] || !gateway.value("problem", "").empty()) {
        return false;
      }
    }
    return true;
  }
  // So many run, nginx has confirmed the list of them, and it serves.
  void AwaitServed(int instances) {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("checkout", instances) && Confirmed(); }))
        << rig_.Ctl({"status", "checkout"}).out;
    HttpProbe probe(nginx_->port());
    for (int i = 0; i < 20; ++i) ASSERT_EQ(probe.Get("/").status, 200);
  }

  // Asks one thing after the other until it is destroyed.
  class Customer {
   public:
    explicit Customer(int port) : thread_([this, port] { Run(port); }) {}
    ~Customer() { Stop(); }
    Customer(const Customer&) = delete;
    Customer& operator=(const Customer&) = delete;
    // How many requests failed; all of them have ended.
    int Stop() {
      leaves_ = true;
      if (thread_.joinable()) thread_.join();
      return failed_;
    }
    [[nodiscard]] int served() const { return served_; }

   private:
    void Run(int port) {
      HttpProbe probe(port);
      while (!leaves_) {
        // A reload closes idle connections, and a request may be on its way there: not on these.
        const int status = probe.Get("/", false).status;
        (status == 200 ? served_ : failed_) += 1;
      }
    }
    std::atomic<bool> leaves_{false};
    std::atomic<int> served_{0}, failed_{0};
    std::thread thread_;
  };

  std::optional<NginxProcess> nginx_;  // goes after the daemon that pushes to it
  DaemonRig rig_;
};

TEST_F(NginxFault, AHungOneIsToldAndTakesUpWhereItWas) {
  for (const pid_t worker : nginx_->Workers()) SignalOne(worker, SIGSTOP);
  Want(4);
  EXPECT_TRUE(Eventually([&] {
    const nlohmann::json service = rig_.Service("checkout");
    return service.is_object() && service.dump().find("timed out after 1s") != std::string::npos;
  }));
  EXPECT_EQ(rig_.Metric("autoscaled_service_problem{service=\"checkout\"}"), 1);
  for (const pid_t worker : nginx_->Workers()) SignalOne(worker, SIGCONT);
  AwaitServed(4);
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 0);
}

TEST_F(NginxFault, KilledInTheMiddleOfADrainItComesBackToTheRightList) {
  Want(5);
  AwaitServed(5);
  for (const int wanted : {2, 5, 1}) {
    Want(wanted);
    ASSERT_TRUE(Eventually([&] {
      return rig_.Metric("autoscaled_service_desired_instances{service=\"checkout\"}") == wanted;
    }));
    nginx_->Crash();
    ASSERT_TRUE(nginx_->Start()) << nginx_->ErrorLog();
    Customer customer(nginx_->port());
    AwaitServed(wanted);
    // What it restored from its files may name instances that have ended since; nginx tries others
    // in their place, so that a request fails only when none is left.
    EXPECT_EQ(customer.Stop(), 0);
  }
}

TEST_F(NginxFault, LostAndOldListsAreReplaced) {
  const fs::path old = rig_.folder() / "old";
  fs::copy(nginx_->state_dir(), old);
  Want(4);
  AwaitServed(4);
  nginx_->Stop();
  for (const auto& file : fs::directory_iterator(nginx_->state_dir())) fs::remove(file);
  ASSERT_TRUE(nginx_->Start()) << nginx_->ErrorLog();
  ASSERT_TRUE(Eventually([&] { return LogSays("gateway edge fell back to list 0.0 from "); }));
  AwaitServed(4);

  nginx_->Stop();
  fs::copy(old, nginx_->state_dir(),
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  ASSERT_TRUE(nginx_->Start()) << nginx_->ErrorLog();
  Customer customer(nginx_->port());  // the old list's instances live
  const auto fell_back = [&] {
    const std::string log = rig_.daemon().Errors();
    const size_t first = log.find("gateway edge fell back to list ");
    return log.find("gateway edge fell back to list 1.", first + 1) != std::string::npos;
  };
  ASSERT_TRUE(Eventually(fell_back));
  AwaitServed(4);
  EXPECT_EQ(customer.Stop(), 0);
}

TEST_F(NginxFault, AListThatCannotBeReadIsReplacedWithoutAFailedRequest) {
  HttpProbe probe(nginx_->port());
  for (int i = 0; i < 20; ++i) ASSERT_EQ(probe.Get("/").status, 200);
  Customer customer(nginx_->port());
  nginx_->TearLists();
  ASSERT_TRUE(Eventually([&] { return LogSays("gateway edge fell back to list 0.0 from "); }));
  AwaitServed(2);
  Want(4);
  AwaitServed(4);
  EXPECT_EQ(customer.Stop(), 0);
  EXPECT_NE(nginx_->ErrorLog().find("the list of checkout could not be read any more"),
            std::string::npos);
}

TEST_F(NginxFault, AReloadOverAListThatCannotBeReadTakesTheSavedOne) {
  rig_.daemon().Signal(SIGSTOP);  // so that nobody pushes
  nginx_->TearLists();
  const std::vector<pid_t> before = nginx_->Workers();
  nginx_->Reload();
  ASSERT_TRUE(Eventually([&] {
    const std::vector<pid_t> now = nginx_->Workers();
    return now.size() == 2 && now.front() != before.front() && now.back() != before.back();
  }));
  HttpProbe probe(nginx_->port());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(probe.Get("/").status, 200);
  rig_.daemon().Signal(SIGCONT);
  AwaitServed(2);
}

TEST_F(NginxFault, AWorkerStoppedInTheMiddleOfAPushDoesNotUndoTheNext) {
  Customer customer(nginx_->port());
  nginx_->StopInNextPush();
  Want(4);
  ASSERT_TRUE(Eventually([&] { return nginx_->StoppedWorker().has_value(); }));
  const pid_t stopped = *nginx_->StoppedWorker();
  // The other worker takes the list once the lock of the first has expired.
  const bool taken = Eventually([&] { return rig_.Settled("checkout", 4) && Confirmed(); });
  const std::string status = rig_.Ctl({"status", "checkout"}).out;
  SignalOne(stopped, SIGCONT);
  ASSERT_TRUE(taken) << status;
  AwaitServed(4);
  for (const int wanted : {2, 5}) {
    Want(wanted);
    AwaitServed(wanted);
  }
  EXPECT_EQ(customer.Stop(), 0);
  EXPECT_FALSE(LogSays("gateway edge fell back to list "));
}

TEST_F(NginxFault, AListPushedByHandIsToppedWithoutAFailedRequest) {
  Customer customer(nginx_->port());
  NginxOptions options;
  options.address = "unix:" + nginx_->control_socket();
  options.unix_socket = nginx_->control_socket();
  options.url = "http://autoscaled";
  GatewayOnLoop by_hand(options);
  const std::string one = rig_.Service("checkout")["instances"][0]["endpoint"];
  ASSERT_TRUE(
      by_hand.Publish({.upstream = "checkout", .version = {70, 3}, .endpoints = {{.address = one}}})
          .ok());
  ASSERT_TRUE(Eventually(
      [&] { return LogSays("gateway edge knows a higher list, 70.3: ours is raised"); }));
  Want(3);
  AwaitServed(3);
  // A list of another daemon that fights over it, or a typing error, is refused and told.
  const Status refused = by_hand.Publish({.upstream = "checkout", .version = {1, 1}});
  EXPECT_FALSE(refused.ok());
  EXPECT_EQ(customer.Stop(), 0);
}

TEST_F(NginxFault, AReloadInTheMiddleLosesNothing) {
  Customer customer(nginx_->port());
  for (const int wanted : {4, 1, 4, 2}) {
    Want(wanted);
    nginx_->Reload();
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("checkout", wanted) && Confirmed(); }));
  }
  EXPECT_GT(customer.served(), 0);
  EXPECT_EQ(customer.Stop(), 0);
}

}  // namespace
}  // namespace autoscale
