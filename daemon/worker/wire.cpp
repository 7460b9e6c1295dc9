#include "daemon/worker/wire.h"

#include <utility>

#include "engine/model/text.h"

namespace autoscale {
namespace {

constexpr size_t kLongestReason = 1000;        // bytes; the host writes no longer ones
constexpr size_t kLongestVerdict = 64u << 10;  // bytes; it names each metric of a service

void PutOptional(FrameWriter& out, const std::optional<float>& value) {
  out.Put(static_cast<uint8_t>(value.has_value() ? 1 : 0));
  if (value) out.Put(*value);
}

std::optional<float> GetOptional(FrameReader& in) {
  if (in.Get<uint8_t>() == 0) return std::nullopt;
  return in.Get<float>();
}

// In 8 bytes; 0: absent.
template <typename T>
void PutOwn(FrameWriter& out, const std::optional<T>& limit) {
  out.Put(limit ? static_cast<int64_t>(*limit) : int64_t{0});
}

template <typename T>
std::optional<T> GetOwn(FrameReader& in) {
  const auto limit = in.Get<int64_t>();
  if (limit < 0 || !std::in_range<T>(limit)) in.Fail();
  return in.ok() && limit > 0 ? std::optional(static_cast<T>(limit)) : std::nullopt;
}

void PutOwnLimits(FrameWriter& out, const OwnLimits& limits) {
  PutOwn(out, limits.instructions);
  PutOwn(out, limits.wall ? std::optional(limits.wall->count()) : std::nullopt);
  PutOwn(out, limits.state_bytes);
}

OwnLimits GetOwnLimits(FrameReader& in) {
  OwnLimits limits{.instructions = GetOwn<int>(in), .wall = {}, .state_bytes = {}};
  if (const auto wall = GetOwn<int64_t>(in)) limits.wall = Millis(*wall);
  limits.state_bytes = GetOwn<size_t>(in);
  return limits;
}

void PutSample(FrameWriter& out, const Sample& sample) {
  out.Put(sample.value);
  out.Put(sample.state);
  out.Put(static_cast<uint8_t>(sample.substituted ? 1 : 0));
  PutOptional(out, sample.age_s);
  PutOptional(out, sample.coverage);
  out.Put(static_cast<uint8_t>(sample.error != nullptr ? 1 : 0));
  if (sample.error != nullptr) out.PutText(*sample.error);
  out.Put(static_cast<uint32_t>(sample.instances.size()));
  for (const InstanceSample& instance : sample.instances) {
    out.PutText(instance.instance);
    out.Put(instance.value);
    out.Put(static_cast<uint8_t>(instance.ready ? 1 : 0));
  }
}

void GetSample(FrameReader& in, Sample& sample) {
  sample.value = in.Get<double>();
  sample.state = in.GetEnum(SampleState::kImplausible);
  sample.substituted = in.Get<uint8_t>() != 0;
  sample.age_s = GetOptional(in);
  sample.coverage = GetOptional(in);
  sample.error.reset();
  if (in.Get<uint8_t>() != 0) sample.error = std::make_shared<const std::string>(in.GetText());
  sample.instances.clear();
  for (auto count = in.Get<uint32_t>(); in.ok() && count > 0; --count) {
    InstanceSample& instance = sample.instances.emplace_back();
    instance.instance = in.GetText();
    instance.value = in.Get<double>();
    instance.ready = in.Get<uint8_t>() != 0;
  }
}

void PutParams(FrameWriter& out, const Params& params) {
  out.Put(static_cast<uint32_t>(params.size()));
  for (const auto& [name, value] : params) {
    out.PutText(name);
    out.Put(static_cast<uint8_t>(value.index()));
    if (const auto* number = std::get_if<double>(&value)) {
      out.Put(*number);
    } else if (const auto* flag = std::get_if<bool>(&value)) {
      out.Put(static_cast<uint8_t>(*flag ? 1 : 0));
    } else {
      out.PutText(*std::get_if<std::string>(&value));
    }
  }
}

void GetParams(FrameReader& in, Params& params) {
  params.clear();
  for (auto count = in.Get<uint32_t>(); in.ok() && count > 0; --count) {
    std::string name(in.GetText());
    ParamValue value;
    switch (in.Get<uint8_t>()) {
      case 0:
        value = in.Get<double>();
        break;
      case 1:
        value = in.Get<uint8_t>() != 0;
        break;
      case 2:
        value = std::string(in.GetText());
        break;
      default:
        in.Fail();
    }
    params.insert_or_assign(params.end(), std::move(name), std::move(value));
  }
}

}  // namespace

void PutLimits(FrameWriter& out, const PolicyLimits& limits) {
  out.Put(int64_t{limits.instructions});
  out.Put(uint64_t{limits.memory_bytes});
  out.Put(int64_t{limits.wall.count()});
  out.Put(uint64_t{limits.state_bytes});
  out.Put(uint64_t{limits.source_bytes});
  out.Put(uint64_t{limits.worker_bytes});
}

PolicyLimits GetLimits(FrameReader& in) {
  PolicyLimits limits;
  limits.instructions = static_cast<int>(in.Get<int64_t>());
  limits.memory_bytes = in.Get<uint64_t>();
  limits.wall = Millis(in.Get<int64_t>());
  limits.state_bytes = in.Get<uint64_t>();
  limits.source_bytes = in.Get<uint64_t>();
  limits.worker_bytes = in.Get<uint64_t>();
  return limits;
}

void PutZone(FrameWriter& out, const Zone& zone) {
  out.PutText(zone.name);
  out.PutText(zone.version);
  out.Put(static_cast<uint32_t>(zone.changes.size()));
  for (const ZoneChange& change : zone.changes) {
    out.Put(change.unix);
    out.Put(change.offset_s);
    out.PutText(change.abbreviation);
  }
}

Zone GetZone(FrameReader& in) {
  Zone zone;
  zone.name = in.GetText();
  zone.version = in.GetText();
  for (auto count = in.Get<uint32_t>(); in.ok() && count > 0; --count) {
    ZoneChange& change = zone.changes.emplace_back();
    change.unix = in.Get<int64_t>();
    change.offset_s = in.Get<int>();
    change.abbreviation = in.GetText();
  }
  return zone;
}

void PutRequest(FrameWriter& out, uint32_t policy, std::span<const uint32_t> zones,
                const Snapshot& snapshot) {
  out.Put(policy);
  out.Put(static_cast<uint32_t>(zones.size()));
  for (const uint32_t zone : zones) out.Put(zone);
  out.PutText(snapshot.service);
  out.Put(int64_t{snapshot.now.time_since_epoch().count()});
  out.Put(snapshot.capacity.desired);
  out.Put(snapshot.capacity.ready);
  out.Put(snapshot.bounds.min);
  out.Put(snapshot.bounds.max);
  out.Put(static_cast<uint32_t>(snapshot.metrics.size()));
  for (size_t i = 0; i < snapshot.metrics.size(); ++i) {
    out.PutText(snapshot.metrics[i].name);
    out.Put(snapshot.metrics[i].unit);
    PutSample(out,
              i < snapshot.samples.size() ? snapshot.samples[i] : Sample());  // a trial's: none
  }
  PutParams(out, *snapshot.params);
  out.PutText(snapshot.state);
  PutOwnLimits(out, snapshot.limits);
}

void GetRequest(FrameReader& in, WireRequest& request) {
  Snapshot& snapshot = request.snapshot;
  request.policy = in.Get<uint32_t>();
  request.zones.clear();
  for (auto count = in.Get<uint32_t>(); in.ok() && count > 0; --count) {
    request.zones.push_back(in.Get<uint32_t>());
  }
  snapshot.service = in.GetText();
  snapshot.now = TimePoint(Millis(in.Get<int64_t>()));
  snapshot.capacity.desired = in.Get<int>();
  snapshot.capacity.ready = in.Get<int>();
  snapshot.bounds.min = in.Get<int>();
  snapshot.bounds.max = in.Get<int>();
  const auto count = in.Get<uint32_t>();
  size_t filled = 0;
  for (; in.ok() && filled < count; ++filled) {
    if (filled == request.metrics.size()) {
      request.metrics.emplace_back();
      request.samples.emplace_back();
    }
    request.metrics[filled].name = in.GetText();
    request.metrics[filled].unit = in.GetEnum(Unit::kCount);
    GetSample(in, request.samples[filled]);
  }
  GetParams(in, request.params);
  snapshot.state = in.GetText();
  snapshot.limits = GetOwnLimits(in);
  snapshot.metrics = std::span(request.metrics).first(filled);
  snapshot.samples = std::span(request.samples).first(filled);
  snapshot.params = &request.params;
}

void PutEvaluation(FrameWriter& out, const Evaluation& evaluation) {
  const Proposal& proposal = evaluation.proposal;
  out.Put(proposal.kind);
  out.Put(proposal.cause);
  out.Put(proposal.capacity);
  out.PutText(proposal.reason);
  out.PutText(proposal.at);
  out.Put(static_cast<uint8_t>(evaluation.at_limit ? 1 : 0));
  out.Put(static_cast<uint8_t>(evaluation.outside ? 1 : 0));
  out.Put(static_cast<uint8_t>(evaluation.state ? 1 : 0));
  if (evaluation.state) out.PutText(*evaluation.state);
}

Evaluation GetEvaluation(FrameReader& in) {
  Evaluation out;
  out.proposal.kind = in.GetEnum(ProposalKind::kTrack);
  out.proposal.cause = in.GetEnum(HoldCause::kFault);
  out.proposal.capacity = in.Get<int>();
  if (out.proposal.capacity < 0 || out.proposal.capacity > kMaxCapacity) in.Fail();
  out.proposal.reason = OneLine(in.GetText(), kLongestReason);
  out.proposal.at = OneLine(in.GetText(), kLongestReason);
  out.at_limit = in.Get<uint8_t>() != 0;
  out.outside = in.Get<uint8_t>() != 0;
  if (in.Get<uint8_t>() != 0) out.state = std::string(in.GetText());
  return out;
}

void PutVerdict(FrameWriter& out, const TrialVerdict& verdict) {
  out.Put(verdict.kind);
  out.PutText(verdict.text);
  out.Put(static_cast<uint8_t>(verdict.named ? 1 : 0));
}

TrialVerdict GetVerdict(FrameReader& in) {
  TrialVerdict out;
  out.kind = in.GetEnum(TrialVerdict::Kind::kError);  // whoever answers has tried it
  out.text = OneLine(in.GetText(), kLongestVerdict);
  out.named = in.Get<uint8_t>() != 0;
  return out;
}

}  // namespace autoscale
