#include <fstream>

#include "tests/unit/http_provider/rig.h"

namespace autoscale {
namespace {

const std::string kGood =
    "current: {url: \"http://m:8080/groups/{{service}}\", pointer: /capacity}\n"
    "set: {url: \"http://m:8080/groups/{{service}}\", body: '{\"capacity\": {{capacity}}}'}\n";

TEST(HttpOptions, ReadsEverything) {
  const auto [target, messages] = ParseHttp(R"(type: http
current: {url: "https://m/v1/groups?name={{service}}", pointer: "/{{service}}/size"}
scale_up: {url: "https://m/up?by={{delta}}", method: PATCH}
scale_down:
  url: https://m/down
  body: '{"group": "{{service}}", "end": {{victims}}, "key": "{{ intent }}"}'
  headers: {X-Seen: "{{seen}}", If-Match: "{{capacity}}"}
instances:
  url: https://m/list
  pointer: /items
  id: /name
  address: /ip
  port: 8080
  ready: /status
  ready_values: [RUNNING]
  stopping_values: [ENDING]
headers: {X-Team: "of {{service}}"}
poll: 2s
timeout: 3s
retries: 1
max_answer: 1MiB
auth: {oauth2: {token_url: "https://login/token", client_id: me, client_secret: {file: secret},
                scope: scaling, client_auth: form, parameters: {audience: m}}}
)",
                                            "w.b");
  EXPECT_TRUE(messages.empty()) << messages.front();
  ASSERT_TRUE(target);
  EXPECT_EQ(target->current.url, "https://m/v1/groups?name=w.b");
  EXPECT_EQ(target->current.pointer.to_string(), "/w.b/size");
  EXPECT_FALSE(target->set);
  EXPECT_EQ(target->scale_up->method, "PATCH");
  EXPECT_TRUE(target->ends_exactly());
  const HttpVariables values{.service = "w.b",
                             .capacity = 3,
                             .delta = 2,
                             .seen = 5,
                             .intent = "w.b/1/2",
                             .victims = {"a\"", "b"}};
  EXPECT_EQ(target->scale_up->url.Render(values, HttpEscaping::kUrl), "https://m/up?by=2");
  EXPECT_EQ(target->scale_down->body.Render(values, HttpEscaping::kJson),
            R"({"group": "w.b", "end": ["a\"","b"], "key": "w.b/1/2"})");
  EXPECT_EQ(target->scale_down->headers.at(0).second.Render(values, HttpEscaping::kHeader), "5");
  EXPECT_EQ(target->instances->fixed_port, 8080);
  EXPECT_EQ(target->access.headers.at(0).second, "of w.b");
  EXPECT_EQ(target->access.secret.name, "/etc/autoscaled/services.d/secret");
  EXPECT_EQ(target->access.form.size(), 2u);
  EXPECT_EQ(target->poll, Millis(2000));
  EXPECT_EQ(target->timeout, Millis(3000));
  EXPECT_EQ(target->retries, 1);
  EXPECT_EQ(target->max_answer_bytes, 1u << 20);
}

TEST(HttpOptions, Defaults) {
  const auto [target, messages] = ParseHttp(kGood);
  EXPECT_TRUE(messages.empty()) << messages.front();
  EXPECT_EQ(target->set->method, "PUT");
  EXPECT_FALSE(target->ends_exactly());
  EXPECT_TRUE(target->has_capacity());  // so that `capacity: shared` may be said
  EXPECT_EQ(target->set->headers.at(0).first, "Content-Type");
  EXPECT_EQ(target->identity(), "http://m:8080/groups/web at '/capacity'");
}

TEST(HttpOptions, ValuesCannotBreakOutOfTheirPlace) {
  const HttpVariables values{
      .service = "a\"b&c", .capacity = 1, .intent = "i/1", .victims = {"x y", "\",\"z"}};
  const auto made =
      *HttpTemplate::Parse("{{service}} {{intent}} {{victims}}", {"service", "intent", "victims"});
  EXPECT_EQ(made.Render(values, HttpEscaping::kJson), R"(a\"b&c i/1 ["x y","\",\"z"])");
  EXPECT_EQ(made.Render(values, HttpEscaping::kUrl), "a%22b%26c i%2F1 x%20y,%22%2C%22z");
}

TEST(HttpOptions, TheIdentityHoldsTheQueryAndDoesNotShowIt) {
  const auto of = [](const std::string& query) {
    return ParseHttp("current: {url: \"http://m/g?" + query + "\"}\n" +
                     kGood.substr(kGood.find("set")))
        .target->identity();
  };
  const auto place = [](const std::string& url) {
    return ParseHttp("current: {url: \"" + url + "\"}\n" + kGood.substr(kGood.find("set")))
        .target->place();
  };
  EXPECT_EQ(of("group=a"), of("group=a"));
  EXPECT_NE(of("group=a"), of("group=b"));
  EXPECT_FALSE(Has(of("group=a"), "group"));
  EXPECT_EQ(place("http://m/g?key=a"), place("http://m/g?key=b")) << "a key may change";
  EXPECT_NE(place("http://m/g"), place("http://m/h"));
}

TEST(HttpOptions, FaultsSayWhereAndWhatToDo) {
  const std::string current = kGood.substr(0, kGood.find("set"));
  const std::string set = kGood.substr(kGood.find("set"));
  const std::string up = "scale_up: {url: \"http://m/up?n={{delta}}\"}\n";
  const std::string down = "scale_down: {url: \"http://m/down?n={{delta}}\"}\n";
  const std::vector<std::pair<std::string, std::string>> faults = {
      {set, "'provider.current' is missing: say where the capacity is read"},
      {set + "current: {pointer: /x}\n", "web.yaml:2: 'provider.current.url' is missing"},
      {set + "current: {url: m/x}\n", "'provider.current.url' must be http://HOST:PORT"},
      {set + "current: {url: \"http://u:p@m/x\"}\n", "must hold no user and password; say 'auth'"},
      {set + "current: {url: \"http://m/x#y\"}\n", "must not hold a '#'"},
      {set + "current: {url: \"http://m/x?a b\"}\n", "must hold no blanks: write %20"},
      {set + "current: {url: \"http://m/{{capacity}}\"}\n",
       "'provider.current.url' holds {{capacity}}, which is not known; known here: service"},
      {set + "current: {url: \"http://m\", pointer: capacity}\n",
       "web.yaml:2: 'provider.current.pointer' must be a JSON pointer, such as /status/capacity"},
      {set + "current: {url: \"http://m\", pointr: /x}\n", "did you mean 'pointer'?"},
      {current, "say how the capacity is changed: either 'provider.set', or both"},
      {kGood + up + down, "web.yaml:2: say how the capacity is changed: either"},
      {current + up, "'provider.scale_up' and 'provider.scale_down' go together"},
      {current + "set: {url: \"http://m/x\"}\n",
       "web.yaml:2: 'provider.set' never says how many there are to be: put {{capacity}}"},
      {current + up + "scale_down: {url: \"http://m/down\"}\n",
       "web.yaml:3: 'provider.scale_down' never says how many fewer"},
      {current + "set: {url: \"http://m/x?n={{capacty}}\"}\n",
       "holds {{capacty}}, which is not known; did you mean 'capacity'?"},
      {current + "set: {url: \"http://m/x?n={{capacity\"}\n", "holds a '{{' without its '}}'"},
      {current + "set: {url: \"http://m/x\", body: '{\"n\": \"{{capacity}}}'}\n",
       "'provider.set.body' is not JSON once it is filled in: {\"n\": \"2}"},
      {current + "set: {url: \"http://m/{{capacity}}\", method: GET}\n",
       "'provider.set.method' must be PUT, POST, PATCH or DELETE"},
      {current + "set: {url: \"http://m/{{capacity}}\", headers: {\"A b\": c}}\n",
       "A b: cannot be a header's name"},
      {current + "set: {url: \"http://m/{{capacity}}\", headers: {idempotency-key: c}}\n",
       "idempotency-key is not given here: it is set by itself"},
      {current + "set: {url: \"http://m/{{capacity}}?v={{victims}}\"}\n",
       "{{victims}} are ids of 'provider.instances'"},
      {kGood + "headers: {Authorization: Bearer x}\n",
       "web.yaml:3: 'provider.headers.Authorization' Authorization is not given here; say 'auth'"},
      {kGood + "headers: {X: \"a\\nb\"}\n", "holds a line break"},
      {kGood + "auth: {bearer: secret}\n", "is a secret and is never written here"},
      {kGood + "auth: {}\n", "'provider.auth' must be one of bearer, basic, header and oauth2"},
      {kGood + "auth: {basic: {username: me}}\n", "'provider.auth.basic.password' is missing"},
      {kGood + "auth: {oauth2: {token_url: x, client_id: me, client_secret: {env: S}}}\n",
       "'provider.auth.oauth2.token_url' must be http://"},
      {kGood + "tls: {key_file: /dev/null}\n", "'provider.tls.key_file' needs 'certificate_file'"},
      {kGood + "instances: {id: /a, port: 80}\n", "'provider.instances.port' needs 'address'"},
      {kGood + "instances: {address: /a, port: 0}\n", "'provider.instances.port' must be a port"},
      {kGood + "instances: {ready_values: [x]}\n",
       "'provider.instances.ready_values' needs 'ready'"},
      {kGood + "poll: 1ms\n", "'provider.poll' must be at least 100ms"},
      {kGood + "retries: 11\n", "'provider.retries' must be at most 10"},
      {kGood + "capacity: 5\n", "web.yaml:3: unknown key 'capacity'"},
  };
  for (const auto& [yaml, message] : faults) {
    const auto errors = [&] {
      std::vector<std::string> kept;
      for (const std::string& text : ParseHttp(yaml).messages) {
        if (!Has(text, "warning: 'provider.auth' goes over http")) kept.push_back(text);
      }
      return kept;
    }();
    ASSERT_EQ(errors.size(), 1u) << yaml
                                 << (errors.empty() ? "" : errors[0] + "\n" + errors.back());
    EXPECT_TRUE(Has(errors[0], message)) << errors[0] << "\n" << message;
  }
}

TEST(HttpOptions, WarnsOfSecretsThatAllCanRead) {
  const std::string auth = "auth: {bearer: {file: token}}\n";
  EXPECT_TRUE(Has(ParseHttp(kGood + auth).messages.at(0), "goes over http"));
  const std::string here =
      "current: {url: \"http://127.0.0.1/\"}\nset: {url: \"http://127.0.0.1/{{capacity}}\"}\n";
  EXPECT_TRUE(ParseHttp(here + auth).messages.empty());
}

// The ```yaml blocks of the page.
TEST(HttpOptions, TheExamplesOfThePageLoad) {
  std::ifstream page(std::string(AUTOSCALE_SOURCE_DIR) + "/docs/providers/http.md");
  std::vector<std::string> examples;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line == "```yaml") {
      inside = true;
      examples.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      examples.back() += line + "\n";
    }
  }
  ASSERT_EQ(examples.size(), 2u);
  for (const std::string& example : examples) {
    const YAML::Node provider = YAML::Load(example)["provider"];
    ASSERT_TRUE(provider.IsMap()) << example;
    YAML::Emitter text;
    text << provider;
    for (const std::string& message : ParseHttp(text.c_str()).messages) {
      EXPECT_TRUE(Has(message, "warning: there is no file")) << message << "\n" << example;
    }
  }
}

}  // namespace
}  // namespace autoscale
