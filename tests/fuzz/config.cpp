// The daemon's file and service files, through the real loader and the adapters' own readers.
//
// Input: the daemon's file, then up to three service files, parted by lines "=====". A policy is
// there as policies/p.lua.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "config/loader.h"
#include "config/names.h"
#include "gateways/nginx/nginx_gateway.h"
#include "providers/process/options.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr size_t kServiceFiles = 3;

// A folder for the files, in memory where there is such a place.
class Folder {
 public:
  Folder() {
    const char* chosen = std::getenv("TMPDIR");
    const fs::path parent = chosen != nullptr        ? fs::path(chosen)
                            : fs::exists("/dev/shm") ? fs::path("/dev/shm")
                                                     : fs::temp_directory_path();
    std::string path = (parent / "autoscale-fuzz-XXXXXX").string();
    Expect(mkdtemp(path.data()) != nullptr, "a temporary folder", path);
    path_ = path;
    fs::create_directories(path_ / "services.d");
    fs::create_directories(path_ / "policies");
    Write("policies/p.lua", "return hold(\"fine\")\n");
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void Write(const std::string& name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  void Remove(const std::string& name) const { fs::remove(path_ / name); }
  [[nodiscard]] std::string Path(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

LoadOptions RealAdapters() {
  LoadOptions options;
  options.providers["process"] = ParseProcessTarget;
  options.gateways["nginx"] = ParseNginxOptions;
  return options;
}

int Lines(std::string_view text) {
  return 1 + static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

void CheckDiagnostics(const LoadResult& result, int most_lines) {
  for (const Diagnostic& diagnostic : result.diagnostics) {
    Expect(!diagnostic.file.empty(), "a fault names its file", diagnostic.message);
    Expect(diagnostic.line >= 0 && diagnostic.line <= most_lines, "a fault's line is in the file",
           ToString(diagnostic));
    ExpectMessage(diagnostic.message, 2000);
  }
}

template <typename T>
void ExpectWithin(T value, T least, T greatest, std::string_view what) {
  Expect(value >= least && value <= greatest, what);
}

void CheckDerived(const ServiceSpec& service, const MetricUse& use) {
  Expect(use.base >= -1 && use.base < static_cast<int>(service.metrics.size()), "a base");
  if (use.spec->derived == nullptr) return;
  const DerivedSpec& derived = *use.spec->derived;
  Expect((use.base >= 0) == !derived.base.empty(), "a base that is named is found");
  if (derived.kind == DerivedSpec::Kind::kPredict) {
    Expect(!derived.url.empty(), "a model's address", use.spec->name);
    return;
  }
  const MetricSpec& base = *service.metrics[static_cast<size_t>(use.base)].spec;
  Expect(base.derived == nullptr && base.instance_label.empty(), "a base that is asked for");
  Expect(derived.season % derived.step == Millis(0), "seasons of whole steps");
  ExpectWithin(derived.history / derived.step, int64_t{8}, int64_t{10'000}, "history");
}

void CheckService(const ServiceSpec& service) {
  Expect(IsServiceName(service.name), "a service's name", service.name);
  ExpectWithin(service.interval, Millis(250), Millis(std::chrono::hours(1)), "interval");
  ExpectWithin(service.rules.bounds.min, 0, service.rules.bounds.max, "min");
  ExpectWithin(service.rules.bounds.max, 1, 10'000, "max");
  ExpectWithin(service.drain_timeout, Millis(0), Millis(std::chrono::hours(24)), "drain_timeout");
  Expect(service.policy != nullptr, "a policy", service.name);
  Expect(service.target != nullptr, "a target", service.name);
  Expect(service.declared.size() == service.metrics.size(), "metrics are parallel", service.name);
  for (const MetricUse& use : service.metrics) {
    Expect(use.spec != nullptr && IsMetricName(use.spec->name), "a metric's name", service.name);
    Expect(use.spec->derived == nullptr ? !use.spec->query.empty() : use.spec->query.empty(),
           "a metric's query, unless it is derived", use.spec->name);
    CheckDerived(service, use);
  }
  for (const GatewayUse& use : service.gateways) {
    Expect(IsUpstreamName(use.upstream), "an upstream's name", use.upstream);
  }
  for (const DirectionRules* rules : {&service.rules.up, &service.rules.down}) {
    for (const RateLimit& limit : rules->limits) {
      ExpectWithin(limit.value, 1, 100'000, "a limit's value");
      ExpectWithin(limit.period, Millis(1000), Millis(std::chrono::minutes(30)), "its period");
    }
  }
}

void CheckGood(const Configuration& configuration) {
  const std::string* last = nullptr;
  for (const ServiceSpec& service : configuration.services) {
    CheckService(service);
    Expect(last == nullptr || *last < service.name, "services are sorted, each once", service.name);
    last = &service.name;
  }
  ExpectWithin(configuration.daemon.listen_port, 0, 65535, "listen");
  Expect(!configuration.daemon.prometheus.urls.empty(), "an address of Prometheus");
  for (const GatewaySpec& gateway : configuration.daemon.gateways) {
    Expect(gateway.options != nullptr, "a gateway's options", gateway.name);
  }
}

std::string Summary(const LoadResult& result) {
  std::string text;
  for (const Diagnostic& diagnostic : result.diagnostics) text += ToString(diagnostic) + "\n";
  for (const ServiceSpec& service : result.configuration.services) {
    text += service.name + " " + std::to_string(service.content_hash) + "\n";
  }
  return text;
}

void Run(std::string_view text) {
  static const Folder folder;
  static const LoadOptions options = RealAdapters();
  const std::string_view daemon = TakeUntil(text, "\n=====\n");
  folder.Write("autoscaled.yaml", daemon);
  int most_lines = Lines(daemon);
  for (size_t i = 0; i < kServiceFiles; ++i) {
    const std::string name = "services.d/" + std::to_string(i) + ".yaml";
    const bool there = !text.empty();
    const std::string_view service = TakeUntil(text, "\n=====\n");
    most_lines = std::max(most_lines, Lines(service));
    if (there) {
      folder.Write(name, service);
    } else {
      folder.Remove(name);
    }
  }
  const LoadResult result = LoadConfiguration(folder.Path("autoscaled.yaml"), options);
  CheckDiagnostics(result, most_lines);
  if (result.ok()) CheckGood(result.configuration);
  const LoadResult again = LoadConfiguration(folder.Path("autoscaled.yaml"), options);
  Expect(Summary(result) == Summary(again), "the same files load the same", Summary(again));
  const LoadResult one = LoadServiceFile(folder.Path("services.d/0.yaml"), "", options);
  CheckDiagnostics(one, most_lines);
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  autoscale::fuzz::Run(autoscale::fuzz::ToText(data, size));
  return 0;
}
