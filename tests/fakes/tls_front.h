// TlsFront: TLS on loopback before a FakeHttpServer, with certificates made for the test.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace autoscale {

// Files of one authority in a folder: ca.pem, server.pem (for 127.0.0.1) and client.pem, each of
// the last two with its key in the same file, and client.key with the client's key alone.
void WriteCertificates(const std::string& folder);

class TlsFront {
 public:
  enum class Clients { kAny, kCertified };

  // Serves what the server at `port` of 127.0.0.1 answers. kCertified: only to clients with a
  // certificate of the folder's authority. Aborts when it cannot.
  TlsFront(const std::string& folder, int port, Clients clients);
  // Ends all connections, and waits for its threads.
  ~TlsFront();
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  [[nodiscard]] std::string Url(std::string_view path = "") const;  // "https://127.0.0.1:PORT/path"

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
