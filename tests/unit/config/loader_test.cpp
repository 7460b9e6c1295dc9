#include "config/loader.h"

#include <set>

#include "tests/unit/config/files.h"

namespace autoscale {
namespace {

using Texts = std::vector<std::string>;

constexpr char kDaemon[] = R"(
prometheus: {url: "http://127.0.0.1:9090/"}
defaults: {interval: 5s}
gateways:
  edge: {type: fake, address: here}
metrics:
  cpu: {query: c, unit: ratio, series: c, match: {service: "{{service}}", env: prod}}
  errors: {query: e, unit: ratio, series: e, when_empty: 0}
)";

class Loader : public ::testing::Test {
 protected:
  Loader() {
    files_.Write("p.lua", "return hold()\n");
    files_.Write("d.yaml", kDaemon);
  }
  Configuration Load() {
    LoadResult result = LoadConfiguration(files_.Path("d.yaml"), FakeAdapters());
    EXPECT_EQ(files_.Texts(result.diagnostics), Texts{});
    return std::move(result.configuration);
  }
  Files files_;
};

TEST_F(Loader, ReadsAService) {
  files_.Write("services.d/web.yaml", R"(service: web
policy: ../p.lua
params: {target: 0.6, name: x, flag: true, text: "7"}
min: 2
max: 20
metrics:
  cpu: {match: {service: shop}}
  errors: shared
  own:
    query: |
      sum(x{service="{{service}}"})
    series: x{service="{{service}}"}
    unit: count
    expect: 3
    max_age: 30s
    when_nan: -1
    per_instance: {label: id, aggregate: max}
provider: {type: fake, ports: 1-2}
gateways: [{gateway: edge}, {gateway: edge, upstream: Other}]
scaling:
  up: {cooldown: 30s, select: min, limits: [{instances: 4, period: 1m}, {percent: 100, period: 2m}]}
  down: {select: disabled}
drain_timeout: 10s
dry_run: true
)");
  const Configuration configuration = Load();
  ASSERT_EQ(configuration.services.size(), 1u);
  const ServiceSpec& s = configuration.services[0];
  EXPECT_EQ(s.name, "web");
  EXPECT_EQ(s.file, files_.Path("services.d/web.yaml"));
  EXPECT_EQ(s.line, 1);
  EXPECT_EQ(s.interval, std::chrono::seconds(5));
  EXPECT_EQ(s.policy->text, "return hold()\n");
  EXPECT_EQ(s.policy->path, files_.Path("p.lua"));
  EXPECT_EQ(s.params, (Params{{"flag", true}, {"name", "x"}, {"target", 0.6}, {"text", "7"}}));
  EXPECT_EQ(s.rules.bounds.min, 2);
  EXPECT_EQ(s.rules.bounds.max, 20);
  EXPECT_EQ(s.rules.up.cooldown, std::chrono::seconds(30));
  EXPECT_EQ(s.rules.up.select, RateSelect::kMin);
  ASSERT_EQ(s.rules.up.limits.size(), 2u);
  EXPECT_EQ(s.rules.up.limits[1].kind, RateLimit::Kind::kPercent);
  EXPECT_EQ(s.rules.up.limits[1].value, 100);
  EXPECT_EQ(s.rules.up.limits[1].period, std::chrono::minutes(2));
  EXPECT_EQ(s.rules.down.select, RateSelect::kDisabled);
  EXPECT_EQ(s.rules.down.stabilization, std::chrono::minutes(5));  // the default
  EXPECT_EQ(s.provider, "fake");
  EXPECT_EQ(s.target->identity(), "1-2");
  ASSERT_EQ(s.gateways.size(), 2u);
  EXPECT_EQ(s.gateways[0].upstream, "web");
  EXPECT_EQ(s.gateways[1].upstream, "Other");
  EXPECT_EQ(s.drain_timeout, std::chrono::seconds(10));
  EXPECT_EQ(s.start_timeout, std::chrono::minutes(5));
  EXPECT_TRUE(s.dry_run);
}

TEST_F(Loader, ReadsMetricsAndTheirKeys) {
  files_.Write("services.d/s.yaml", R"(
metrics:
  cpu: {query: near, unit: percent, series: n}
services:
- service: a
  policy: ../p.lua
  max: 1
  provider: {type: fake}
  metrics:
    errors: shared
    cpu: shared
- service: b
  policy: ../p.lua
  max: 1
  provider: {type: fake}
  metrics:
    own: {query: "x{{service}}", series: s, unit: seconds, expect: instances, when_nan: hold,
          negative: true, spread: true, per_instance: {label: id, aggregate: max}}
)");
  files_.Write("services.d/t.yaml",
               "service: c\npolicy: ../p.lua\nmax: 1\nprovider: {type: fake}\n"
               "metrics: {cpu: {match: {service: shop}}}\n");
  const Configuration configuration = Load();
  ASSERT_EQ(configuration.services.size(), 3u);
  const ServiceSpec& a = configuration.services[0];
  EXPECT_EQ(a.metrics[0].spec->missing.when_empty, 0.0);
  EXPECT_EQ(a.metrics[0].spec->missing.when_nan, std::nullopt);
  EXPECT_EQ(a.metrics[0].key, "");
  EXPECT_EQ(a.metrics[1].spec->query, "near");  // the file's own goes before the daemon's
  ASSERT_EQ(a.declared.size(), 2u);
  EXPECT_EQ(a.declared[1].name, "cpu");
  EXPECT_EQ(a.declared[1].unit, Unit::kPercent);
  const MetricSpec& own = *configuration.services[1].metrics[0].spec;
  EXPECT_EQ(own.expect.kind, Expectation::Kind::kInstances);
  EXPECT_EQ(own.instance_label, "id");
  EXPECT_TRUE(own.may_be_negative);
  EXPECT_FALSE(a.metrics[1].spec->may_be_negative);
  EXPECT_TRUE(own.spread);
  EXPECT_TRUE(configuration.services[1].declared[0].spread);
  EXPECT_FALSE(a.declared[1].spread);
  EXPECT_EQ(own.aggregate, Aggregate::kMax);
  EXPECT_EQ(own.line, 17);
  const MetricUse& shop = configuration.services[2].metrics[0];
  EXPECT_EQ(shop.spec->key_labels, (std::vector<std::string>{"service", "env"}));
  EXPECT_EQ(shop.key, "shop\x1fprod");
}

TEST_F(Loader, DefaultsStandWhereNothingIsSaid) {
  files_.Write("services.d/none.txt", "not a service");
  const DaemonSpec daemon = Load().daemon;
  EXPECT_EQ(daemon.listen_address, "127.0.0.1");
  EXPECT_EQ(daemon.listen_port, 9464);
  EXPECT_EQ(daemon.state_dir, "/var/lib/autoscaled");
  EXPECT_EQ(daemon.services_dir, files_.Path("services.d"));
  EXPECT_EQ(daemon.control.socket, "/run/autoscaled/control.sock");
  EXPECT_EQ(daemon.control.mode, 0600u);
  EXPECT_EQ(daemon.prometheus.urls, std::vector<std::string>{"http://127.0.0.1:9090"});
  EXPECT_EQ(daemon.prometheus.timeout, std::chrono::seconds(5));
  EXPECT_EQ(daemon.log.level, "info");
  ASSERT_EQ(daemon.gateways.size(), 1u);
  EXPECT_EQ(daemon.gateways[0].name, "edge");
  EXPECT_EQ(static_cast<const FakeGateway&>(*daemon.gateways[0].options).address, "here");
}

TEST_F(Loader, PathsAreRelativeToTheFileThatNamesThem) {
  files_.Write("else/where/s.yaml", "service: a\npolicy: q.lua\nmax: 1\nprovider: {type: fake}\n");
  files_.Write("else/where/q.lua", "return nil\n");
  files_.Write("d.yaml", std::string(kDaemon) + "services_dir: else/where\nstate_dir: s\n");
  const Configuration configuration = Load();
  EXPECT_EQ(configuration.daemon.state_dir, files_.Path("s"));
  EXPECT_EQ(configuration.services.at(0).policy->path, files_.Path("else/where/q.lua"));
}

TEST_F(Loader, ThousandsOfServicesShareSpecsAndSources) {
  constexpr int kServices = 2000;
  for (int i = 0; i < kServices; ++i) {
    const std::string name = "svc-" + std::to_string(i);
    files_.Write("services.d/" + name + ".yaml",
                 "service: " + name +
                     "\npolicy: ../p.lua\nmax: 9\nprovider: {type: fake, ports: p" +
                     std::to_string(i) +
                     "}\nmetrics: {cpu: shared, errors: shared}\n"
                     "gateways: [{gateway: edge}]\n");
  }
  const Configuration configuration = Load();
  ASSERT_EQ(configuration.services.size(), static_cast<size_t>(kServices));
  std::set<const void*> shared;
  for (const ServiceSpec& service : configuration.services) {
    shared.insert(service.policy.get());
    for (const MetricUse& use : service.metrics) shared.insert(use.spec.get());
    EXPECT_EQ(service.metrics[0].key, service.name + "\x1fprod");
  }
  EXPECT_EQ(shared.size(), 3u);  // one policy, two metrics
  EXPECT_TRUE(
      std::is_sorted(configuration.services.begin(), configuration.services.end(),
                     [](const ServiceSpec& a, const ServiceSpec& b) { return a.name < b.name; }));
}

TEST_F(Loader, ReadsOneServiceFileForTools) {
  const std::string path = files_.Path("services.d/s.yaml");
  files_.Write("services.d/s.yaml",
               "service: a\npolicy: ../p.lua\nmax: 3\nmetrics: {cpu: shared}\n"
               "provider: {type: cloud, anything: [goes]}\ngateways: [{gateway: unseen}]\n");
  LoadOptions any;
  any.accept_any_adapter = true;
  EXPECT_EQ(files_.Texts(LoadServiceFile(path, "", any).diagnostics),
            (Texts{"services.d/s.yaml:4: metric 'cpu' is shared, and no daemon file was given that "
                   "declares it; give one, or define the metric here"}));
  // The daemon's file lends its metrics, without a Prometheus; its gateways are checked.
  files_.Write(
      "d.yaml",
      "metrics: {cpu: {query: c, unit: ratio, series: c}}\ngateways: {unseen: {type: t}}\n");
  const LoadResult result = LoadServiceFile(path, files_.Path("d.yaml"), any);
  EXPECT_EQ(files_.Texts(result.diagnostics), Texts{});
  ASSERT_TRUE(result.ok());
  const ServiceSpec& service = result.configuration.services.at(0);
  EXPECT_EQ(service.provider, "cloud");
  EXPECT_EQ(service.target, nullptr);
  EXPECT_EQ(service.declared.at(0).name, "cpu");
}

TEST_F(Loader, WarningsDoNotFailIt) {
  LoadResult result;
  result.diagnostics.push_back({Diagnostic::Severity::kWarning, "f", 0, "hm"});
  EXPECT_TRUE(result.ok());
  result.diagnostics.push_back({Diagnostic::Severity::kError, "f", 2, "no"});
  EXPECT_FALSE(result.ok());
}

TEST_F(Loader, TheContentHashChangesWithAnythingTheServiceIsMadeFrom) {
  const std::string web =
      "service: web\npolicy: ../p.lua\nmax: 3\nmetrics: {errors: shared}\n"
      "provider: {type: fake, ports: 1-2}\n";
  files_.Write("services.d/web.yaml", web);
  const auto hash = [this] { return Load().services.at(0).content_hash; };
  const uint64_t first = hash();
  EXPECT_EQ(hash(), first);
  files_.Write("services.d/web.yaml", "# a comment\n" + web);
  EXPECT_EQ(hash(), first);
  files_.Write("services.d/web.yaml", web + "min: 2\n");
  EXPECT_NE(hash(), first);
  files_.Write("services.d/web.yaml", web);
  files_.Write("p.lua", "return hold('x')\n");
  EXPECT_NE(hash(), first);
  files_.Write("p.lua", "return hold()\n");
  EXPECT_EQ(hash(), first);
  std::string daemon = kDaemon;
  daemon.replace(daemon.find("query: e"), 8, "query: f");
  files_.Write("d.yaml", daemon);
  EXPECT_NE(hash(), first);
}

}  // namespace
}  // namespace autoscale
