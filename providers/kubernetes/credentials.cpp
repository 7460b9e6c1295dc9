#include "providers/kubernetes/credentials.h"

#include <utility>

namespace autoscale::kubernetes {
namespace {

// The kubelet replaces a pod's token well before its end, but nobody tells us when.
constexpr std::chrono::seconds kFresh{60};
// A plugin's credential is not used to its last moment.
constexpr std::chrono::seconds kBeforeItsEnd{60};

}  // namespace

Credentials::Credentials(EventLoop& loop, std::string kubeconfig, std::string context)
    : loop_(loop), kubeconfig_(std::move(kubeconfig)), context_(std::move(context)) {}

// Of a plugin's answer that says no end: until the API server refuses it.
bool Credentials::Holds() const {
  return credential_ && (!credential_->expires ||
                         *credential_->expires - kBeforeItsEnd > std::chrono::system_clock::now());
}

void Credentials::Get(bool anew, Callback done) {
  waiting_.push_back(std::move(done));
  if (run_) return;  // answers all that wait
  const auto now = std::chrono::steady_clock::now();
  if (!access_ || anew || now - read_ >= kFresh) {
    auto read = ReadAccess(kubeconfig_, context_);
    // As good as it was: a file may be away while it is replaced.
    if (!read.ok() && (!access_ || anew)) return Answer(read);
    if (read.ok()) {
      access_ = *std::move(read);
      read_ = now;
    }
  }
  if (access_->exec.command.empty()) return Answer(*access_);
  if (anew || !Holds()) return Run(access_->exec);
  Answer(*access_);
}

void Credentials::Run(const ExecPlugin& plugin) {
  run_ = std::make_unique<ExecRun>(loop_, plugin, [this](Result<ExecCredential> credential) {
    const std::unique_ptr<ExecRun> ended = std::move(run_);
    if (!credential.ok()) return Answer(std::move(credential).error());
    credential_ = *std::move(credential);
    Answer(*access_);
  });
}

void Credentials::Answer(const Result<ClusterAccess>& result) {
  Result<ClusterAccess> answer = result;
  if (answer.ok() && credential_ && !answer->exec.command.empty()) {
    answer->token = credential_->token;
    if (!credential_->client_cert_pem.empty()) {
      answer->client_cert_pem = credential_->client_cert_pem;
      answer->client_key_pem = credential_->client_key_pem;
    }
  }
  loop_.Post([alive = std::weak_ptr<int>(alive_), answer = std::move(answer),
              waiting = std::exchange(waiting_, {})] {
    for (const Callback& done : waiting) {
      if (!alive.expired()) done(answer);
    }
  });
}

}  // namespace autoscale::kubernetes
