// TLS with an authority of one's own, and with certificates on both sides.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "engine/model/file.h"
#include "net/http_client.h"
#include "tests/fakes/http_server.h"
#include "tests/fakes/tls_front.h"

namespace autoscale {
namespace {

class HttpTlsTest : public testing::Test {
 protected:
  HttpTlsTest() : client_(loop_, 2) {
    std::string name = (std::filesystem::temp_directory_path() / "autoscale-tls-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) abort();
    folder_ = name;
    WriteCertificates(folder_);
    server_.Answer("/x", "ok");
    loop_.After(std::chrono::seconds(20), [this] {
      ADD_FAILURE() << "no answer";
      loop_.Stop();
    });
  }
  ~HttpTlsTest() override { std::filesystem::remove_all(folder_); }

  // The body, or why there is none.
  std::string Fetch(const HttpRequest& request) {
    std::string said;
    client_.Send(request, [&](Result<HttpResponse> result) {
      said = result.ok() ? result->body : result.error().message;
      kind_ = result.ok() ? std::nullopt : std::optional(result.error().kind);
      loop_.Stop();
    });
    loop_.Run();
    return said;
  }
  [[nodiscard]] std::string File(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  FakeHttpServer server_;
  EventLoop loop_;
  HttpClient client_;
  std::optional<ErrorKind> kind_;
};

TEST_F(HttpTlsTest, TrustsTheAuthorityOfTheFileAndNoOther) {
  const TlsFront front(folder_, server_.port(), TlsFront::Clients::kAny);
  EXPECT_EQ(Fetch({.url = front.Url("/x"), .ca_file = File("ca.pem")}), "ok");
  EXPECT_NE(Fetch({.url = front.Url("/x")}).find("the server's certificate is not trusted"),
            std::string::npos);
  EXPECT_NE(Fetch({.url = front.Url("/x"), .ca_file = File("none.pem")})
                .find("the CA file " + File("none.pem") + " cannot be used"),
            std::string::npos);
  EXPECT_EQ(kind_, ErrorKind::kInvalid);
  EXPECT_EQ(server_.requests().size(), 1u);
}

TEST_F(HttpTlsTest, ShowsItsOwnCertificate) {
  const TlsFront front(folder_, server_.port(), TlsFront::Clients::kCertified);
  HttpRequest request{.url = front.Url("/x"), .ca_file = File("ca.pem")};
  EXPECT_NE(Fetch(request), "ok");
  EXPECT_EQ(kind_, ErrorKind::kUnavailable);

  request.certificate_file = File("client.pem");
  EXPECT_EQ(Fetch(request), "ok");
  request.key_file = File("client.key");
  request.keep_alive = false;
  EXPECT_EQ(Fetch(request), "ok");

  request.key_file = File("server.pem");  // another one's
  EXPECT_NE(Fetch(request).find("the client certificate " + File("client.pem") +
                                " and its key in " + File("server.pem") + " cannot be used"),
            std::string::npos);
  EXPECT_EQ(kind_, ErrorKind::kInvalid);
}

TEST_F(HttpTlsTest, CertificatesMayBeTexts) {
  const TlsFront front(folder_, server_.port(), TlsFront::Clients::kCertified);
  const auto text = [this](const std::string& name) { return ReadFile(File(name)).value(); };
  HttpRequest request{.url = front.Url("/x"),
                      .ca_pem = text("ca.pem"),
                      .certificate_pem = text("client.pem"),
                      .key_pem = text("client.key")};
  EXPECT_EQ(Fetch(request), "ok");
  request.keep_alive = false;
  request.key_pem = text("server.pem");  // another one's
  EXPECT_NE(Fetch(request).find("the client certificate and its key cannot be used"),
            std::string::npos);
  EXPECT_EQ(kind_, ErrorKind::kInvalid);
  request.key_pem = text("client.key");
  request.ca_pem = "nothing of the kind";
  EXPECT_NE(Fetch(request), "ok");
  request.ca_pem = text("client.pem");  // no authority
  EXPECT_NE(Fetch(request).find("the server's certificate is not trusted"), std::string::npos);
  request.verify = false;
  EXPECT_EQ(Fetch(request), "ok");
}

}  // namespace
}  // namespace autoscale
