#include "providers/http/answer.h"

#include <gtest/gtest.h>

namespace autoscale {
namespace {

std::string Count(const std::string& body, const std::string& pointer) {
  const auto json = ParseJson(body);
  if (!json.ok()) return json.error().message;
  const auto count = ReadCount(*json, JsonPointer(pointer));
  return count.ok() ? std::to_string(*count) : count.error().message;
}

TEST(HttpAnswer, ReadsAWholeNumberAndNothingElse) {
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {"5", "", "5"},
      {R"({"a": {"b": [7, 3]}})", "/a/b/1", "3"},
      {R"({"n": 3.0})", "/n", "3"},
      {R"({"n": 0})", "/n", "0"},
      {R"({"n": 3.5})", "/n", "the answer's /n is 3.5, not a whole number from 0 to 100000"},
      {R"({"n": -1})", "/n", "the answer's /n is -1, not a whole number from 0 to 100000"},
      {R"({"n": 100001})", "/n", "the answer's /n is 100001, not a whole number from 0 to 100000"},
      {R"({"n": 1e99})", "/n", "the answer's /n is 1e+99, not a whole number from 0 to 100000"},
      {R"({"n": "3"})", "/n",
       "the answer's /n is the text '3', not a whole number from 0 to 100000"},
      {R"({"n": null})", "/n", "the answer's /n is null, not a whole number from 0 to 100000"},
      {R"({"n": true})", "/n", "the answer's /n is true, not a whole number from 0 to 100000"},
      {R"({"n": [1]})", "/n", "the answer's /n is a list, not a whole number from 0 to 100000"},
      {R"({"n": 1})", "", "the answer is an object, not a whole number from 0 to 100000"},
      {R"({"n": 1})", "/m", "the answer has no /m"},
      {R"([1])", "/n", "the answer has no /n"},
      {R"([1])", "/01", "the answer has no /01"},
      {R"([1])", "/-", "the answer has no /-"},
      {R"([1])", "/99999999999999999999", "the answer has no /99999999999999999999"},
      {"", "", "the answer is empty, not JSON"},
      {" \n", "", "the answer is empty, not JSON"},
      {R"({"n": 1)", "/n", "the answer is not JSON, or not all of it; it begins with '{\"n\": 1'"},
      {"<html>\n<body>no", "/n",
       "the answer is not JSON, or not all of it; it begins with '<html>'"},
      {"5 and more", "", "the answer is not JSON, or not all of it; it begins with '5 and more'"},
      {"\x1b[31m\xff", "", "the answer is not JSON, or not all of it; it begins with '?[31m?'"},
  };
  for (const auto& [body, pointer, told] : cases) EXPECT_EQ(Count(body, pointer), told) << body;
}

TEST(HttpAnswer, ShowsALongLineInPart) {
  EXPECT_EQ(FirstLine(std::string(5000, 'x')), std::string(120, 'x') + "...");
}

HttpInstances Options() {
  HttpInstances options;
  options.read.pointer = JsonPointer("/i");
  options.id = JsonPointer("/name");
  options.address = JsonPointer("/addr");
  options.ready = JsonPointer("/state");
  options.ready_values = {"RUNNING"};
  options.stopping_values = {"ENDING"};
  return options;
}

// "a 10.0.0.1:80 ready, b - not: DETAIL" or the error.
std::string List(const std::string& items, const HttpInstances& options = Options()) {
  const auto list = ReadList(*ParseJson("{\"i\": " + items + "}"), options);
  if (!list.ok()) return list.error().message;
  std::string text;
  for (const ListedInstance& one : *list) {
    text += (text.empty() ? "" : ", ") + one.id + " " +
            (one.endpoint.empty() ? "-" : one.endpoint) + " " +
            (one.health == ListedInstance::Health::kReady      ? "ready"
             : one.health == ListedInstance::Health::kStopping ? "stopping"
                                                               : "not") +
            (one.detail.empty() ? "" : ": " + one.detail);
  }
  return text;
}

TEST(HttpAnswer, ReadsAList) {
  EXPECT_EQ(List("[]"), "");
  EXPECT_EQ(List(R"([{"name": "a", "addr": "10.0.0.1:80", "state": "RUNNING"},
                     {"name": 7, "addr": "[::1]:80", "state": true},
                     {"name": "c", "addr": "10.0.0.2:80", "state": "ENDING"}])"),
            "a 10.0.0.1:80 ready, 7 [::1]:80 ready, "
            "c 10.0.0.2:80 stopping: /state is the text 'ENDING'");
  EXPECT_EQ(List(R"([{"name": "a", "addr": "10.0.0.1:80", "state": "BOOTING"},
                     {"name": "b", "addr": null, "state": false}, {"name": "c"}])"),
            "a 10.0.0.1:80 not: /state is the text 'BOOTING', b - not: /state is false, "
            "c - not: /state is not there");
  EXPECT_EQ(List(R"([{"name": "a", "addr": "", "state": true}])"),
            "a - not: it has no address yet");
}

TEST(HttpAnswer, AnAddressMayHaveItsPortElsewhere) {
  HttpInstances options = Options();
  options.ready.reset();
  options.fixed_port = 8080;
  EXPECT_EQ(List(R"([{"name": "a", "addr": "10.0.0.1"}, {"name": "b", "addr": "fe80::1"},
                     {"name": "c", "addr": "10.0.0.1:81"}])",
                 options),
            "a 10.0.0.1:8080 ready, b [fe80::1]:8080 ready, c 10.0.0.1:81 ready");
  options.port = JsonPointer("/port");
  EXPECT_EQ(List(R"([{"name": "a", "addr": "10.0.0.1", "port": 81},
                     {"name": "b", "addr": "10.0.0.1", "port": "82"},
                     {"name": "c", "addr": "10.0.0.1"}])",
                 options),
            "a 10.0.0.1:81 ready, b 10.0.0.1:82 ready, c - not: it has no address yet");
  EXPECT_EQ(List(R"([{"name": "a", "addr": "10.0.0.1", "port": 0}])", options),
            "instance 0 of /i has 0 as its port");
}

TEST(HttpAnswer, ItemsMayBeAddressesAlone) {
  HttpInstances options;
  options.address = JsonPointer();
  EXPECT_EQ(ReadList(*ParseJson(R"(["10.0.0.1:80"])"), options)->at(0).endpoint, "10.0.0.1:80");
}

TEST(HttpAnswer, AListThatIsNotClearIsAFault) {
  const std::string one = R"({"name": "a", "addr": "10.0.0.1:80", "state": true})";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{}", "the answer's /i is an object, not a list of instances"},
      {"null", "the answer's /i is null, not a list"},
      {"[3]", "instance 0 of /i has no /name"},
      {"[" + one + R"(, {"addr": "10.0.0.2:80"}])", "instance 1 of /i has no /name"},
      {R"([{"name": ""}])", "instance 0 of /i has the text '' as its id"},
      {R"([{"name": "a b"}])", "instance 0 of /i has the text 'a b' as its id"},
      {R"([{"name": 1.5}])", "instance 0 of /i has 1.5 as its id"},
      {"[" + one + "," + one + "]", "instance 1 of /i has the id of another: a"},
      {"[" + one + R"(, {"name": "b", "addr": "10.0.0.1:80"}])",
       "instance 1 of /i has the address of another: 10.0.0.1:80"},
      {R"([{"name": "a", "addr": "web.example:80"}])",
       "instance 0 of /i has the text 'web.example:80' as its address: it must be an IP address"},
      {R"([{"name": "a", "addr": "10.0.0.1"}])", "with a port, or 'port' must say it"},
      {R"([{"name": "a", "addr": "10.0.0.1:99999"}])", "as its address"},
      {R"([{"name": "a", "addr": 7}])", "has 7 as its address"},
      {R"([{"name": "a", "addr": "10.0.0.1:80", "state": 1}])",
       "has 1 as 'ready': it must be true, false or a text"},
  };
  for (const auto& [items, told] : cases) {
    EXPECT_NE(List(items).find(told), std::string::npos) << List(items);
  }
  EXPECT_EQ(ReadList(*ParseJson("{}"), Options()).error().message, "the answer has no /i");
}

}  // namespace
}  // namespace autoscale
