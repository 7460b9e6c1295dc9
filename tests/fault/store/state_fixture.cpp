#include "tests/fault/store/state_fixture.h"

#include <csignal>
#include <cstdlib>
#include <sstream>
#include <utility>

namespace autoscale {
namespace {

// Calls `look` with every line of the log, parsed.
template <typename Look>
void ForEachLine(const std::string& log, const Look& look) {
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_object()) look(json);
  }
}

}  // namespace

void StateFixture::SetUp() {
  rig_ = std::make_unique<DaemonRig>();
  rig_->ConfigureDaemon("gateways: {edge: {" + gateway_.Section() + "}}\n");
  rig_->WriteService("web", "return scale_to(metric(\"load\").value, \"so many are asked for\")\n",
                     "max: 6\ngateways: [{gateway: edge}]\n");
}

void StateFixture::StartWith(int instances) {
  Load(instances);
  rig_->Start();
  AwaitSettled(instances);
}

void StateFixture::AwaitSettled(int instances) {
  ASSERT_TRUE(Eventually([&] { return rig_->Settled("web", instances); }))
      << rig_->Ctl({"status", "web"}).out << rig_->Explain("web");
}

void StateFixture::AwaitMoreTicks(int count) {
  const double until = rig_->Metric("autoscaled_ticks_total") + count;
  ASSERT_TRUE(Eventually([&] { return rig_->Metric("autoscaled_ticks_total") >= until; }));
}

int64_t StateFixture::Epoch() const {
  int64_t epoch = -1;
  ForEachLine(rig_->daemon().Errors(), [&](const nlohmann::json& line) {
    if (line.value("message", "") == "started") epoch = line.value("epoch", int64_t{-1});
  });
  return epoch;
}

int StateFixture::Told(const std::string& message) const {
  int count = 0;
  ForEachLine(rig_->daemon().Errors(), [&](const nlohmann::json& line) {
    if (line.value("message", "") == message) ++count;
  });
  return count;
}

std::string StateFixture::Refusal() {
  const auto refused = rig_->Launch({});
  EXPECT_EQ(refused->Wait(), 1);
  const std::string errors = refused->Errors();
  const std::string mark = "\nautoscaled: ";
  const size_t at = errors.rfind(mark);
  EXPECT_NE(at, std::string::npos) << errors;
  return at == std::string::npos ? "" : errors.substr(at + mark.size());
}

void StateFixture::Obey(const std::string& sentence) {
  const std::string mark = "run: ";
  const size_t at = sentence.rfind(mark);
  ASSERT_NE(at, std::string::npos) << sentence;
  ASSERT_EQ(std::system(sentence.substr(at + mark.size()).c_str()), 0) << sentence;
}

Shell::Shell(const std::filesystem::path& database) {
  EXPECT_EQ(sqlite3_open(database.c_str(), &handle_), SQLITE_OK);
  sqlite3_busy_timeout(handle_, 10'000);
}

Shell::~Shell() { Close(); }

void Shell::Close() { sqlite3_close(std::exchange(handle_, nullptr)); }

void Shell::Run(const std::string& sql) {
  ASSERT_EQ(sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(handle_);
}

}  // namespace autoscale
