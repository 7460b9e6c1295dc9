#include "daemon/worker/wire.h"

#include <utility>

namespace autoscale {
namespace {

void PutOptional(FrameWriter& out, const std::optional<float>& value) {
  out.Put(static_cast<uint8_t>(value.has_value() ? 1 : 0));
  if (value) out.Put(*value);
}

std::optional<float> GetOptional(FrameReader& in) {
  if (in.Get<uint8_t>() == 0) return std::nullopt;
  return in.Get<float>();
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
  sample.state = in.GetEnum(SampleState::kError);
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
}

PolicyLimits GetLimits(FrameReader& in) {
  PolicyLimits limits;
  limits.instructions = static_cast<int>(in.Get<int64_t>());
  limits.memory_bytes = in.Get<uint64_t>();
  limits.wall = Millis(in.Get<int64_t>());
  limits.state_bytes = in.Get<uint64_t>();
  limits.source_bytes = in.Get<uint64_t>();
  return limits;
}

void PutRequest(FrameWriter& out, uint32_t policy, const Snapshot& snapshot) {
  out.Put(policy);
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
    PutSample(out, snapshot.samples[i]);
  }
  PutParams(out, *snapshot.params);
  out.PutText(snapshot.state);
}

void GetRequest(FrameReader& in, WireRequest& request) {
  Snapshot& snapshot = request.snapshot;
  request.policy = in.Get<uint32_t>();
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
  out.Put(static_cast<uint8_t>(evaluation.state ? 1 : 0));
  if (evaluation.state) out.PutText(*evaluation.state);
}

Evaluation GetEvaluation(FrameReader& in) {
  Evaluation out;
  out.proposal.kind = in.GetEnum(ProposalKind::kTrack);
  out.proposal.cause = in.GetEnum(HoldCause::kFault);
  out.proposal.capacity = in.Get<int>();
  out.proposal.reason = in.GetText();
  out.proposal.at = in.GetText();
  if (in.Get<uint8_t>() != 0) out.state = std::string(in.GetText());
  return out;
}

}  // namespace autoscale
