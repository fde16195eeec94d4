#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/stream.h"
#include "net/address_policy.h"
#include "net/http.h"
#include "net/url.h"

namespace archway {

struct TlsOptions {
  std::string ca_file = {};            // besides the system's
  std::string client_cert_file = {}, client_key_file = {};
  bool insecure_skip_verify = false;
  // PEM itself in place of files. Where `ca_pem` is set, nobody else is trusted: a cluster's own authority.
  std::string ca_pem = {}, client_cert_pem = {}, client_key_pem = {};
  std::string server_name = {};        // asked for (SNI) and verified in place of the URL's host
};

// As HTTP_PROXY, HTTPS_PROXY and NO_PROXY have them (curl's syntax). Only cli reads the environment. Loopback hosts
// are never asked through a proxy, as Go's programs have it, unless somebody says so by name (a kubeconfig's proxy-url).
struct ProxyOptions {
  std::string http = {}, https = {}, no_proxy = {};
  bool for_loopback = false;
};

struct HttpClientOptions {
  TlsOptions tls = {};
  ProxyOptions proxy = {};
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(15);
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(30);  // no byte for this long: Unavailable
  std::string user_agent = "archway";
  size_t max_connections_per_host = 8;  // idle ones that are kept for the next exchange; exchanges never wait for one another
  AddressPolicy reach = {};            // Invalid for what it denies, checked against the very address that is connected to
};

struct HttpRequest {
  std::string method = "GET";
  Url url = {};
  Headers headers = {};
  std::string body = {};                   // or, for streams:
  Source* body_source = nullptr;           // borrowed until the response has come
  std::optional<uint64_t> body_size = {};  // of body_source; none: chunked
  std::optional<std::chrono::milliseconds> timeout = {};  // for the whole exchange
  // How long the server may think between the last byte of the request and the response's head, where that is not
  // the client's stall_timeout: a registry hashes and moves a layer before it answers the PUT that ends it.
  std::optional<std::chrono::milliseconds> response_timeout = {};
  // How long the answer may be silent, where that is not the client's: a watch has nothing to say for minutes.
  std::optional<std::chrono::milliseconds> stall_timeout = {};
  bool fresh_connection = false;  // neither reuse a connection nor leave it for others
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
// each exchange blocks its caller. The program must ignore SIGPIPE (a TLS peer may go while we write). A request that cannot be written safely (a line break in a header) is Invalid.
// Errors: Unavailable (connect, TLS handshake, stall, broken off: may work later), Invalid (a certificate that is not to be
// trusted, a CA file that cannot be read: trying again will not help), Cancelled, or what body_source failed with.
// A response body fails in the same ways, after all bytes that came before the failure have been read.
class HttpClient {
 public:
  static Result<std::shared_ptr<HttpClient>> create(HttpClientOptions options = {});
  virtual ~HttpClient() = default;
  virtual Result<std::unique_ptr<HttpResponse>> send(const HttpRequest& request, std::stop_token stop = {}) = 0;
};

}  // namespace archway
