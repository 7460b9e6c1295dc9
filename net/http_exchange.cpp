#include "net/http_exchange.h"

#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "net/http_text.h"

namespace autoscale {
namespace {

// Bytes. An answer for ten thousand services has megabytes; curl's 16 KiB mean a turn of the loop
// for each.
constexpr long kReceiveBuffer = 128L << 10;

// The kernel gives up after nine of them without an answer.
constexpr long kKeepAliveSeconds = 10;

// A server that sends more is broken or hostile; ordinary answers have less than 1 KiB.
constexpr size_t kMaxHeaderBytes = 256u << 10;

// A CA that was replaced is trusted so much later at most; curl would keep the old one for a day.
constexpr long kKeepCaSeconds = 60;

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string SystemMessage(int error_number) {
  std::string text = std::generic_category().message(error_number);
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

Status CheckRequest(const HttpRequest& request) {
  const auto invalid = [&](const std::string& what) {
    return Error{ErrorKind::kInvalid, "'" + ShownUrl(request.url) + "': " + what};
  };
  if (!request.url.starts_with("http://") && !request.url.starts_with("https://")) {
    return invalid("the URL must begin with http:// or https://");
  }
  if (!IsToken(request.method)) return invalid("the method is not one of HTTP");
  if (request.timeout.count() <= 0) return invalid("the time-out must be positive");
  for (const auto& [name, value] : request.headers) {
    if (!IsToken(name)) return invalid("a header's name holds characters that HTTP forbids");
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      return invalid("the value of header " + name + " holds a line break");
    }
  }
  return Ok{};
}

HttpExchange::HttpExchange(HttpRequest request, HttpClient::Callback callback)
    : done(std::move(callback)),
      request_(std::move(request)),
      destination_(request_.unix_socket + '\n' + std::string(UrlOrigin(request_.url))) {
  if (request_.on_data) destination_ += '\n' + std::to_string(reinterpret_cast<uintptr_t>(this));
}

void HttpExchange::Prepare() {
  easy_.reset(curl_easy_init());
  if (!easy_) throw std::bad_alloc();
  CURL* const easy = easy_.get();
  curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, curl_says_.data());
  curl_easy_setopt(easy, CURLOPT_URL, request_.url.c_str());
  PrepareMethod();
  PrepareHeaders();
  PrepareConnection();
  if (!request_.username.empty()) {
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_USERNAME, request_.username.c_str());
    curl_easy_setopt(easy, CURLOPT_PASSWORD, request_.password.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(
      easy, CURLOPT_WRITEFUNCTION, +[](const char* data, size_t one, size_t size, void* self) {
        return static_cast<HttpExchange*>(self)->OnBody(data, one * size);
      });
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(
      easy, CURLOPT_HEADERFUNCTION, +[](const char* data, size_t one, size_t size, void* self) {
        return static_cast<HttpExchange*>(self)->OnHeader({data, one * size});
      });
}

void HttpExchange::PrepareMethod() {
  CURL* const easy = easy_.get();
  const std::string& method = request_.method;
  if (method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    return;
  }
  // A method that means to send says so even when there is nothing: "Content-Length: 0".
  if (!request_.body.empty() || method == "POST" || method == "PUT" || method == "PATCH") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request_.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_.body.c_str());
  }
  if (method != "GET" || !request_.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
  }
}

void HttpExchange::PrepareHeaders() {
  bool has_type = false;
  const auto add = [this](const std::string& line) {
    curl_slist* const longer = curl_slist_append(headers_.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(headers_.release());
    headers_.reset(longer);
  };
  for (const auto& [name, value] : request_.headers) {
    has_type = has_type || Lower(name) == "content-type";
    add(value.empty() ? name + ";" : name + ": " + value);  // ";" is curl's way to send it empty
  }
  if (!has_type) add("Content-Type:");  // curl would claim a form
  add("Expect:");                       // no waiting for 100-continue with large bodies
  if (!request_.keep_alive) add("Connection: close");
  curl_easy_setopt(easy_.get(), CURLOPT_HTTPHEADER, headers_.get());
}

void HttpExchange::PrepareConnection() {
  CURL* const easy = easy_.get();
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(
      easy, CURLOPT_OPENSOCKETFUNCTION,
      +[](void* self, curlsocktype, curl_sockaddr* address) -> curl_socket_t {
        return static_cast<HttpExchange*>(self)->OpenSocket(*address);
      });
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // giving up must not wait for a name server
  curl_easy_setopt(easy, CURLOPT_PROXY, "");       // not even one named by the environment
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBuffer);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  // The time-out is the client's own timer, which also covers the wait for a connection; curl's own
  // limit of 300 s for connecting must only not come before it.
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request_.timeout.count()) * 2);
  if (!request_.unix_socket.empty()) {
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request_.unix_socket.c_str());
  }
  PrepareTls();
  if (request_.on_data) {  // silence is ordinary, a peer that has gone is not
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, kKeepAliveSeconds);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, kKeepAliveSeconds);
  }
  if (!request_.keep_alive) {
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
  }
}

void HttpExchange::PrepareTls() {
  CURL* const easy = easy_.get();
  const auto set = [easy](CURLoption option, std::string& pem) {
    if (pem.empty()) return;
    curl_blob blob{.data = pem.data(), .len = pem.size(), .flags = CURL_BLOB_NOCOPY};
    curl_easy_setopt(easy, option, &blob);
  };
  // Replaces the bundle file only; the system's folder of certificates stays in force.
  if (!request_.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, request_.ca_file.c_str());
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, kKeepCaSeconds);
  }
  if (!request_.certificate_file.empty()) {
    const std::string& key =
        request_.key_file.empty() ? request_.certificate_file : request_.key_file;
    curl_easy_setopt(easy, CURLOPT_SSLCERT, request_.certificate_file.c_str());
    curl_easy_setopt(easy, CURLOPT_SSLKEY, key.c_str());
  }
  set(CURLOPT_CAINFO_BLOB, request_.ca_pem);
  if (!request_.ca_pem.empty()) curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  set(CURLOPT_SSLCERT_BLOB, request_.certificate_pem);
  set(CURLOPT_SSLKEY_BLOB, request_.key_pem);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, request_.verify ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, request_.verify ? 2L : 0L);
}

// It may be cancelled, and this object with it, by what is called.
void HttpExchange::Feed() {
  const bool begins = began_ && !std::exchange(told_, began_);
  if (fresh_.empty() && !begins) return;
  const std::string data = std::exchange(fresh_, {});
  const auto on_data = request_.on_data;
  on_data(data);
}

bool HttpExchange::Succeeds() const {
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  return status >= 200 && status < 300;
}

size_t HttpExchange::OnBody(const char* data, size_t size) {
  std::string& body = request_.on_data && Succeeds() ? fresh_ : response_.body;
  if (size > request_.max_answer_bytes - body.size()) {
    too_large_ = "the answer is larger than the limit of " +
                 std::to_string(request_.max_answer_bytes) + " bytes";
    return 0;  // makes curl give up
  }
  body.append(data, size);
  return size;
}

size_t HttpExchange::OnHeader(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes) {
    too_large_ =
        "its headers are larger than the limit of " + std::to_string(kMaxHeaderBytes) + " bytes";
    return 0;
  }
  const size_t colon = line.find(':');
  if (line.starts_with("HTTP/")) {
    response_.headers.clear();  // those before belonged to an interim answer
  } else if (colon != std::string_view::npos) {
    response_.headers.emplace_back(Lower(line.substr(0, colon)),
                                   std::string(Trim(line.substr(colon + 1))));
  } else if (request_.on_data && Trim(line).empty()) {
    began_ = Succeeds();
  }
  return line.size();
}

// As curl does it, but it would not tell why it failed.
curl_socket_t HttpExchange::OpenSocket(const curl_sockaddr& address) {
  const int fd = socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
  // A lack of ours; that an address cannot be had at all says something of the address.
  const bool lack = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
  socket_fault_ = fd < 0 && lack ? errno : 0;
  return fd < 0 ? CURL_SOCKET_BAD : fd;
}

Result<HttpResponse> HttpExchange::Finish(CURLcode code) {
  if (code != CURLE_OK) return Explain(code);
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  response_.status = static_cast<int>(status);
  return std::move(response_);
}

Error HttpExchange::Fail(ErrorKind kind, const std::string& message) const {
  const std::string where = request_.unix_socket.empty() ? "" : " over " + request_.unix_socket;
  return Error{kind, message}.Within(request_.method + " " + ShownUrl(request_.url) + where);
}

Error HttpExchange::TimedOut() const {
  const std::string text = "timed out after " + ShownDuration(request_.timeout);
  if (!active) return Fail(ErrorKind::kUnavailable, text + " waiting for a free connection");
  long sent = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_REQUEST_SIZE, &sent);
  return Fail(ErrorKind::kUnavailable, sent > 0 ? text : text + " while connecting");
}

Error HttpExchange::ExplainConnect() const {
  long error_number = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &error_number);
  if (error_number == ENOENT && !request_.unix_socket.empty()) {
    return Fail(ErrorKind::kUnavailable, "the socket does not exist");
  }
  if (socket_fault_ != 0) {
    return Fail(ErrorKind::kExhausted, "no socket can be opened: " + SystemMessage(socket_fault_));
  }
  return Fail(ErrorKind::kUnavailable,
              error_number == 0 ? "cannot connect" : SystemMessage(static_cast<int>(error_number)));
}

Error HttpExchange::Explain(CURLcode code) const {
  const auto unavailable = [this](const std::string& text) {
    return Fail(ErrorKind::kUnavailable, text);
  };
  const std::string detail = curl_says_[0] != '\0' ? curl_says_.data() : curl_easy_strerror(code);
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      return ExplainConnect();
    case CURLE_OPERATION_TIMEDOUT:
      return TimedOut();
    case CURLE_COULDNT_RESOLVE_HOST:
      return unavailable("the host's name cannot be resolved");
    case CURLE_URL_MALFORMAT:
      return Fail(ErrorKind::kInvalid, "the URL is malformed");
    case CURLE_SSL_CACERT_BADFILE:
      return Fail(ErrorKind::kInvalid, request_.ca_pem.empty()
                                           ? "the CA file " + request_.ca_file + " cannot be used"
                                           : "the CA's certificates cannot be used");
    case CURLE_SSL_CERTPROBLEM:
      if (request_.certificate_file.empty()) {
        return Fail(ErrorKind::kInvalid, "the client certificate and its key cannot be used");
      }
      return Fail(ErrorKind::kInvalid,
                  "the client certificate " + request_.certificate_file + " and its key in " +
                      (request_.key_file.empty() ? "the same file" : request_.key_file) +
                      " cannot be used");
    case CURLE_PEER_FAILED_VERIFICATION:
      return unavailable("the server's certificate is not trusted: " + detail);
    case CURLE_WRITE_ERROR:
      return unavailable(too_large_.empty() ? detail : too_large_);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return unavailable(response_.body.empty()
                             ? "the connection was closed before an answer came"
                             : "the connection was closed in the middle of the answer");
    case CURLE_PARTIAL_FILE:
      return unavailable("the connection was closed in the middle of the answer");
    case CURLE_UNSUPPORTED_PROTOCOL:  // what curl says to an answer without a status line
    case CURLE_WEIRD_SERVER_REPLY:
      return unavailable("the answer is not HTTP");
    default:
      return unavailable(detail);
  }
}

}  // namespace autoscale
