#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/stream.h"
#include "net/http.h"
#include "net/url.h"

namespace archway {

struct TlsOptions {
  std::string ca_file = {};            // besides the system's
  std::string client_cert_file = {}, client_key_file = {};
  bool insecure_skip_verify = false;
};

struct HttpClientOptions {
  TlsOptions tls = {};
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(15);
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(30);  // no byte for this long: Unavailable
  std::string user_agent = "archway";
  size_t max_connections_per_host = 8;
};

struct HttpRequest {
  std::string method = "GET";
  Url url = {};
  Headers headers = {};
  std::string body = {};                   // or, for streams:
  Source* body_source = nullptr;           // borrowed until the response has come
  std::optional<uint64_t> body_size = {};  // of body_source; none: chunked
  std::optional<std::chrono::milliseconds> timeout = {};  // for the whole exchange
};

// The head has come; the body is read from it (blocking). Destroying it early drops the connection.
class HttpResponse {
 public:
  virtual ~HttpResponse() = default;
  int status = 0;
  Headers headers = {};
  virtual Source& body() = 0;
  // What is left of the body, at most `limit` bytes.
  Result<std::string> text(uint64_t limit) { return read_all(body(), limit, "response body"); }
};

// HTTP/1.1 and 2 over libcurl. Connections are kept and reused. Does not follow redirects, retry or authenticate:
// who calls decides (net/ knows no registries). Obeys the proxy variables it is given in `proxy`. Thread safe;
// each exchange blocks its caller. Errors: Unavailable (connect, TLS, stall, broken off), Cancelled.
class HttpClient {
 public:
  static Result<std::shared_ptr<HttpClient>> create(HttpClientOptions options = {});
  virtual ~HttpClient() = default;
  virtual Result<std::unique_ptr<HttpResponse>> send(const HttpRequest& request, std::stop_token stop = {}) = 0;
};

}  // namespace archway
