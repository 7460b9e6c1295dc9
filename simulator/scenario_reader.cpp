// Reads the text of a scenario: a header in YAML, and a line for each load and expectation.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "config/scalar.h"
#include "engine/model/text.h"
#include "simulator/scenario.h"

namespace autoscale {
namespace {

constexpr size_t kMaxWords = 200;   // of one line
constexpr size_t kShownBytes = 60;  // of a word, in a message
constexpr double kMaxInstances = 1e6;
constexpr Millis kLongest = std::chrono::hours(24 * 366);

struct Word {
  std::string text;
  bool quoted = false;
};

// A fault of the line; caught where lines are read.
struct LineFault {
  std::string message;
};

std::vector<Word> Split(std::string_view line) {
  std::vector<Word> words;
  for (size_t at = 0; at < line.size();) {
    const char c = line[at];
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++at;
    } else if (c == '#') {
      break;
    } else if (c == '"') {
      const size_t end = line.find('"', at + 1);
      if (end == std::string_view::npos) throw LineFault{"a quote is opened and never closed"};
      words.push_back({std::string(line.substr(at + 1, end - at - 1)), true});
      at = end + 1;
    } else if (c == ',') {
      words.push_back({",", false});
      ++at;
    } else {
      const size_t end = std::min(line.find_first_of(" \t\r,#\"", at), line.size());
      words.push_back({std::string(line.substr(at, end - at)), false});
      at = end;
    }
    if (words.size() > kMaxWords) throw LineFault{"the line is too long; write several"};
  }
  return words;
}

class LineReader {
 public:
  LineReader(Scenario& scenario, std::string_view line, int number)
      : scenario_(scenario), line_(line), number_(number), words_(Split(line)) {}

  void Read() {
    if (words_.empty()) return;
    if (Take("at")) {
      from_ = Time();
    } else if (Take("from")) {
      from_ = Time();
      range_ = true;
      if (Take("to")) to_ = Time();
      if (to_ && *to_ <= from_) throw LineFault{"the time after 'to' must be later than the first"};
    } else {
      Wanted("a line begins with 'at TIME' or 'from TIME to TIME'");
    }
    Note(to_.value_or(from_));
    if (Take("expect")) return ReadExpectation();
    do ReadLoad();
    while (Take(","));
    if (!AtEnd()) Wanted("expected ',' and another metric, or the end of the line");
  }

 private:
  [[nodiscard]] bool AtEnd() const { return at_ >= words_.size(); }
  bool Take(std::string_view word) {
    if (AtEnd() || words_[at_].quoted || words_[at_].text != word) return false;
    ++at_;
    return true;
  }
  [[noreturn]] void Wanted(const std::string& what) const {
    throw LineFault{what + (AtEnd() ? ", and the line ends"
                                    : ", not '" + OneLine(words_[at_].text, kShownBytes) + "'")};
  }
  std::string Next(const std::string& what) {
    if (AtEnd() || words_[at_].quoted || words_[at_].text == ",") Wanted("expected " + what);
    return words_[at_++].text;
  }
  std::string Quoted() {
    if (AtEnd() || !words_[at_].quoted) Wanted("expected a text in quotes");
    return words_[at_++].text;
  }
  void Note(Millis time) { scenario_.length = std::max(scenario_.length, time); }

  Millis Time() {
    const std::string text = Next("a time since the start, such as 90s or 5m");
    if (const auto duration = ParseDuration(text)) return Bounded(*duration);
    if (const auto time = ParseTime(text)) {
      const Millis since = *time - scenario_.setup.start.start;
      if (since < Millis(0)) throw LineFault{text + " is before the scenario's start"};
      return Bounded(since);
    }
    --at_;
    Wanted("a time is written such as 0s, 90s, 5m, 1h30m or 2026-03-29T08:00:00Z");
  }
  static Millis Bounded(Millis time) {
    if (time <= kLongest) return time;
    throw LineFault{"a scenario cannot last longer than " + FormatDuration(kLongest)};
  }
  double Number(double least, double most) {
    const std::string text = Next("a number");
    const auto number = ParseDouble(text);
    if (!number || *number < least || *number > most) {
      --at_;
      Wanted(number ? "the number is out of range" : "expected a number");
    }
    return *number;
  }

  // --- loads: METRIC [total|each] is VALUE [-> VALUE] ---

  void ReadLoad() {
    LoadSpan span{.metric = Metric(), .from = from_, .to = to_};
    const bool total = Take("total");
    const bool each = !total && Take("each");
    if (!Take("is")) Wanted("expected 'is' and a value");
    Reading& reading = span.reading;
    if (const auto trouble = AtEnd() ? std::nullopt : ParseTrouble(words_[at_].text)) {
      ++at_;
      reading.state = *trouble;
    } else if (each) {
      reading.kind = Reading::Kind::kEach;
      do {
        reading.each.push_back(
            {.instance = InstanceId(reading.each.size() + 1), .value = Number(-1e18, 1e18)});
      } while (!AtEnd() && ParseDouble(words_[at_].text));
    } else {
      reading.kind = total ? Reading::Kind::kTotal : Reading::Kind::kValue;
      reading.value = Value();
      if (Take("->")) Ramp(span);
    }
    scenario_.loads.push_back(std::move(span));
  }
  double Value() {
    if (AtEnd() || !ParseDouble(words_[at_].text)) {
      Wanted("expected a number or missing, stale, partial, nan, error or implausible");
    }
    return Number(-1e18, 1e18);
  }
  void Ramp(LoadSpan& span) {
    if (!to_) throw LineFault{"a change from one value to another needs 'from TIME to TIME'"};
    span.ramp_to = Number(-1e18, 1e18);
    LoadSpan after{.metric = span.metric, .from = *to_, .reading = span.reading};
    after.reading.value = *span.ramp_to;
    scenario_.loads.push_back(std::move(after));  // where it ends it stays
  }
  size_t Metric() {
    const std::string name = Next("a metric or 'expect'");
    const auto& declared = scenario_.setup.service.declared;
    std::vector<std::string> names;
    for (const DeclaredMetric& metric : declared) {
      if (metric.name == name) return static_cast<size_t>(&metric - declared.data());
      names.push_back(metric.name);
    }
    throw LineFault{
        "unknown metric '" + OneLine(name, kShownBytes) + "'" + DidYouMean(name, names) +
        (names.empty() ? "; the header declares none" : "; the header declares " + Join(names))};
  }

  // --- expect [always|never|sometime] CONDITION {and CONDITION} [within DURATION] ---

  void ReadExpectation() {
    ExpectLine out{
        .line = number_, .text = Trimmed(), .from = from_, .to = to_ ? *to_ - Millis(1) : from_};
    out.open = range_ && !to_;
    const bool word = Quantifier(out);
    if (word && !range_) {
      throw LineFault{"always, never and sometime need a range: from TIME to TIME expect ..."};
    }
    if (!word && range_) out.when = ExpectLine::When::kAlways;
    do ReadCondition(out);
    while (Take("and"));
    if (Take("within")) {
      if (range_) throw LineFault{"'within' needs a moment: at TIME expect ... within DURATION"};
      out.when = ExpectLine::When::kSometime;
      out.to = from_ + Duration();
      Note(out.to);
    }
    if (!AtEnd()) Wanted("expected 'and', 'within' or the end of the line");
    scenario_.expectations.push_back(std::move(out));
  }
  bool Quantifier(ExpectLine& out) {
    using When = ExpectLine::When;
    for (const auto& [name, when] : {std::pair{"always", When::kAlways},
                                     {"never", When::kNever},
                                     {"sometime", When::kSometime}}) {
      if (!Take(name)) continue;
      out.when = when;
      return true;
    }
    return false;
  }
  Millis Duration() {
    const auto duration = ParseDuration(Next("a duration such as 2m"));
    if (!duration) throw LineFault{duration.error().message};
    return Bounded(*duration);
  }
  void ReadCondition(ExpectLine& out) {
    using Subject = Condition::Subject;
    Condition condition;
    if (Take("reason")) {
      condition.subject = Subject::kReason;
      condition.negated = Take("lacks");
      if (!condition.negated && !Take("contains")) Wanted("expected 'contains' or 'lacks'");
      condition.text = Quoted();
    } else if (Take("stage")) {
      ReadStage(condition);
    } else if (Take("proposal")) {
      condition.subject = Subject::kProposal;
      ReadName(condition, {"hold", "scale_up", "scale_down", "scale_to", "track"});
    } else if (Take("cause")) {
      condition.subject = Subject::kCause;
      ReadName(condition, {"policy", "inside", "pending", "metric", "fault"});
    } else {
      ReadQuantity(condition);
    }
    out.conditions.push_back(std::move(condition));
  }
  void ReadStage(Condition& condition) {
    condition.subject = Condition::Subject::kStage;
    condition.text = Next("a stage such as rate");
    if (!FindStageName(condition.text)) {
      --at_;
      Wanted("expected a stage such as stabilization, rate, cooldown, step or bounds");
    }
    condition.negated = Take("unchanged");
    if (!condition.negated && !Take("changed")) Wanted("expected 'changed' or 'unchanged'");
  }
  void ReadName(Condition& condition, const std::vector<std::string>& names) {
    if (!Take("is")) Wanted("expected 'is'");
    condition.negated = Take("not");
    condition.text = Next(JoinOr(names));
    if (std::find(names.begin(), names.end(), condition.text) != names.end()) return;
    --at_;
    Wanted("expected " + JoinOr(names));
  }
  void ReadQuantity(Condition& condition) {
    using Subject = Condition::Subject;
    static const std::array<std::pair<std::string, Subject>, 5> kQuantities = {
        {{"desired", Subject::kDesired},
         {"ready", Subject::kReady},
         {"pending", Subject::kPending},
         {"wanted", Subject::kWanted},
         {"changes", Subject::kChanges}}};
    for (const auto& [name, subject] : kQuantities) {
      if (!Take(name)) continue;
      condition.subject = subject;
      if (subject == Subject::kDesired && ReadMove(condition)) return;
      return ReadRelation(condition);
    }
    Wanted("expected desired, ready, pending, wanted, changes, reason, stage, proposal or cause");
  }
  bool ReadMove(Condition& condition) {
    for (const char* word : {"rises", "falls", "stays"}) {
      if (!Take(word)) continue;
      condition.subject = Condition::Subject::kMove;
      condition.text = word;
      return true;
    }
    return false;
  }
  void ReadRelation(Condition& condition) {
    using Relation = Condition::Relation;
    const auto set = [&](Relation relation, bool negated = false) {
      condition.relation = relation;
      condition.negated = negated;
    };
    if (Take("is")) {
      if (Take("at")) {
        if (Take("least")) {
          set(Relation::kAtLeast);
        } else if (Take("most")) {
          set(Relation::kAtMost);
        } else {
          Wanted("expected 'least' or 'most'");
        }
      } else if (Take("between")) {
        return ReadBetween(condition);
      } else if (Take("above")) {
        set(Relation::kAbove);
      } else if (Take("below")) {
        set(Relation::kBelow);
      } else {
        set(Relation::kEqual, Take("not"));
      }
    } else {
      ReadSymbol(condition);
    }
    condition.number = Number(0, kMaxInstances);
  }
  void ReadBetween(Condition& condition) {
    condition.relation = Condition::Relation::kBetween;
    condition.number = Number(0, kMaxInstances);
    if (!Take("and")) Wanted("expected 'and' and the other end");
    condition.upper = Number(0, kMaxInstances);
    if (condition.upper < condition.number) throw LineFault{"'between' takes the lower end first"};
  }
  void ReadSymbol(Condition& condition) {
    using Relation = Condition::Relation;
    for (const auto& [symbol, relation] : {std::pair{"=", Relation::kEqual},
                                           {">=", Relation::kAtLeast},
                                           {"<=", Relation::kAtMost},
                                           {">", Relation::kAbove},
                                           {"<", Relation::kBelow}}) {
      if (!Take(symbol)) continue;
      condition.relation = relation;
      return;
    }
    Wanted("expected 'is', 'is at least', 'is at most', 'is above', 'is below' or 'is between'");
  }

  [[nodiscard]] std::string Trimmed() const {
    const size_t begin = line_.find_first_not_of(" \t");
    const size_t end = line_.find_last_not_of(" \t\r");
    return std::string(line_.substr(begin, end - begin + 1));
  }

  Scenario& scenario_;
  const std::string_view line_;
  const int number_;
  const std::vector<Word> words_;
  size_t at_ = 0;
  Millis from_{0};
  std::optional<Millis> to_;
  bool range_ = false;
};

// Splits off the first line; nothing when there is none left.
std::optional<std::string_view> TakeLine(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// The policy that belongs to NAME.scenario by its name.
std::string PolicyBeside(const std::string& file) {
  std::filesystem::path path(file);
  path.replace_extension(".lua");
  std::error_code error;
  return std::filesystem::exists(path, error) ? path.filename().string() : std::string();
}

}  // namespace

bool ReadTimeline(std::string_view text, int first_line, Scenario& scenario,
                  std::vector<Diagnostic>* diagnostics) {
  const auto fault = [&](int line, std::string message) {
    diagnostics->push_back({Diagnostic::Severity::kError, scenario.file, line, std::move(message)});
  };
  const size_t before = diagnostics->size();
  int number = first_line;
  for (; const auto line = TakeLine(text); ++number) {
    try {
      LineReader(scenario, *line, number).Read();
    } catch (const LineFault& found) {
      fault(number, found.message);
    }
    if (scenario.loads.size() + scenario.expectations.size() > kMaxScenarioLines) {
      fault(number, "more than " + std::to_string(kMaxScenarioLines) +
                        " loads and expectations; write several scenarios");
      return false;
    }
  }
  const Millis interval = scenario.setup.service.interval;
  if (scenario.length / interval > kMaxScenarioTicks) {
    fault(number - 1, "the scenario lasts " + FormatDuration(scenario.length) + ", more than " +
                          std::to_string(kMaxScenarioTicks) + " ticks of " +
                          FormatDuration(interval));
  }
  for (ExpectLine& expectation : scenario.expectations) {
    if (expectation.open) expectation.to = scenario.length;
  }
  return diagnostics->size() == before;
}

std::optional<Scenario> ReadScenario(const std::string& file, std::string_view text,
                                     std::vector<Diagnostic>* diagnostics,
                                     const std::string& default_policy) {
  const auto fault = [&](int line, std::string message) {
    diagnostics->push_back({Diagnostic::Severity::kError, file, line, std::move(message)});
    return std::nullopt;
  };
  if (text.size() > kMaxScenarioBytes) {
    return fault(0, "the scenario is larger than " + FormatBytes(kMaxScenarioBytes));
  }
  std::string header;
  int number = 0;
  bool separated = false;
  while (const auto line = TakeLine(text)) {
    ++number;
    if ((separated = line->substr(0, 3) == "---")) break;
    header.append(*line).push_back('\n');
  }
  if (!separated) {
    return fault(0,
                 "there is no line '---': above it stands what is tested, below it the loads "
                 "and what is expected");
  }
  std::string policy = PolicyBeside(file);
  if (policy.empty()) policy = default_policy;
  auto setup = ReadSetup(file, std::move(header), policy, diagnostics);
  if (!setup) return std::nullopt;
  Scenario scenario{.file = file, .setup = *std::move(setup)};
  if (!ReadTimeline(text, number + 1, scenario, diagnostics)) return std::nullopt;
  return scenario;
}

}  // namespace autoscale
