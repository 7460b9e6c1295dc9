// What AWS answers.
//
// Input: what the rest is ('0' groups, '1' addresses, '2' activities, '3' credentials, '4' an error
// and its status, '5' a time, '6' a URL of credentials), then the text.
#include <algorithm>

#include "providers/aws/answer.h"
#include "providers/aws/api.h"
#include "providers/aws/key_sources.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

template <typename T>
bool IsTold(const Result<T>& result) {
  if (result.ok()) return true;
  Expect(result.error().kind == ErrorKind::kUnavailable, "what AWS answers is not our fault");
  ExpectMessage(result.error().message);
  return false;
}

std::string Summary(const Result<aws::GroupPage>& page) {
  if (!page.ok()) return page.error().message;
  std::string text = page->next;
  for (const aws::Group& group : page->groups) {
    text += group.name + std::to_string(group.desired) + group.status;
    for (const auto& instance : group.instances) text += instance.id + instance.lifecycle;
  }
  return text;
}

void CheckGroups(const std::string& body) {
  const auto page = aws::ParseGroups(body);
  Expect(Summary(page) == Summary(aws::ParseGroups(body)), "the same body means the same");
  if (!IsTold(page)) return;
  for (const aws::Group& group : page->groups) {
    Expect(!group.name.empty(), "a group has a name");
    Expect(group.desired >= 0 && group.min >= 0 && group.max >= 0, "no sizes below 0");
    for (const auto& instance : group.instances) {
      Expect(!instance.id.empty() && !instance.lifecycle.empty(), "an instance is in a state");
      Expect(group.Find(instance.id) != nullptr, "it is found");
    }
  }
}

void CheckActivities(const std::string& body) {
  const auto activities = aws::ParseActivities(body);
  if (!IsTold(activities)) return;
  if (const auto shortage = aws::ShortageIn(*activities)) ExpectMessage(shortage->message);
}

void CheckKeys(const std::string& body) {
  const auto keys = aws::ParseAssumedRole(body);
  if (IsTold(keys)) Expect(!keys->keys.id.empty() && !keys->keys.secret.empty(), "keys are keys");
}

void CheckFault(std::string_view text) {
  static constexpr int kStatuses[] = {400, 401, 403, 404, 408, 429, 500, 503};
  const int status = kStatuses[TakeChoice(text, std::size(kStatuses))];
  const aws::AwsFault fault = aws::ParseFault(std::string(text));
  ExpectMessage(aws::FaultOf(status, fault.code, fault.message).message);
}

void CheckUrl(const std::string& url) {
  if (!aws::IsCredentialUrl(url)) return;
  Expect(url.starts_with("https://") || url.starts_with("http://"), "it is a URL", url);
}

void Run(std::string_view text) {
  const size_t choice = TakeChoice(text, 7);
  const std::string rest(text);
  switch (choice) {
    case 0:
      return CheckGroups(rest);
    case 1:
      return static_cast<void>(IsTold(aws::ParseAddresses(rest)));
    case 2:
      return CheckActivities(rest);
    case 3:
      return CheckKeys(rest);
    case 4:
      return CheckFault(text);
    case 5:
      return static_cast<void>(aws::ParseTimestamp(rest));
    default:
      return CheckUrl(rest);
  }
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  autoscale::fuzz::Run(autoscale::fuzz::ToText(data, size));
  return 0;
}
