// policy test: runs *_test.lua and *.scenario files, several at a time.
#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "cli/command.h"
#include "cli/policy_files.h"
#include "simulator/test_report.h"

namespace autoscale::cli {
namespace {

constexpr int kMaxJobs = 64;

bool IsTest(const std::string& name) {
  return name.ends_with("_test.lua") || name.ends_with(".scenario");
}

TestReport RunFile(const std::string& path) {
  try {
    return path.ends_with(".scenario") ? RunScenarioFile(path) : RunLuaTests(path);
  } catch (const std::exception& error) {  // no memory, say: the other files are still run
    return {{.name = "can be run", .file = path, .failure = error.what()}};
  }
}

std::vector<TestReport> RunAll(const std::vector<std::string>& files, int jobs) {
  std::vector<TestReport> reports(files.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < files.size(); i = next++) reports[i] = RunFile(files[i]);
  };
  std::vector<std::thread> threads;
  const size_t count = std::min(static_cast<size_t>(std::clamp(jobs, 1, kMaxJobs)), files.size());
  for (size_t i = 1; i < count; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return reports;
}

std::string Place(const TestCase& test) {
  return test.file + (test.line > 0 ? ":" + std::to_string(test.line) : "");
}

std::string Indented(const std::string& text, const std::string& indent) {
  std::string out = indent;
  for (const char c : Printable(text)) {
    out += c;
    if (c == '\n') out += indent;
  }
  return out;
}

// TAP 14: a '#' in a description would begin a directive.
std::string TapDescription(const TestCase& test) {
  std::string out;
  for (const char c : Printable(Place(test) + " " + test.name)) {
    if (c == '#' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

void PrintTap(const Context& context, const TestReport& cases) {
  context.out << "TAP version 14\n1.." << cases.size() << "\n";
  for (size_t i = 0; i < cases.size(); ++i) {
    const TestCase& test = cases[i];
    context.out << (test.failure.empty() ? "ok " : "not ok ") << i + 1 << " - "
                << TapDescription(test) << "\n";
    if (test.failure.empty()) continue;
    context.out << "  ---\n  message: |\n" << Indented(test.failure, "    ") << "\n  ...\n";
  }
}

void PrintFailures(const Context& context, const TestReport& cases) {
  for (const TestCase& test : cases) {
    if (test.failure.empty()) continue;
    context.out << context.style.Apply(Paint::kBad, "FAILED") << " " << Printable(Place(test))
                << ": " << Printable(test.name) << "\n"
                << Indented(test.failure, "  ") << "\n";
  }
}

}  // namespace

int RunPolicyTest(const Context& context, const PolicyTestOptions& options) {
  const auto files = FindFiles(options.paths, IsTest,
                               "is no test: tests are named NAME_test.lua or NAME.scenario");
  if (!files) return Fail(context, kExitUsage, files.error().message);
  if (files->empty()) {
    return Fail(context, kExitUsage,
                "found no test (NAME_test.lua, NAME.scenario) in " + options.paths[0] +
                    (options.paths.size() > 1 ? " and the others" : ""));
  }
  const int jobs =
      options.jobs > 0 ? options.jobs : static_cast<int>(std::thread::hardware_concurrency());
  TestReport cases;
  for (TestReport& report : RunAll(*files, jobs)) {
    for (TestCase& test : report) {
      const std::string searched = Place(test) + " " + test.name;
      if (searched.find(options.filter) == std::string::npos) continue;
      cases.push_back(std::move(test));
    }
  }
  if (cases.empty()) {
    return Fail(context, kExitUsage,
                "no test" + (options.filter.empty()
                                 ? std::string()
                                 : " has '" + options.filter + "' in its place or name"));
  }
  const auto failed = std::count_if(cases.begin(), cases.end(),
                                    [](const TestCase& test) { return !test.failure.empty(); });
  if (options.tap) {
    PrintTap(context, cases);
  } else {
    PrintFailures(context, cases);
    context.out << cases.size() - static_cast<size_t>(failed) << " passed, " << failed
                << " failed, 0 skipped\n";
  }
  return failed == 0 ? kExitOk : kExitFailed;
}

}  // namespace autoscale::cli
