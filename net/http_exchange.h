// HttpExchange: one request on its way through libcurl. Internal to the HTTP client.
#pragma once

#include <curl/curl.h>

#include <array>
#include <memory>
#include <string>

#include "net/http_client.h"

namespace autoscale {

// Why a request cannot be sent at all, as kInvalid; Ok when it can.
Status CheckRequest(const HttpRequest& request);

class HttpExchange {
 public:
  HttpExchange(HttpRequest request, HttpClient::Callback done);
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  // Exchanges with equal destinations share connections, and the bound on them.
  [[nodiscard]] const std::string& destination() const { return destination_; }
  [[nodiscard]] const HttpRequest& request() const { return request_; }
  [[nodiscard]] CURL* easy() const { return easy_.get(); }

  // Makes the curl handle, ready to be added; curl reads from this object, which must stay put.
  void Prepare();
  // What became of it once curl is done; moves the response out.
  Result<HttpResponse> Finish(CURLcode code);
  Error TimedOut() const;
  // "GET http://host/path: " and then the message.
  Error Fail(ErrorKind kind, const std::string& message) const;

  // Hands on what of an endless answer has come.
  void Feed();

  HttpClient::Callback done;
  HttpClient::RequestId id = 0;
  EventLoop::TimerId deadline = 0;
  bool active = false;  // added to curl, as opposed to waiting for a connection

 private:
  void PrepareMethod();
  void PrepareHeaders();
  void PrepareConnection();
  void PrepareTls();
  [[nodiscard]] bool Succeeds() const;
  Error Explain(CURLcode code) const;
  Error ExplainConnect() const;
  curl_socket_t OpenSocket(const curl_sockaddr& address);
  size_t OnBody(const char* data, size_t size);
  size_t OnHeader(std::string_view line);

  HttpRequest request_;
  std::string destination_;
  HttpResponse response_;
  std::string fresh_;                  // of an endless answer, not handed on yet
  bool began_ = false, told_ = false;  // it has begun; that has been handed on
  size_t header_bytes_ = 0;
  std::string too_large_;  // what of the answer is; empty: nothing
  int socket_fault_ = 0;   // why there was no socket for it: ours, not the other side's
  std::array<char, CURL_ERROR_SIZE> curl_says_{};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers_{nullptr,
                                                                       &curl_slist_free_all};
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy_{nullptr, &curl_easy_cleanup};
};

}  // namespace autoscale
