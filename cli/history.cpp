#include "cli/history.h"

#include "cli/client.h"

namespace autoscale::cli {
namespace {

std::string Change(const v1::Decision& decision) {
  const std::string after = std::to_string(decision.desired());
  return decision.before() == decision.desired()
             ? after
             : std::to_string(decision.before()) + " → " + after;
}

}  // namespace

std::string RenderHistory(const v1::HistoryResponse& history, const Style& style) {
  if (history.records().empty()) return "no decision has changed anything yet.\n";
  Table table(0, {"ID", "TIME", "SERVICE", "CAPACITY", "REASON"});
  for (const v1::Record& record : history.records()) {
    std::string reason = record.decision().reason();
    if (record.paused()) reason.insert(0, "[paused] ");
    if (record.dry_run()) reason.insert(0, "[dry run] ");
    table.Add({{std::to_string(record.id())},
               {FormatTime(FromProto(record.at()), style)},
               {record.service(), Paint::kBold},
               {Change(record.decision())},
               {reason}});
  }
  return table.Render(style);
}

int RunHistory(const Context& context, const std::string& service, int limit) {
  v1::HistoryRequest request;
  request.set_service(service);
  request.set_limit(limit);
  return Ask(context, &v1::Control::Stub::History, request, [&](const v1::HistoryResponse& answer) {
    Show(context, answer, [&] { return RenderHistory(answer, context.style); });
  });
}

}  // namespace autoscale::cli
