#include "tests/fakes/tls_front.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace autoscale {
namespace {

constexpr long kYear = 365L * 24 * 3600;

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "tls front: %s\n", what);
  ERR_print_errors_fp(stderr);
  std::abort();
}

struct Identity {
  X509* certificate = nullptr;
  EVP_PKEY* key = nullptr;
};

void Extend(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  if (extension == nullptr) Die("extension");
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// Signed by `issuer`, or by itself, which then is an authority.
Identity Make(const char* name, const Identity* issuer) {
  static long serial = 1;
  Identity made{X509_new(), EVP_EC_gen("P-256")};
  if (made.key == nullptr) Die("key");
  X509_set_version(made.certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(made.certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made.certificate), kYear);
  X509_set_pubkey(made.certificate, made.key);
  X509_NAME* subject = X509_get_subject_name(made.certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  const Identity& by = issuer == nullptr ? made : *issuer;
  X509_set_issuer_name(made.certificate, X509_get_subject_name(by.certificate));
  if (issuer == nullptr) {
    Extend(made.certificate, by.certificate, NID_basic_constraints, "critical,CA:TRUE");
    Extend(made.certificate, by.certificate, NID_key_usage, "critical,keyCertSign");
  } else {
    Extend(made.certificate, by.certificate, NID_subject_alt_name, "IP:127.0.0.1");
  }
  if (X509_sign(made.certificate, by.key, EVP_sha256()) == 0) Die("sign");
  return made;
}

void Write(const std::string& path, const Identity& identity, bool certificate, bool key) {
  FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) Die(path.c_str());
  if (certificate) PEM_write_X509(file, identity.certificate);
  if (key) PEM_write_PrivateKey(file, identity.key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

bool SendAll(int fd, const char* data, int size) {
  for (int sent = 0; sent < size;) {
    const ssize_t n = ::send(fd, data + sent, static_cast<size_t>(size - sent), MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<int>(n);
  }
  return true;
}

// Carries bytes both ways until one side ends.
void Carry(SSL* ssl, int plain) {
  char chunk[16384];
  pollfd ends[] = {{SSL_get_fd(ssl), POLLIN, 0}, {plain, POLLIN, 0}};
  for (;;) {
    if (SSL_pending(ssl) == 0 && ::poll(ends, 2, -1) < 0) return;
    if (SSL_pending(ssl) > 0 || ends[0].revents != 0) {
      const int n = SSL_read(ssl, chunk, sizeof chunk);
      if (n <= 0 || !SendAll(plain, chunk, n)) return;
    }
    if (ends[1].revents != 0) {
      const ssize_t n = ::recv(plain, chunk, sizeof chunk, 0);
      if (n <= 0 || SSL_write(ssl, chunk, static_cast<int>(n)) <= 0) return;
    }
    ends[0].revents = ends[1].revents = 0;
  }
}

}  // namespace

void WriteCertificates(const std::string& folder) {
  const Identity ca = Make("test authority", nullptr);
  const Identity server = Make("test server", &ca);
  const Identity client = Make("test client", &ca);
  Write(folder + "/ca.pem", ca, true, false);
  Write(folder + "/server.pem", server, true, true);
  Write(folder + "/client.pem", client, true, true);
  Write(folder + "/client.key", client, false, true);
  for (const Identity& identity : {ca, server, client}) {
    X509_free(identity.certificate);
    EVP_PKEY_free(identity.key);
  }
}

struct TlsFront::State {
  SSL_CTX* context = nullptr;
  int listener = -1;
  int port = 0;
  int behind = 0;

  std::mutex mutex;
  bool stopping = false;
  std::set<int> open;
  std::vector<std::thread> serving;
  std::thread accepting;

  void Accept() {
    for (;;) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      const std::lock_guard lock(mutex);
      if (stopping) {
        if (fd >= 0) ::close(fd);
        return;
      }
      if (fd < 0) continue;
      open.insert(fd);
      serving.emplace_back([this, fd] { Serve(fd); });
    }
  }

  void Serve(int fd) {
    SSL* ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
      const int plain = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = Loopback(behind);
      if (::connect(plain, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        Carry(ssl, plain);
      }
      ::close(plain);
      SSL_shutdown(ssl);
    }
    ERR_clear_error();
    SSL_free(ssl);
    const std::lock_guard lock(mutex);
    open.erase(fd);
    ::close(fd);
  }
};

TlsFront::TlsFront(const std::string& folder, int port, Clients clients)
    : state_(std::make_unique<State>()) {
  std::signal(SIGPIPE, SIG_IGN);  // SSL_write knows no MSG_NOSIGNAL
  SSL_CTX* const context = state_->context = SSL_CTX_new(TLS_server_method());
  const std::string own = folder + "/server.pem";
  if (SSL_CTX_use_certificate_file(context, own.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, own.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(context, (folder + "/ca.pem").c_str(), nullptr) != 1) {
    Die("certificates");
  }
  if (clients == Clients::kCertified) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  state_->behind = port;
  state_->listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  if (::bind(state_->listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(state_->listener, 64) != 0) {
    Die("cannot listen");
  }
  ::getsockname(state_->listener, reinterpret_cast<sockaddr*>(&address), &size);
  state_->port = ntohs(address.sin_port);
  state_->accepting = std::thread([state = state_.get()] { state->Accept(); });
}

TlsFront::~TlsFront() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    ::shutdown(state_->listener, SHUT_RDWR);
    for (const int fd : state_->open) ::shutdown(fd, SHUT_RDWR);
  }
  state_->accepting.join();
  for (std::thread& thread : state_->serving) thread.join();
  ::close(state_->listener);
  SSL_CTX_free(state_->context);
}

std::string TlsFront::Url(std::string_view path) const {
  return "https://127.0.0.1:" + std::to_string(state_->port) + std::string(path);
}

}  // namespace autoscale
