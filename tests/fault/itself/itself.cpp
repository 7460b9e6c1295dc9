#include "tests/fault/itself/itself.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <sstream>

#include "tests/signal_one.h"

namespace autoscale {

namespace fs = std::filesystem;

ProcessFigures FiguresOf(pid_t pid) {
  const fs::path process = "/proc/" + std::to_string(pid);
  ProcessFigures figures;
  const std::string stat = ReadWhole(process / "stat");
  std::istringstream rest(stat.substr(stat.rfind(')') + 1));
  std::string skipped;
  double user = 0, system = 0;
  for (int field = 3; field < 14; ++field) rest >> skipped;
  rest >> user >> system;
  figures.cpu_seconds = (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  std::istringstream statm(ReadWhole(process / "statm"));
  long pages = 0;
  statm >> skipped >> pages;
  figures.resident_kib = pages * sysconf(_SC_PAGESIZE) / 1024;
  std::error_code gone;
  figures.descriptors = static_cast<int>(
      std::distance(fs::directory_iterator(process / "fd", gone), fs::directory_iterator()));
  return figures;
}

void ItselfTest::WriteWeb(const std::string& extra) {
  rig_.WriteService("web", "return scale_to(metric(\"load\").value, \"so many are asked for\")\n",
                    extra);
}

void ItselfTest::StartWith(int instances, const std::string& extra) {
  Load(instances);
  WriteWeb(extra);
  rig_.Start();
  AwaitSettled(instances);
}

void ItselfTest::AwaitSettled(int instances) {
  ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", instances); }))
      << rig_.Ctl({"status", "web"}).out << rig_.Explain("web");
}

void ItselfTest::AwaitMoreTicks(int count) {
  const double until = Ticks() + count;
  ASSERT_TRUE(Eventually([&] { return Ticks() >= until; }));
}

void ItselfTest::AwaitLog(const std::vector<std::string>& parts) {
  ASSERT_TRUE(Eventually([&] { return bool{Says(rig_.daemon().Errors(), parts)}; }))
      << Says(rig_.daemon().Errors(), parts).message();
}

pid_t ItselfTest::SignalWorker(int signal) {
  pid_t worker = -1;
  // Never a pid that means more than one process.
  if (Eventually([&] { return (worker = rig_.Worker()) > 1; })) {
    SignalOne(worker, signal);
  } else {
    ADD_FAILURE() << "there is no policy worker";
  }
  return worker;
}

void ItselfTest::ExpectWell(const std::set<pid_t>& before, int instances) {
  Load(instances);
  AwaitSettled(instances);
  const std::set<pid_t> now = rig_.BackendPids();
  EXPECT_TRUE(std::includes(now.begin(), now.end(), before.begin(), before.end()))
      << "an instance was replaced";
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 0);
}

}  // namespace autoscale
