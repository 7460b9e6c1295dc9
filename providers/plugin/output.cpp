#include "providers/plugin/output.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <utility>

namespace autoscale {
namespace {

constexpr Millis kSecond{1000};

}  // namespace

void LineCutter::Take(std::string_view bytes, const Listener& on_line) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() < max_bytes_) line_.append(part.substr(0, max_bytes_ - line_.size()));
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    on_line(std::exchange(line_, {}));
  }
}

void LineCutter::Finish(const Listener& on_line) {
  if (!line_.empty()) on_line(std::exchange(line_, {}));
}

bool LineQuota::Allows(Time now, uint64_t& left_out) {
  left_out = 0;
  if (now - since_ >= kPeriod) {
    since_ = now;
    told_ = 0;
  }
  if (told_ >= kLines) {
    ++left_out_;
    return false;
  }
  ++told_;
  left_out = std::exchange(left_out_, 0);
  return true;
}

OutputReader::OutputReader(EventLoop& loop, Descriptor pipe, LineCutter::Listener on_line)
    : loop_(loop), pipe_(std::move(pipe)), on_line_(std::move(on_line)) {
  loop_.Watch(pipe_.get(), EPOLLIN, [this](uint32_t) { OnReadable(); });
}

OutputReader::~OutputReader() {
  if (resting_) loop_.Cancel(*resting_);
  if (pipe_) loop_.Unwatch(pipe_.get());
}

void OutputReader::OnReadable() {
  const auto now = std::chrono::steady_clock::now();
  if (now - second_ >= kSecond) {
    second_ = now;
    taken_ = 0;
  }
  if (taken_ >= kMostBytes) return Rest();
  const ssize_t n = Read();
  if (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN))) return;
  loop_.Unwatch(pipe_.get());
  pipe_.Close();
  cutter_.Finish(on_line_);
}

ssize_t OutputReader::Read() {
  std::array<char, 64 << 10> part;  // NOLINT(cppcoreguidelines-pro-type-member-init): read fills it
  const ssize_t n = read(pipe_.get(), part.data(), part.size());
  if (n <= 0) return n;
  taken_ += static_cast<size_t>(n);
  cutter_.Take(std::string_view(part.data(), static_cast<size_t>(n)), on_line_);
  return n;
}

// Not read for a while, so that it fills: whoever floods waits.
void OutputReader::Rest() {
  loop_.Unwatch(pipe_.get());
  resting_ = loop_.After(kSecond, [this] {
    resting_.reset();
    loop_.Watch(pipe_.get(), EPOLLIN, [this](uint32_t) { OnReadable(); });
  });
}

void OutputReader::Drain() {
  if (!pipe_) return;
  Read();
  cutter_.Finish(on_line_);
}

}  // namespace autoscale
