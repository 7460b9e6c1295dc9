#include "daemon/api/convert.h"

#include <algorithm>
#include <cstdint>

namespace autoscale {
namespace {

constexpr size_t kMaxStatusBytes = 4096;  // of 8192 for all trailing headers, escapes included

void Set(google::protobuf::Timestamp* out, TimePoint t) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(t);
  out->set_seconds(seconds.time_since_epoch().count());
  out->set_nanos(static_cast<int32_t>((t - seconds).count()) * 1'000'000);
}

void Set(v1::Capacity* out, const Capacity& capacity) {
  out->set_desired(capacity.desired);
  out->set_ready(capacity.ready);
}

void Set(v1::Bounds* out, const Bounds& bounds) {
  out->set_min(bounds.min);
  out->set_max(bounds.max);
}

// The model's enums count from 0 without "unspecified"; those of the wire are one further.
template <typename Wire, typename Model>
constexpr Wire Shift(Model value) {
  return static_cast<Wire>(static_cast<int>(value) + 1);
}
static_assert(Shift<v1::Unit>(Unit::kCount) == v1::UNIT_COUNT);
static_assert(Shift<v1::SampleState>(SampleState::kImplausible) == v1::SAMPLE_STATE_IMPLAUSIBLE);
static_assert(Shift<v1::ProposalKind>(ProposalKind::kTrack) == v1::PROPOSAL_KIND_TRACK);
// HoldCause has its own zero: not a hold.
static_assert(static_cast<int>(HoldCause::kFault) == v1::HOLD_CAUSE_FAULT);

void Set(v1::Metric* out, const NamedSample& named) {
  const Sample& sample = named.sample;
  out->set_name(Utf8(named.name));
  out->set_unit(Shift<v1::Unit>(named.unit));
  out->set_value(sample.value);
  out->set_state(Shift<v1::SampleState>(sample.state));
  out->set_substituted(sample.substituted);
  if (sample.age_s) out->set_age(*sample.age_s);
  if (sample.coverage) out->set_coverage(*sample.coverage);
  for (const InstanceSample& instance : sample.instances) {
    v1::InstanceMetric* to = out->add_instances();
    to->set_instance(Utf8(instance.instance));
    to->set_value(instance.value);
    to->set_ready(instance.ready);
  }
  if (sample.error) out->set_error(Utf8(*sample.error));
}

void Set(v1::Instance* out, const InstanceView& view) {
  out->set_id(Utf8(view.id));
  out->set_phase(view.phase);
  out->set_endpoint(Utf8(view.endpoint));
  out->set_detail(Utf8(view.detail));
  Set(out->mutable_since(), view.since);
  if (view.in_flight >= 0) out->set_in_flight(view.in_flight);
  out->set_protected_(view.is_protected);
  if (view.protected_until) Set(out->mutable_protected_until(), *view.protected_until);
  out->set_protect_reason(Utf8(view.protect_reason));
}

void Set(v1::Gateway* out, const GatewayView& view) {
  out->set_gateway(Utf8(view.gateway));
  out->set_upstream(Utf8(view.upstream));
  out->set_wanted(view.wanted);
  out->set_confirmed(view.confirmed);
  out->set_problem(Utf8(view.problem));
}

// The length of the UTF-8 sequence that `text` begins with; 0 when it begins with none.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xc2 && lead < 0xe0   ? 2
                        : lead >= 0xe0 && lead < 0xf0 ? 3
                        : lead >= 0xf0 && lead < 0xf5 ? 4
                                                      : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and what is beyond U+10FFFF show in the second byte.
  const uint8_t second = byte(1);
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0) ||
      (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90)) {
    return 0;
  }
  return length;
}

grpc::StatusCode CodeOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case ErrorKind::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case ErrorKind::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case ErrorKind::kConflict:
      return grpc::StatusCode::ABORTED;
    case ErrorKind::kExhausted:
    case ErrorKind::kThrottled:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case ErrorKind::kBlocked:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case ErrorKind::kOutOfRange:
      return grpc::StatusCode::OUT_OF_RANGE;
    case ErrorKind::kForbidden:
      return grpc::StatusCode::PERMISSION_DENIED;
    case ErrorKind::kInternal:
      break;
  }
  return grpc::StatusCode::INTERNAL;
}

}  // namespace

v1::Service ToProto(const ServiceView& view) {
  v1::Service out;
  out.set_name(Utf8(view.name));
  Set(out.mutable_capacity(), view.capacity);
  Set(out.mutable_bounds(), view.bounds);
  out.set_draining(view.draining);
  out.set_policy(Utf8(view.policy));
  out.set_provider(Utf8(view.provider));
  out.set_interval(ToSeconds(view.interval));
  out.set_dry_run(view.dry_run);
  out.set_paused(view.paused);
  out.set_pause_reason(Utf8(view.pause_reason));
  if (view.last_tick) Set(out.mutable_last_tick(), *view.last_tick);
  if (view.last_change) Set(out.mutable_last_change(), *view.last_change);
  out.set_last_reason(Utf8(view.last_reason));
  out.set_problem(Utf8(view.problem));
  out.set_breaker(view.breaker);
  out.set_cost_per_hour(view.cost_per_hour);
  for (const InstanceView& instance : view.instances) Set(out.add_instances(), instance);
  for (const GatewayView& gateway : view.gateways) Set(out.add_gateways(), gateway);
  return out;
}

v1::Record ToProto(const DecisionRecord& record) {
  v1::Record out;
  out.set_id(record.id);
  out.set_service(Utf8(record.service));
  Set(out.mutable_at(), record.at);
  out.set_dry_run(record.dry_run);
  out.set_paused(record.paused);
  Set(out.mutable_capacity(), record.capacity);
  Set(out.mutable_bounds(), record.bounds);
  for (const NamedSample& sample : record.samples) Set(out.add_metrics(), sample);
  out.set_policy(Utf8(record.policy));

  v1::Proposal* proposal = out.mutable_proposal();
  proposal->set_kind(Shift<v1::ProposalKind>(record.proposal.kind));
  proposal->set_capacity(record.proposal.capacity);
  proposal->set_reason(Utf8(record.proposal.reason));
  proposal->set_at(Utf8(record.proposal.at));
  proposal->set_cause(static_cast<v1::HoldCause>(record.proposal.cause));

  v1::Decision* decision = out.mutable_decision();
  decision->set_before(record.decision.before);
  decision->set_desired(record.decision.desired);
  decision->set_reason(Utf8(record.decision.reason));
  for (const StageRecord& stage : record.decision.stages) {
    v1::Stage* to = out.add_stages();
    to->set_name(std::string(stage.name));
    to->set_before(stage.before);
    to->set_after(stage.after);
    to->set_reason(Utf8(stage.reason));
  }
  for (const ActionRecord& action : record.actions) {
    v1::Action* to = out.add_actions();
    Set(to->mutable_at(), action.at);
    to->set_text(Utf8(action.text));
  }
  return out;
}

v1::Shadow ToProto(const ShadowView& view) {
  const ShadowAccount& account = view.account;
  v1::Shadow out;
  out.set_service(Utf8(view.service));
  out.set_live_policy(Utf8(view.live_policy));
  out.set_policy(Utf8(view.policy));
  Set(out.mutable_since(), account.since);
  if (account.evaluations > 0) Set(out.mutable_last(), account.last);
  out.set_evaluations(account.evaluations);
  out.set_agreed(account.agreed);
  out.set_more(account.more);
  out.set_fewer(account.fewer);
  out.set_stays(account.stays);
  out.set_moves(account.moves);
  out.set_faults(account.faults);
  out.set_fault(Utf8(account.fault));
  out.set_hours(account.hours);
  out.set_live_instance_hours(account.live_instance_hours);
  out.set_instance_hours(account.instance_hours);
  out.set_cost_per_hour(view.cost_per_hour);
  for (const ShadowExample& example : account.examples) {
    v1::ShadowExample* to = out.add_examples();
    Set(to->mutable_at(), example.at);
    to->set_before(example.before);
    to->set_live(example.live);
    to->set_shadow(example.shadow);
    to->set_live_reason(Utf8(example.live_reason));
    to->set_shadow_reason(Utf8(example.shadow_reason));
  }
  return out;
}

grpc::Status ToGrpc(const Error& error) {
  std::string message = Utf8(error.message);
  if (message.size() > kMaxStatusBytes) {
    const size_t end = message.rfind('\n', kMaxStatusBytes);
    const size_t keep = end == std::string::npos ? kMaxStatusBytes : end;
    const auto lines =
        std::count(message.begin() + static_cast<ptrdiff_t>(keep), message.end(), '\n');
    message.resize(keep);
    message = Utf8(message) + "\n... and " + std::to_string(lines) +
              " more lines; for a configuration, autoscaled --check-config shows all";
  }
  return {CodeOf(error.kind), message};
}

std::string Utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

}  // namespace autoscale
