#include "cli/status.h"

#include "cli/client.h"

namespace autoscale::cli {
namespace {

std::string Ago(bool known, const google::protobuf::Timestamp& at, const Style& style) {
  return known ? FormatAgo(FromProto(at), style) : "never";
}

std::string Range(const v1::Bounds& bounds) {
  return std::to_string(bounds.min()) + "-" + std::to_string(bounds.max());
}

// The worst thing to be said comes first.
Cell Health(const v1::Service& service) {
  std::string text;
  Paint paint = Paint::kGood;
  const auto add = [&](const std::string& part, Paint worse) {
    if (text.empty()) paint = worse;
    text += (text.empty() ? "" : "; ") + part;
  };
  if (!service.problem().empty()) add(service.problem(), Paint::kBad);
  if (service.paused()) {
    add(service.pause_reason().empty() ? "paused" : "paused: " + service.pause_reason(),
        Paint::kWarn);
  }
  if (service.dry_run()) add("dry run", Paint::kWarn);
  const int pending = service.capacity().desired() - service.capacity().ready();
  if (pending > 0) add(std::to_string(pending) + " not ready yet", Paint::kWarn);
  if (service.draining() > 0) add(std::to_string(service.draining()) + " draining", Paint::kWarn);
  if (text.empty()) text = "ok";
  return {text, paint};
}

std::string Facts(const v1::Service& service, const Style& style) {
  Table table(2, {});
  const auto add = [&](const char* name, const std::string& text) {
    table.Add({{name, Paint::kDim}, {text}});
  };
  const v1::Capacity& capacity = service.capacity();
  table.Add({{"state", Paint::kDim}, Health(service)});
  add("capacity", "desired " + std::to_string(capacity.desired()) + ", ready " +
                      std::to_string(capacity.ready()) + ", draining " +
                      std::to_string(service.draining()) + "; min " +
                      std::to_string(service.bounds().min()) + ", max " +
                      std::to_string(service.bounds().max()));
  add("policy", service.policy() + ", every " + FormatNumber(service.interval()) + " s");
  add("provider", service.provider());
  if (service.cost_per_hour() > 0) add("cost", FormatNumber(service.cost_per_hour()) + " an hour");
  add("last tick", Ago(service.has_last_tick(), service.last_tick(), style));
  add("last change", Ago(service.has_last_change(), service.last_change(), style));
  if (!service.last_reason().empty()) add("last reason", service.last_reason());
  return table.Render(style);
}

// What is to be said of it, and whether it is kept.
std::string Detail(const v1::Instance& instance, const Style& style) {
  std::string text = instance.detail();
  if (!instance.protected_()) return text;
  text += text.empty() ? "protected" : "; protected";
  if (instance.has_protected_until()) {
    text += " until " + FormatTime(FromProto(instance.protected_until()), style);
  }
  return instance.protect_reason().empty() ? text : text + ": " + instance.protect_reason();
}

std::string Instances(const v1::Service& service, const Style& style) {
  if (service.instances().empty()) return "  none\n";
  Table table(2, {"ID", "PHASE", "SINCE", "ENDPOINT", "IN FLIGHT", "DETAIL"});
  for (const v1::Instance& instance : service.instances()) {
    table.Add({{instance.id()},
               {instance.phase(), instance.phase() == "serving" ? Paint::kGood : Paint::kWarn},
               {Ago(instance.has_since(), instance.since(), style)},
               {instance.endpoint().empty() ? "-" : instance.endpoint()},
               {instance.has_in_flight() ? std::to_string(instance.in_flight()) : "-"},
               {Detail(instance, style)}});
  }
  return table.Render(style);
}

std::string Gateways(const v1::Service& service, const Style& style) {
  if (service.gateways().empty()) return "  none\n";
  Table table(2, {"NAME", "UPSTREAM", "LIST", "STATE"});
  for (const v1::Gateway& gateway : service.gateways()) {
    Cell state{"confirmed", Paint::kGood};
    if (!gateway.problem().empty()) {
      state = {gateway.problem(), Paint::kBad};
    } else if (gateway.confirmed() != gateway.wanted()) {
      state = {gateway.confirmed().empty() ? "nothing confirmed yet"
                                           : "has " + gateway.confirmed() + " still",
               Paint::kWarn};
    }
    table.Add({{gateway.gateway()}, {gateway.upstream()}, {gateway.wanted()}, state});
  }
  return table.Render(style);
}

}  // namespace

std::string RenderServices(const v1::GetServicesResponse& services, const Style& style) {
  if (services.services().empty()) {
    return "no services: put a file into the daemon's services folder, then `autoscalectl "
           "reload`.\n";
  }
  Table table(0, {"SERVICE", "DESIRED", "READY", "MIN-MAX", "LAST CHANGE", "STATE"});
  for (const v1::Service& service : services.services()) {
    table.Add({{service.name(), Paint::kBold},
               {std::to_string(service.capacity().desired())},
               {std::to_string(service.capacity().ready())},
               {Range(service.bounds())},
               {Ago(service.has_last_change(), service.last_change(), style)},
               Health(service)});
  }
  return table.Render(style);
}

std::string RenderService(const v1::Service& service, const Style& style) {
  return style.Apply(Paint::kBold, service.name()) + "\n" + Facts(service, style) + "\n" +
         style.Apply(Paint::kBold, "Instances") + "\n" + Instances(service, style) + "\n" +
         style.Apply(Paint::kBold, "Gateways") + "\n" + Gateways(service, style) +
         "\nautoscalectl explain " + service.name() + " tells why.\n";
}

int RunStatus(const Context& context, const std::string& service) {
  v1::GetServicesRequest request;
  request.set_service(service);
  return Ask(context, &v1::Control::Stub::GetServices, request,
             [&](const v1::GetServicesResponse& answer) {
               Show(context, answer, [&] {
                 return service.empty() || answer.services().empty()
                            ? RenderServices(answer, context.style)
                            : RenderService(answer.services(0), context.style);
               });
             });
}

}  // namespace autoscale::cli
