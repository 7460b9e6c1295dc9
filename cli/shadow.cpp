// `autoscalectl shadow`: how the policy that is tried beside a service's own compares with it.
#include "cli/shadow.h"

#include <array>
#include <cstdio>

#include "cli/client.h"

namespace autoscale::cli {
namespace {

std::string Percent(int64_t part, int64_t whole) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %%",
                100.0 * static_cast<double>(part) / static_cast<double>(whole));
  return text.data();
}

std::string OfAll(int64_t part, const v1::Shadow& shadow) {
  return std::to_string(part) + " (" + Percent(part, shadow.evaluations()) + ")";
}

std::string Cost(const v1::Shadow& shadow) {
  const double live = shadow.live_instance_hours();
  const double other = shadow.instance_hours();
  const double price = shadow.cost_per_hour();
  std::array<char, 64> difference{};
  if (live > 0) {
    std::snprintf(difference.data(), difference.size(), " (%+.1f %%)", 100 * (other - live) / live);
  }
  return FormatNumber(other) + " instance-hours instead of " + FormatNumber(live) +
         difference.data() + ", over " + FormatNumber(shadow.hours()) + " hours" +
         (price > 0 ? "; at its cost " + FormatNumber(price * other) + " instead of " +
                          FormatNumber(price * live)
                    : "");
}

std::string Facts(const v1::Shadow& shadow, const Style& style) {
  const TimePoint since = FromProto(shadow.since());
  Table table(2, {});
  table.Add({{"since", Paint::kDim},
             {FormatFullTime(since) + " (" + FormatAgo(since, style) + "), " +
              std::to_string(shadow.evaluations()) + " evaluations"}});
  if (shadow.evaluations() == 0) return table.Render(style);
  table.Add({{"the same capacity", Paint::kDim}, {OfAll(shadow.agreed(), shadow)}});
  table.Add({{"more instances", Paint::kDim}, {OfAll(shadow.more(), shadow)}});
  table.Add({{"fewer instances", Paint::kDim}, {OfAll(shadow.fewer(), shadow)}});
  table.Add({{"stays, live moves", Paint::kDim}, {OfAll(shadow.stays(), shadow)}});
  table.Add({{"moves, live stays", Paint::kDim}, {OfAll(shadow.moves(), shadow)}});
  table.Add({{"it asked for", Paint::kDim}, {Cost(shadow)}});
  if (shadow.faults() > 0) {
    table.Add({{"faults", Paint::kBad}, {OfAll(shadow.faults(), shadow)}});
  }
  if (!shadow.fault().empty()) {
    table.Add({{"fails now", Paint::kBad}, {Printable(shadow.fault())}});
  }
  return table.Render(style);
}

std::string Examples(const v1::Shadow& shadow, const Style& style) {
  if (shadow.examples().empty()) return "";
  Table table(2, {"LATEST DIFFERENCES", "", "WANTED", "BECAUSE"});
  for (auto it = shadow.examples().rbegin(); it != shadow.examples().rend(); ++it) {
    const std::string from = std::to_string(it->before()) + " → ";
    table.Add({{FormatTime(FromProto(it->at()), style)},
               {"live"},
               {from + std::to_string(it->live())},
               {Printable(it->live_reason())}});
    table.Add({{""},
               {"shadow", Paint::kWarn},
               {from + std::to_string(it->shadow())},
               {Printable(it->shadow_reason())}});
  }
  return "\n" + table.Render(style);
}

}  // namespace

std::string RenderShadow(const v1::Shadow& shadow, const Style& style) {
  const std::string head = Printable(shadow.service()) + ": " + Printable(shadow.policy()) +
                           " is tried beside " + Printable(shadow.live_policy()) +
                           ", and never acted on";
  return style.Apply(Paint::kBold, Wrap(head, 0, 2, style.width)) + "\n" + Facts(shadow, style) +
         Examples(shadow, style);
}

int RunShadow(const Context& context, const std::string& service) {
  v1::GetShadowRequest request;
  request.set_service(service);
  return Ask(context, &v1::Control::Stub::GetShadow, request,
             [&](const v1::GetShadowResponse& answer) {
               Show(context, answer.shadow(),
                    [&] { return RenderShadow(answer.shadow(), context.style); });
             });
}

}  // namespace autoscale::cli
