#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/stream.h"
#include "net/http.h"

namespace archway {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;                        // 0: a free one; see port()
  std::string tls_cert_file = {}, tls_key_file = {};
  size_t threads = 0;                       // 0: one per connection, so that handlers may block; N: N event loops, whose
                                            // handlers must not (docs/decisions/0001-http-server.md)
  size_t max_connections = 1024;
  size_t max_header_bytes = 64 * 1024;
  int idle_timeout_seconds = 120;
  std::chrono::milliseconds stop_grace = std::chrono::seconds(10);  // what requests in flight get when the server stops
};

struct ServerRequest {
  std::string method;
  std::string path;                                   // decoded? no: raw path, percent-encoded, without query
  std::vector<std::pair<std::string, std::string>> query;  // percent-decoded; "+" stays "+", as RFC 3986 has it
  Headers headers;
  std::string remote_address;
  std::optional<std::string> query_value(std::string_view name) const;
};

// What a handler answers. The body is one of: text, a part of an open file (sent without copying where the kernel can), nothing.
struct ServerResponse {
  int status = 200;
  Headers headers = {};
  std::string body = {};
  std::optional<Fd> file = {};
  uint64_t file_offset = 0, file_length = 0;
  // Answer to HEAD: Content-Length is that of the body, which is not sent; where there is neither body nor file, file_length.
  bool head_only = false;
};

// One request being handled. The body arrives in pieces, on one thread at a time. Destroyed when the answer has been
// sent, or the connection is gone.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // A piece of the request body. After an error the rest of the body is read and dropped, then finish() says what the
  // answer is.
  virtual Result<void> body(Bytes piece) = 0;
  // The body has ended. `complete` is false where the client broke off: the answer then goes nowhere.
  virtual ServerResponse finish(bool complete) = 0;
};

// Called once the request's head has come. May be called from several threads at once.
using Router = std::function<std::unique_ptr<RequestHandler>(const ServerRequest&)>;

// An HTTP/1.1 server over libmicrohttpd. When destroyed it takes no more connections, lets requests in flight end
// (at most stop_grace), and stops. Errors of start(): Io (the address is taken, ...), Invalid (no such address, a
// certificate that is none). Heads over max_header_bytes get 431, connections over max_connections wait.
class HttpServer {
 public:
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, Router router);
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
  // Reads the certificate and key files again: connections that come from now on get them. Those that are open go on until their next
  // answer, which closes them. Where the files are not what they should be, the old ones stay. Without TLS this does nothing. Thread safe.
  virtual Result<void> reload_certificate() = 0;
};

}  // namespace archway
