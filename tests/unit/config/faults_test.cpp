// Each fault of a configuration: its exact message, at its line.
#include <sys/stat.h>

#include "tests/unit/config/files.h"

namespace autoscale {
namespace {

using Texts = std::vector<std::string>;

constexpr char kDaemon[] =
    "prometheus: {url: \"http://127.0.0.1:9090\"}\n"
    "gateways:\n"
    "  edge: {type: fake, address: x}\n"
    "metrics:\n"
    "  cpu: {query: q, unit: ratio, series: q, match: {service: \"{{service}}\"}}\n";

// Four lines; cases append from line 5 on.
constexpr char kService[] =
    "service: web\n"
    "policy: ../p.lua\n"
    "max: 4\n"
    "provider: {type: fake}\n";

class Faults : public ::testing::Test {
 protected:
  Faults() {
    files_.Write("p.lua", "return hold()\n");
    files_.Write("d.yaml", kDaemon);
    files_.Write("services.d/s.yaml", kService);
  }
  [[nodiscard]] Texts Load() const {
    return files_.Texts(LoadConfiguration(files_.Path("d.yaml"), FakeAdapters()).diagnostics);
  }
  Texts Service(const std::string& text) {
    files_.Write("services.d/s.yaml", text);
    return Load();
  }
  Texts Daemon(const std::string& text) {
    files_.Write("d.yaml", text);
    return Load();
  }
  Files files_;
};

TEST_F(Faults, NoneInAGoodConfiguration) { EXPECT_EQ(Load(), Texts{}); }

TEST_F(Faults, OfAServiceAreReportedAtTheirLines) {
  const std::string at = "services.d/s.yaml:5: ";
  const std::vector<std::pair<std::string, Texts>> cases = {
      {"min: 5", {at + "'min' (5) is above 'max' (4); lower the one or raise the other"}},
      {"min: -1", {at + "'min' must be at least 0, not -1"}},
      {"min: two", {at + "'min' must be a whole number, not 'two'"}},
      {"max: 3", {at + "key 'max' is given twice, first on line 3; remove one"}},
      {"interval: 100ms", {at + "'interval' must be at least 250ms, not 100ms"}},
      {"interval: 2h", {at + "'interval' must be at most 1h, not 2h"}},
      {"intervall: 2s", {at + "unknown key 'intervall'; did you mean 'interval'?"}},
      {"start_timeout: 0s", {at + "'start_timeout' must be at least 1s, not 0s"}},
      {"dry_run: on", {at + "'dry_run' must be true or false, not 'on'"}},
      {"params: {a: [1]}", {at + "parameter 'a' must be a number, true, false or text"}},
      {"params: {a: Yes}",
       {at + "parameter 'a': write true or false, or \"Yes\" in quotes for text, not Yes"}},
      {"scaling: {up: {stabilization: 2h}}",
       {at + "'scaling.up.stabilization' must be at most 1h, not 2h"}},
      {"scaling: {down: {cooldown: 2d}}",
       {at + "'scaling.down.cooldown' must be at most 1d, not 2d"}},
      {"scaling: {up: {select: mix}}",
       {at + "'scaling.up.select' must be max, min or disabled, not 'mix'; did you mean 'max'?"}},
      {"scaling: {up: {limits: [{instances: 1, percent: 2, period: 1m}]}}",
       {at + "a limit is either {instances: N, period: 1m} or {percent: N, period: 1m}"}},
      {"scaling: {up: {limits: [{instances: 0, period: 1h}]}}",
       {at + "'scaling.up.limits[0].instances' must be at least 1, not 0",
        at + "'scaling.up.limits[0].period' must be at most 30m, not 1h"}},
      {"scaling: {up: {limits: [{percent: 50}]}}",
       {at + "the limit's 'period' is missing, such as period: 1m"}},
      {"scaling: {sideways: {}}",
       {at + "unknown key 'sideways'; known here: up, down, reversals, error_guard, projection"}},
      {"gateways: [{gateway: egde}]",
       {at + "gateway 'egde' is not declared; did you mean 'edge'?"}},
      {"gateways: [{gateway: other}]",
       {at + "gateway 'other' is not declared; declare it under 'gateways' of d.yaml"}},
      {"gateways: [{gateway: edge, upstream: a/b}]",
       {at + "upstream name 'a/b' must hold only letters, digits, '-', '_' and '.', at most 128"}},
      {"gateways: [{gateway: edge}, {gateway: edge}]",
       {"services.d/s.yaml:1: upstream 'web' of gateway 'edge' is listed twice; remove one"}},
      {"gateways: {gateway: edge}", {at + "'gateways' must be a list, not a mapping"}},
  };
  for (const auto& [line, faults] : cases) EXPECT_EQ(Service(kService + line + "\n"), faults);
}

TEST_F(Faults, OfMetricsAreReportedAtTheirLines) {
  const std::string at = "services.d/s.yaml:6: ";
  const std::string good = "query: q, unit: ratio, series: s";
  const std::vector<std::pair<std::string, Texts>> cases = {
      {"cpus: shared", {at + "shared metric 'cpus' is not declared; did you mean 'cpu'?"}},
      {"latency: shared",
       {at + "shared metric 'latency' is not declared; declare it under 'metrics' of d.yaml"}},
      {"cpu: shard", {at + "metric 'cpu' must be a definition (a mapping) or the word shared"}},
      {"cpu:", {at + "metric 'cpu' must be a definition (a mapping) or the word shared"}},
      {"cpu: {match: {job: x}}",
       {at + "shared metric 'cpu' has no label 'job' to match; it has service"}},
      {"a-b: {" + good + "}",
       {at + "metric name 'a-b' must hold only letters, digits and '_', at most 63, and not begin "
             "with a digit"}},
      {"m: {series: s}",
       {at + "'metrics.m.query' is missing",
        at + "'unit' is missing: ratio, percent, seconds, per_second or count"}},
      {"m: {query: q, unit: ratios, series: s}",
       {at + "'metrics.m.unit' must be ratio, percent, seconds, per_second or count, not 'ratios'; "
             "did you mean 'ratio'?"}},
      {"m: {query: q, unit: ratio}",
       {at + "warning: metric 'm' names no 'series': age and coverage unknown: an outage behind a "
             "window function would not be noticed"}},
      {"m: {query: q, unit: ratio, expect: instances}",
       {at + "'expect' counts the series behind the metric; name them by 'series'",
        at + "warning: metric 'm' names no 'series': age and coverage unknown: an outage behind a "
             "window function would not be noticed"}},
      {"m: {" + good + ", expect: all}",
       {at + "'expect' must be instances or a whole number of series"}},
      {"m: {" + good + ", expect: 0}", {at + "'metrics.m.expect' must be at least 1, not 0"}},
      {"m: {" + good + ", max_age: 0s}", {at + "'metrics.m.max_age' must be at least 1s, not 0s"}},
      {"m: {" + good + ", when_empty: zero}", {at + "'when_empty' must be hold or a number"}},
      {"m: {" + good + ", when_nan: \"0\"}", {at + "'when_nan' must be hold or a number"}},
      {"m: {" + good + ", match: {a.b: x}}", {at + "'a.b' is not a Prometheus label name"}},
      {"m: {" + good + ", match: {a: \"{{svc}}\"}}",
       {at + "'match' holds an unknown placeholder, '{{svc}}'; only {{service}} is known"}},
      {"m: {query: \"x{s='{{service}}'}\", unit: ratio, series: s, match: {a: b}}",
       {at +
        "'match' is for one answer shared by all services, and this query asks for one service "
        "by {{service}}; remove one of the two"}},
      {"m: {query: q, unit: ratio, series: \"x{s='{{service}}'}\"}",
       {at + "'series' holds {{service}} and 'query' does not; both or neither"}},
      {"m: {" + good + ", per_instance: {aggregate: sum}}",
       {at + "'metrics.m.per_instance.label' is missing"}},
      {"m: {" + good + ", per_instance: {label: i-d, aggregate: mean}}",
       {at + "'i-d' is not a Prometheus label name",
        at + "'metrics.m.per_instance.aggregate' must be average, sum, max or min, not 'mean'"}},
      {"m: {" + good + ", match: {i: x}, per_instance: {label: i}}",
       {at + "label 'i' cannot tell both services and instances apart"}},
  };
  for (const auto& [line, faults] : cases) {
    Texts found = Service(std::string(kService) + "metrics:\n  " + line + "\n");
    std::sort(found.begin(), found.end());
    EXPECT_EQ(found, faults) << line;
  }
}

TEST_F(Faults, OfTheDaemonsFileAreReportedAtTheirLines) {
  const std::string at = "d.yaml:6: ";
  const std::vector<std::pair<std::string, Texts>> cases = {
      {"listen: localhost:9464",
       {at + "'listen' must be an IPv4 address and a port, such as 127.0.0.1:9464, not "
             "'localhost:9464'"}},
      {"listen: 127.0.0.1:70000",
       {at + "'listen' must be an IPv4 address and a port, such as 127.0.0.1:9464, not "
             "'127.0.0.1:70000'"}},
      {"listn: x", {at + "unknown key 'listn'; did you mean 'listen'?"}},
      {"control: {mode: \"0888\"}",
       {at + "'control.mode' must be an octal mode such as \"0660\", not '0888'"}},
      {"control: {socket: /" + std::string(120, 's') + "}",
       {at + "the socket's path /" + std::string(120, 's') +
        " is longer than 107 bytes, which is all that a unix socket may have"}},
      {"log: {level: trace}", {at + "'log.level' must be debug, info, warn or error, not 'trace'"}},
      {"policy_limits: {instructions: 1}",
       {at + "'policy_limits.instructions' must be at least 1000, not 1"}},
      {"policy_limits: {wall: 0s}", {at + "'policy_limits.wall' must be at least 1ms, not 0s"}},
      {"policy_limits: {wall: 2s}", {at + "'policy_limits.wall' must be at most 1s, not 2s"}},
      {"defaults: {min: 1}", {at + "unknown key 'min'; known here: interval"}},
      {"services_dir: nowhere",
       {at + "cannot list the services in nowhere: No such file or directory; create the folder or "
             "correct 'services_dir'"}},
  };
  for (const auto& [line, faults] : cases) EXPECT_EQ(Daemon(kDaemon + line + "\n"), faults);
}

TEST_F(Faults, OfPrometheus) {
  const std::string form =
      "d.yaml:1: 'prometheus.url' must be http://HOST:PORT or https://HOST:PORT, with a path or "
      "without";
  const std::vector<std::pair<std::string, Texts>> cases = {
      {"log: {}",
       {"d.yaml:1: 'prometheus.url' is missing; say where Prometheus answers: "
        "prometheus: {url: \"http://127.0.0.1:9090\"}"}},
      {"prometheus: {timeout: 1s}", {"d.yaml:1: 'prometheus.url' is missing"}},
      {"prometheus: {url: localhost}", {form}},
      {"prometheus: {url: \"http://:9090\"}", {form}},
      {"prometheus: {url: \"http://h:0\"}", {form}},
      {"prometheus: {url: \"http://h/a?b=c\"}", {form}},
      {"prometheus: {url: \"http://u:hunter2@h\"}",
       {"d.yaml:1: 'prometheus.url' must hold no user and password; give 'username' and 'password' "
        "instead"}},
      {"prometheus: {url: \"http://h\", timeout: 0s}",
       {"d.yaml:1: 'prometheus.timeout' must be at least 1ms, not 0s"}},
      {"prometheus: {url: \"http://h\", bearer_token: hunter2}",
       {"d.yaml:1: 'prometheus.bearer_token' is a secret and is never written here; write "
        "{file: PATH} or {env: NAME} to say where it is"}},
      {"prometheus: {url: \"http://h\", username: u}",
       {"d.yaml:1: 'prometheus.username' and 'prometheus.password' go together; give both or "
        "neither"}},
      {"prometheus: {url: \"http://h\", username: u, password: {env: P}, bearer_token: {env: T}}",
       {"d.yaml:1: 'prometheus' has both a bearer token and a user name; remove one of them"}},
      {"prometheus: {url: \"http://[::1]:9090/prom\"}", {}},
      {"prometheus: {urls: [\"http://a:9090\", \"http://b:9090/prom\"]}", {}},
      {"prometheus:\n  url: http://a\n  urls: [\"http://b\"]",
       {"d.yaml:3: 'prometheus' has both 'url' and 'urls'; remove one of them"}},
      {"prometheus: {urls: []}",
       {"d.yaml:1: 'prometheus.urls' must be a list of 1 to 5 equal endpoints"}},
      {"prometheus: {urls: [\"http://a\", \"http://u:hunter2@b\"]}",
       {"d.yaml:1: 'prometheus.urls' must hold no user and password; give 'username' and "
        "'password' instead"}},
      {"prometheus: {urls: [\"http://a\", \"http://b\", \"http://a/\"]}",
       {"d.yaml:1: 'prometheus.urls' names one endpoint twice; remove it"}},
  };
  files_.Write("services.d/s.yaml", std::string(kService));
  for (const auto& [text, faults] : cases) EXPECT_EQ(Daemon(text + "\n"), faults) << text;
}

TEST_F(Faults, OfAdaptersAreReportedWithTheRest) {
  EXPECT_EQ(
      Daemon("prometheus: {url: \"http://h\"}\ngateways:\n  a: {type: fak}\n  b: {type: fake}\n"
             "  c: {type: fake, address: x, adress: y}\n  D: {type: fake, address: x}\n"
             "  e: {}\n"),
      (Texts{"d.yaml:3: unknown gateway type 'fak'; known: fake",
             "d.yaml:4: 'gateways.b.address' is missing",
             "d.yaml:5: unknown key 'adress'; did you mean 'address'?",
             "d.yaml:6: gateway name 'D' must hold only a-z, 0-9, '-', '_' and '.', at most "
             "63, and begin with a letter or digit",
             "d.yaml:7: 'gateways.e.type' is missing"}));
  files_.Write("d.yaml", kDaemon);
  EXPECT_EQ(Service("service: web\npolicy: ../p.lua\nmax: 4\nprovider:\n  type: fake\n  pots: 1\n"),
            (Texts{"services.d/s.yaml:6: unknown key 'pots'; did you mean 'ports'?"}));
  EXPECT_EQ(Service("service: web\npolicy: ../p.lua\nmax: 4\nprovider: {type: proces}\n"),
            (Texts{"services.d/s.yaml:4: unknown provider type 'proces'; known: fake"}));
}

TEST_F(Faults, OfWhatIsMissing) {
  EXPECT_EQ(Service("service: web\n"),
            (Texts{"services.d/s.yaml:1: 'policy' is missing; name a Lua file: policy: "
                   "../policies/checkout.lua",
                   "services.d/s.yaml:1: 'max' is missing; say how many instances there may be at "
                   "most",
                   "services.d/s.yaml:1: 'provider' is missing; say what starts and stops the "
                   "instances: provider: {type: process, ...}"}));
  EXPECT_EQ(Service("max: 1\n"),
            (Texts{"services.d/s.yaml:1: no service here; begin with 'service: NAME', or with "
                   "'services:' and a list"}));
  EXPECT_EQ(Service("service: Web\npolicy: ../none.lua\nmax: 4\nprovider: {type: fake}\n"),
            (Texts{"services.d/s.yaml:1: service name 'Web' must hold only a-z, 0-9, '-', '_' and "
                   "'.', at most 63, and begin with a letter or digit",
                   "services.d/s.yaml:2: cannot read policy none.lua: No such file or directory"}));
}

TEST_F(Faults, OfPolicyFiles) {
  files_.Write("big.lua", std::string(2000, '-'));
  files_.Write("d.yaml", std::string(kDaemon) + "policy_limits: {source: 1KiB}\n");
  EXPECT_EQ(Service("service: web\npolicy: ../big.lua\nmax: 4\nprovider: {type: fake}\n"),
            (Texts{"services.d/s.yaml:2: cannot read policy big.lua: it is larger than the 1024 "
                   "bytes allowed"}));
  EXPECT_EQ(
      Service("service: web\npolicy: ..\nmax: 4\nprovider: {type: fake}\n").at(0).substr(0, 40),
      "services.d/s.yaml:2: cannot read policy ");
  ASSERT_EQ(mkfifo(files_.Path("pipe.lua").c_str(), 0600), 0);
  EXPECT_EQ(Service("service: web\npolicy: ../pipe.lua\nmax: 4\nprovider: {type: fake}\n"),
            (Texts{"services.d/s.yaml:2: cannot read policy pipe.lua: it is not a regular file"}));
}

TEST_F(Faults, OfTheFileAsAWhole) {
  const std::string at = "services.d/s.yaml";
  const std::vector<std::pair<std::string, Texts>> cases = {
      {"", {at + ": the file is empty"}},
      {"# nothing\n", {at + ": the file is empty"}},
      {"- a\n", {at + ":1: this must be a mapping, not a list"}},
      {"a: b: c\n",
       {at + ":1: not valid YAML: illegal map value (a text that holds ': ' needs quotes, and "
             "indentation is by spaces)"}},
      {"a: 1\nb: [1,\n",
       {at + ":3: not valid YAML: end of sequence flow not found (a '[' is not closed)"}},
      {"a: \"open\nb: 1\n",
       {at + ":3: not valid YAML: illegal EOF in scalar (a quote is opened and never closed)"}},
      {"a: *x\n",
       {at + ":1: not valid YAML: the referenced anchor is not defined (a text that starts with * "
             "needs quotes)"}},
      {std::string(kService) + "---\nservice: b\n",
       {at + ":6: a second document begins here; a file holds one (is the indentation right?)"}},
      {std::string(kService) + "params: {a: 1, b: 2, a: 3}\n",
       {at + ":5: key 'a' is given twice, first on line 5; remove one"}},
      {std::string(kService) + "scaling:\n  up:\n    limits:\n    - {period: 1m, instances: 1,\n"
                               "       period: 2m}\n",
       {at + ":9: key 'period' is given twice, first on line 8; remove one"}},
      {std::string(kService) + "<<: {min: 1}\n",
       {at + ":5: merge keys ('<<') are not supported; write the keys out"}},
      {std::string(kService) + "? [a]\n: b\n", {at + ":5: a key must be text"}},
      {std::string(kService) + "params: &p {p: *p}\n",
       {at + ":5: parameter 'p' must be a number, true, false or text"}},
      {std::string(kService) + "---\n", {}},
  };
  for (const auto& [text, faults] : cases) EXPECT_EQ(Service(text), faults) << text;
  EXPECT_EQ(files_.Texts(LoadConfiguration(files_.Path("none.yaml"), {}).diagnostics),
            (Texts{"none.yaml: cannot read the file: No such file or directory"}));
}

TEST_F(Faults, DeepNestingIsAFaultAndNotACrash) {
  const Texts faults = Service(kService + std::string("params: ") + std::string(100'000, '['));
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].substr(0, 20), "services.d/s.yaml:5:");
}

TEST_F(Faults, AFewLinesOfAnchorsThatStandForBillionsOfValues) {
  std::string bomb = kService + std::string("a: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
  for (int i = 1; i < 10; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "b" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 1; j < 10; ++j) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_EQ(Service(bomb),
            (Texts{"services.d/s.yaml: the file holds more than 1000000 values, "
                   "counting what its anchors repeat; spread it over several files"}));
  // So do ten thousand services that are one.
  std::string services = "services:\n- &s {service: web, a: [" + std::string(400, ',') + "]}\n";
  for (int i = 0; i < 10'000; ++i) services += "- *s\n";
  EXPECT_EQ(Service(services).size(), 1u);
}

// Of these yaml-cpp makes documents until the memory is full.
TEST_F(Faults, ASignThatCanBeginNothing) {
  const std::string fault = ": not valid YAML: nothing can begin with the sign that stands here";
  EXPECT_EQ(Service(",x\n"), Texts{"services.d/s.yaml:1" + fault});
  EXPECT_EQ(Service("a: 1\n---\n,\n"), Texts{"services.d/s.yaml:3" + fault});
}

TEST_F(Faults, OfSize) {
  std::string wide = kService + std::string("params:\n");
  for (int i = 0; i < 10'001; ++i) wide += "  p" + std::to_string(i) + ": 1\n";
  EXPECT_EQ(Service(wide),
            (Texts{"services.d/s.yaml:6: a mapping with 10001 keys; at most 10000 are read"}));
  EXPECT_EQ(Service(std::string((16u << 20) + 1, '#')),
            (Texts{"services.d/s.yaml: cannot read the file: it is larger than the 16777216 bytes "
                   "allowed"}));
}

TEST_F(Faults, AreShortLinesWhateverTheFileHolds) {
  const Texts faults = Service("service: \"a\\nb\\e[31m" + std::string(100'000, 'x') + "\"\n");
  ASSERT_FALSE(faults.empty());
  EXPECT_TRUE(faults[0].starts_with("services.d/s.yaml:1: ")) << faults[0];
  for (const std::string& fault : faults) {
    EXPECT_LT(fault.size(), 1100u);
    EXPECT_EQ(fault.find_first_of("\n\x1b"), std::string::npos) << fault;
  }
}

TEST_F(Faults, ANameThatIsNoneIsNotRepeatedForEachPlaceholder) {
  std::string text = "service: " + std::string(1 << 20, 'x') + "\npolicy: ../p.lua\nmax: 4\n" +
                     "provider: {type: fake}\nmetrics: {a: {query: q, series: q, unit: ratio, " +
                     "match: {l: \"";
  for (int i = 0; i < 100'000; ++i) text += "{{service}}";  // 100 GB
  EXPECT_EQ(Service(text + "\"}}}\n").size(), 1u);
}

TEST_F(Faults, BetweenServicesNameBothPlaces) {
  files_.Write("services.d/a.yaml",
               "services:\n"
               "- {service: web, policy: ../p.lua, max: 1, provider: {type: fake}}\n"
               "- service: b\n  policy: ../p.lua\n  max: 1\n  provider: {type: fake, ports: 1-9}\n"
               "  gateways: [{gateway: edge, upstream: u}]\n");
  files_.Write("services.d/t.yaml",
               "service: t\npolicy: ../p.lua\nmax: 1\nprovider: {type: fake, ports: 1-9}\n"
               "gateways: [{gateway: edge, upstream: u}]\n");
  EXPECT_EQ(
      Load(),
      (Texts{"services.d/s.yaml:1: service 'web' is already defined at services.d/a.yaml:2; "
             "rename or remove one",
             "services.d/t.yaml:1: service 't' has the same target as 'b' at "
             "services.d/a.yaml:3 (fake 1-9); the two would fight over it",
             "services.d/t.yaml:1: upstream 'u' of gateway 'edge' is already published by 'b' "
             "at services.d/a.yaml:3; the two would overwrite each other's list"}));
}

TEST_F(Faults, APolicyIsNotGivenLongerThanATurnAllows) {
  const auto with = [this](const std::string& wall, const std::string& interval) {
    files_.Write("services.d/t.yaml",
                 "service: t\npolicy: ../p.lua\nmax: 1\nprovider: {type: fake, ports: 1-9}\n"
                 "interval: " +
                     interval + "\n");
    return Daemon(kDaemon + std::string("policy_limits:\n  wall: ") + wall + "\n");
  };
  EXPECT_EQ(with("1s", "2500ms"), Texts{});
  EXPECT_EQ(with("100ms", "250ms"), Texts{}) << "what nobody wrote fits the shortest interval";
  EXPECT_EQ(with("1s", "1s"),
            (Texts{"d.yaml:7: 'policy_limits.wall' of 1s is too long for the interval of 1s of "
                   "service 't' at services.d/t.yaml:1: a policy that hangs would cost every "
                   "service its turn; write at most 400ms, or lengthen that interval"}));
}

TEST_F(Faults, OverlappingPortsAreToldAtTheLaterService) {
  const auto service = [](const std::string& name, const std::string& ports,
                          const std::string& host = "h") {
    return "- {service: " + name +
           ", policy: ../p.lua, max: 1, provider: {type: fake, host: " + host +
           ", ports: " + ports + "}}\n";
  };
  const auto overlap = [](int line, const std::string& name, const std::string& ports) {
    return "services.d/s.yaml:" + std::to_string(line) + ": ports " + ports + " of service '" +
           name + "' overlap 100-199 of 'a' at services.d/s.yaml:2; choose another range";
  };
  EXPECT_EQ(Service("services:\n" + service("a", "100-199") + service("inside", "150-151") +
                    service("around", "1-900") + service("below", "1-100") +
                    service("above", "199-300") + service("one", "199-199")),
            (Texts{overlap(3, "inside", "150-151"), overlap(4, "around", "1-900"),
                   overlap(5, "below", "1-100"), overlap(6, "above", "199-300"),
                   overlap(7, "one", "199-199")}));
  EXPECT_EQ(Service("services:\n" + service("a", "100-199") + service("b", "200-299") +
                    service("c", "1-99") + service("d", "150-250", "elsewhere")),
            Texts());
  // Equal ones are the same target: told once.
  EXPECT_EQ(Service("services:\n" + service("a", "100-199") + service("b", "100-199")).size(), 1u);
}

TEST_F(Faults, FewerPortsThanMaxAreAWarning) {
  const std::string service =
      "service: a\npolicy: ../p.lua\nmax: 3\nprovider: {type: fake, host: h, ports: ";
  EXPECT_EQ(Service(service + "100-102}\n"), Texts());
  EXPECT_EQ(Service(service + "100-101}\n"),
            Texts{"services.d/s.yaml:1: warning: service 'a': 'max' is 3, and ports 100-101 are "
                  "enough for 2; give it more ports, or lower 'max'"});
}

TEST_F(Faults, OfAllFilesComeAtOnceAndInOrder) {
  files_.Write("d.yaml", std::string(kDaemon) + "nonsense: 1\n");
  files_.Write("services.d/b.yaml", "a: [\n");
  files_.Write("services.d/c.yml", kService);
  files_.Write("services.d/.hidden.yaml", "nonsense");
  EXPECT_EQ(
      Service(std::string(kService) + "min: x\ninterval: y\n"),
      (Texts{"d.yaml:1: warning: services.d/c.yml is not read: only *.yaml files are; rename it",
             "d.yaml:6: unknown key 'nonsense'; known here: listen, state_dir, services_dir, "
             "control, prometheus, log, policy_limits, protection, defaults, dry_run, metrics, "
             "gateways, plugins",
             "services.d/b.yaml:2: not valid YAML: end of sequence flow not found (a '[' is "
             "not closed)",
             "services.d/s.yaml:5: 'min' must be a whole number, not 'x'",
             "services.d/s.yaml:6: 'interval': a duration is written with its unit, such as "
             "250ms, 15s or 1h30m, not 'y'"}));
}

TEST_F(Faults, OfGuardsAreReportedAtTheirLines) {
  const std::string service = std::string(kService) +
                              "metrics:\n"
                              "  cpu: shared\n"
                              "  lag: {query: q, unit: count, series: q}\n"
                              "scaling:\n";
  const std::string at = "services.d/s.yaml:9: ";
  const std::vector<std::pair<std::string, Texts>> cases = {
      {"reversals: {most: 4}", {}},
      {"reversals: {most: 4, period: 30m}", {}},
      {"reversals: {period: 1h}", {at + "'scaling.reversals.most' is missing"}},
      {"error_guard: {metric: cpu, above: 0.9}", {}},
      {"error_guard: {metric: lag, above: 5000}", {}},
      {"error_guard: {metric: cpu}",
       {at + "the error guard's 'above' is missing, such as above: 0.05"}},
      {"error_guard: {metric: cpi, above: 0.9}",
       {at +
        "metric 'cpi' of the error guard is not declared by the service; did you mean 'cpu'?"}},
      {"error_guard: {metric: latency, above: 0.9}",
       {at + "metric 'latency' of the error guard is not declared by the service; name it under "
             "'metrics'"}},
      {"error_guard: {metric: cpu, above: 5}",
       {at + "5 does not fit metric 'cpu', whose unit is ratio; did you mean 0.05?"}},
      {"error_guard: {metric: lag, above: -1}",
       {at + "-1 does not fit metric 'lag', whose unit is count"}},
      {"projection: false", {}},
      {"projection: no", {at + "'scaling.projection' must be true or false, not 'no'"}},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_EQ(Service(service + "  " + text + "\n"), expected) << text;
  }
}

TEST_F(Faults, TheSumOverAllInstancesDoesNotSpread) {
  EXPECT_EQ(Service(std::string(kService) + "metrics:\n"
                                            "  cpu:\n"
                                            "    query: q\n"
                                            "    unit: ratio\n"
                                            "    series: q\n"
                                            "    per_instance: {label: id, aggregate: sum}\n"
                                            "    spread: true\n"),
            Texts{"services.d/s.yaml:11: 'spread' is for what one instance feels; the sum over all "
                  "stays the same whatever their number: choose another 'aggregate', or leave "
                  "'spread' out"});
}

TEST_F(Faults, TheCostOfAllMinsMustBePaidFor) {
  EXPECT_EQ(Service(std::string(kService) + "min: 4\ncost_per_hour: 2.5\n"), Texts{});
  EXPECT_EQ(Daemon(std::string(kDaemon) + "protection: {cost_per_hour: 10}\n"), Texts{});
  EXPECT_EQ(Daemon(std::string(kDaemon) + "protection: {cost_per_hour: 9.5}\n"),
            Texts{"d.yaml:6: 'protection.cost_per_hour' of 9.5 does not pay for 'min' of all "
                  "services, which is 10 an hour; raise it, or lower 'min' or 'cost_per_hour' of "
                  "some"});
}

}  // namespace
}  // namespace autoscale
