#include "tests/fault/prometheus/faults.h"

namespace autoscale {
namespace {

using Ending = FakeAnswer::Ending;
using Text = std::string;

FakeAnswer Page(int status, const Text& body) {
  FakeAnswer page{.status = status, .body = body};
  if (status == 302) page.headers.emplace_back("Location", "/login");
  return page;
}

// What would bring the fleet down to one if it were believed.
FakeAnswer Low(const Text& service, double now) {
  return FakePrometheus::Vector(FakePrometheus::Rows(service, "1", now));
}
FakeAnswer Value(const Text& service, const Text& value, double now) {
  return FakePrometheus::Vector(FakePrometheus::Rows(service, value, now));
}
FakeAnswer With(FakeAnswer answer, const Text& after, const Text& extra) {
  answer.body.insert(answer.body.find(after) + after.size(), extra);
  return answer;
}
FakeAnswer Ended(FakeAnswer answer, Ending ending) {
  answer.ending = ending;
  return answer;
}
FakeAnswer Late(FakeAnswer answer, int ms) {
  answer.delay = std::chrono::milliseconds(ms);
  return answer;
}
FakeAnswer Typed(const Text& type, const Text& result) {
  return {.body = R"({"status":"success","data":{"resultType":")" + type + R"(","result":)" +
                  result + "}}"};
}
FakeAnswer Refusal(int status, const Text& type, const Text& words) {
  return {.status = status,
          .body = R"({"status":"error","errorType":")" + type + R"(","error":")" + words + "\"}"};
}
Text Others(double now, int count) {
  Text rows;
  for (int i = 0; i < count; ++i) {
    rows += FakePrometheus::Series(R"("service":"other-)" + std::to_string(i) + '"', "", now, "1") +
            ",";
  }
  return rows;
}

// As the daemon writes it.
const Text kTimedOut =
    "timed out after " + (kQueryTimeout < 1000
                              ? std::to_string(kQueryTimeout) + "ms"
                              : std::to_string(kQueryTimeout / 1000) + "." +
                                    std::to_string(kQueryTimeout % 1000 / 100) + "s");
const Text kSuccess = R"({"status":"success")";

const std::vector<FaultRow> kConnectionRows = {
    {"dropped",
     [](const Text&, double) { return FakeAnswer{.ending = Ending::kDrop}; },
     "error",
     {"the connection was closed before an answer came"}},
    {"hung",
     [](const Text&, double) { return FakeAnswer{.ending = Ending::kHang}; },
     "error",
     {kTimedOut}},
    {"slower-than-the-time-out",
     [](const Text& s, double t) { return Late(Low(s, t), 2 * kQueryTimeout); },
     "error",
     {kTimedOut}},
    {"slow",
     [](const Text& s, double t) { return Late(Value(s, "2", t), kQueryTimeout / 4); },
     "fresh",
     {}},
    {"dripping",
     [](const Text& s, double t) { return Ended(Low(s, t), Ending::kDrip); },
     "error",
     {kTimedOut}},
    {"cut-short",
     [](const Text& s, double t) { return Ended(Low(s, t), Ending::kCut); },
     "error",
     {"the connection was closed in the middle of the answer"}},
    {"not-http",
     [](const Text&, double) { return FakeAnswer{.raw = "ERR unknown command\r\n"}; },
     "error",
     {"the answer is not HTTP"}},
    {"endless-headers",
     [](const Text&, double) {
       Text raw = "HTTP/1.1 200 OK\r\n";
       for (int i = 0; i < 4000; ++i) raw += "X-Header: " + Text(100, 'x') + "\r\n";
       return FakeAnswer{.raw = raw};
     },
     "error",
     {"its headers are larger than the limit"}},
    {"a-million-series",
     [](const Text&, double now) {
       FakeAnswer answer = FakePrometheus::Vector("");
       answer.body = Others(now, 1000);
       return Ended(answer, Ending::kEndless);
     },
     "error",
     {"the answer is larger than the limit of 1048576 bytes"}},
    {"just-below-the-limit",
     [](const Text& s, double t) {
       return FakePrometheus::Vector(Others(t, 11'000) + FakePrometheus::Rows(s, "2", t));
     },
     "fresh",
     {}},
    {"gzip",
     [](const Text&, double) {
       return FakeAnswer{.body = "\x1f\x8b\x08", .headers = {{"Content-Encoding", "gzip"}}};
     },
     "error",
     {"answered in the encoding 'gzip'"}},
};

const std::vector<FaultRow> kStatusRows = {
    {"status-500",
     [](const Text&, double) { return Page(500, "oh no"); },
     "error",
     {"answered with status 500: oh no"}},
    {"status-503",
     [](const Text&, double) { return Page(503, "starting up"); },
     "error",
     {"answered with status 503: starting up"}},
    {"status-429",
     [](const Text&, double) { return Page(429, "slow down"); },
     "error",
     {"answered with status 429: slow down"}},
    {"status-401",
     [](const Text&, double) { return Page(401, "who are you"); },
     "error",
     {"status 401: it does not accept the credentials"}},
    {"status-404",
     [](const Text&, double) { return Page(404, "<h1>nothing</h1>"); },
     "error",
     {"status 404: there is no Prometheus API at this URL"}},
    {"redirect",
     [](const Text&, double) { return Page(302, "login"); },
     "error",
     {"status 302: a redirect"}},
    {"bad-query",
     [](const Text&, double) { return Refusal(400, "bad_data", "parse error"); },
     "error",
     {"refused the query: bad_data: parse error"}},
    {"failed-query",
     [](const Text&, double) { return Refusal(200, "execution", "no store"); },
     "error",
     {"refused the query: execution: no store"}},
    {"success-with-status-500",
     [](const Text& s, double t) {
       FakeAnswer answer = Low(s, t);
       answer.status = 500;
       return answer;
     },
     "error",
     {"answered with status 500: {\"status\":\"success\""}},
};

const std::vector<FaultRow> kFormRows = {
    {"cut-json",
     [](const Text& s, double t) {
       FakeAnswer answer = Low(s, t);
       answer.body.resize(answer.body.size() - 20);
       return answer;
     },
     "error",
     {"not an answer of Prometheus"}},
    {"html",
     [](const Text&, double) { return Page(200, "<html>Welcome</html>"); },
     "error",
     {"not an answer of Prometheus"}},
    {"an-array",
     [](const Text&, double) { return Page(200, "[1,2]"); },
     "error",
     {"not an answer of Prometheus"}},
    {"a-matrix",
     [](const Text&, double) { return Typed("matrix", "[]"); },
     "error",
     {"the query answers a matrix"}},
    {"a-scalar",
     [](const Text&, double) { return Typed("scalar", R"([1,"1"])"); },
     "error",
     {"the query answers a single number"}},
    {"a-bare-number",
     [](const Text& s, double) {
       return Typed("vector", R"([{"metric":{"service":")" + s + R"("},"value":[1,1]}])");
     },
     "error",
     {"not an answer of Prometheus"}},
    {"a-word",
     [](const Text& s, double t) { return Value(s, "one", t); },
     "error",
     {"'one' is not a number"}},
    {"a-warning",
     [](const Text& s, double t) {
       return With(Low(s, t), kSuccess, R"(,"warnings":["half is missing"])");
     },
     "error",
     {"answered with a warning: half is missing"}},
    {"an-info",
     [](const Text& s, double t) {
       return With(Value(s, "2", t), kSuccess, R"(,"infos":["may not be a counter"])");
     },
     "fresh",
     {}},
    {"odd-labels",
     [](const Text& s, double t) {
       return FakePrometheus::Vector(
           FakePrometheus::Series("\"service\":\"\xf0\x9f\x90\x8c\\u0000\\\"\\n\"", "", t, "1") +
           "," + FakePrometheus::Rows(s, "2", t));
     },
     "fresh",
     {}},
    {"bytes-that-are-no-text",
     [](const Text& s, double t) {
       return FakePrometheus::Vector(
           FakePrometheus::Series("\"service\":\"\xff\xfe\"", "", t, "1") + "," +
           FakePrometheus::Rows(s, "1", t));
     },
     "error",
     {"not an answer of Prometheus"}},
    {"one-key-twice",
     [](const Text& s, double t) {
       return FakePrometheus::Vector(FakePrometheus::Rows(s, "1", t) + "," +
                                     FakePrometheus::Rows(s, "0", t));
     },
     "error",
     {"the query answers several series for service="}},
};

const std::vector<FaultRow> kValueRows = {
    {"nothing",
     [](const Text&, double) { return FakePrometheus::Vector(""); },
     "stale",
     {"none of its series reports any more"}},
    {"nothing-and-no-series-named",
     [](const Text&, double) { return FakePrometheus::Vector(""); },
     "empty",
     {"its query found no series"},
     false},
    {"not-a-number",
     [](const Text& s, double t) { return Value(s, "NaN", t); },
     "nan",
     {"its query answered no finite number"}},
    {"infinite",
     [](const Text& s, double t) { return Value(s, "+Inf", t); },
     "nan",
     {"its query answered no finite number"}},
    {"minus-infinite",
     [](const Text& s, double t) { return Value(s, "-Inf", t); },
     "nan",
     {"its query answered no finite number"}},
    {"negative",
     [](const Text& s, double t) { return Value(s, "-3", t); },
     "implausible",
     {"the value -3 is below 0"}},
    {"absurd",
     [](const Text& s, double t) { return Value(s, "1e300", t); },
     "implausible",
     {"the value 1e+300 is beyond anything that could be measured"}},
    {"counted-twice",
     [](const Text& s, double t) {
       return FakePrometheus::Vector(FakePrometheus::Rows(s, "4", t, 0, 2));
     },
     "implausible",
     {"200 % of the series expected answer: something is counted twice"}},
    {"half-the-exporters-dead",
     [](const Text& s, double t) {
       return FakePrometheus::Vector(FakePrometheus::Rows(s, "1", t, 0, 1));
     },
     "partial",
     {"speaks for 50 %"},
     true,
     2},
    {"a-window-over-the-dead",
     [](const Text& s, double t) {
       return FakePrometheus::Vector(
           FakePrometheus::Series("\"service\":\"" + s + '"', "", t, "1"));
     },
     "stale",
     {"none of its series reports any more"}},
    {"old-data",
     [](const Text& s, double t) {
       return FakePrometheus::Vector(FakePrometheus::Rows(s, "1", t, 60));
     },
     "stale",
     {"its newest data is 60 s old"}},
    {"data-from-the-future",
     [](const Text& s, double t) {
       return FakePrometheus::Vector(FakePrometheus::Rows(s, "1", t, -600));
     },
     "implausible",
     {"its newest data is 600 s in the future"}},
};

}  // namespace

const std::vector<FaultRow>& FaultRows() {
  static const std::vector<FaultRow> rows = [] {
    std::vector<FaultRow> all;
    for (const auto* some : {&kConnectionRows, &kStatusRows, &kFormRows, &kValueRows}) {
      all.insert(all.end(), some->begin(), some->end());
    }
    return all;
  }();
  return rows;
}

}  // namespace autoscale
