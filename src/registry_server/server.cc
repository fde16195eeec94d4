#include "registry_server/server.h"

#include <fcntl.h>

#include <cstdio>

#include "base/clock.h"
#include "base/log.h"
#include "net/url.h"
#include "registry_server/answer.h"
#include "registry_server/htpasswd.h"
#include "registry_server/service.h"

namespace archway {

namespace {

using namespace registry_server;

// What a client sent stands in a line of its own: no blanks, line breaks or terminal escapes in it.
std::string loggable(std::string_view text) {
  std::string clean;
  for (char c : text) {
    if (c > ' ' && c < 0x7f) {
      clean += c;
    } else {
      char escaped[4];
      std::snprintf(escaped, sizeof escaped, "%%%02X", static_cast<unsigned char>(c));
      clean += escaped;
    }
  }
  return clean;
}

uint64_t body_size(const ServerResponse& response) {
  if (response.head_only || response.status == 304) return 0;
  return response.file ? response.file_length : response.body.size();
}

// Counts and times what `inner` does.
class LoggedHandler final : public RequestHandler {
 public:
  LoggedHandler(const std::function<void(std::string_view)>& log, const ServerRequest& request, Handler inner)
      : log_(log), inner_(std::move(inner)), subject_(request.remote_address + " " + loggable(request.method) + " " + loggable(request.path)), head_(request.method == "HEAD") {
    char separator = '?';
    for (const auto& [name, value] : request.query) {
      subject_ += separator + percent_encode(name) + "=" + percent_encode(value);
      separator = '&';
    }
  }

  Result<void> body(Bytes piece) override {
    received_ += piece.size();
    // Counted to the end, also what inner_ does not want any more.
    if (!refused_) refused_ = !inner_->body(piece).ok();
    return {};
  }

  ServerResponse finish(bool complete) override {
    ServerResponse response = inner_->finish(complete);
    auto elapsed = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun_).count();
    char rest[128];
    // 499: the client was gone before the answer (nginx's number).
    std::snprintf(rest, sizeof rest, " %d in=%llu out=%llu ms=%.1f", complete ? response.status : 499, static_cast<unsigned long long>(received_),
                  static_cast<unsigned long long>(complete && !head_ ? body_size(response) : 0), elapsed);
    log_(format_rfc3339(system_clock().now()) + " " + subject_ + rest);
    return response;
  }

 private:
  const std::function<void(std::string_view)>& log_;
  Handler inner_;
  std::string subject_;
  bool head_ = false, refused_ = false;
  uint64_t received_ = 0;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

class Server final : public RegistryServer {
 public:
  Server(RegistryServerOptions options, std::unique_ptr<Store> store, std::unique_ptr<Htpasswd> htpasswd)
      : options_(std::move(options)),
        store_(std::move(store)),
        uploads_(store_->uploads_folder(), options_.upload_lifetime),
        htpasswd_(std::move(htpasswd)),
        service_{*store_, uploads_} {}

  Result<void> listen() {
    HttpServerOptions http;
    http.host = options_.host;
    http.port = options_.port;
    http.tls_cert_file = options_.tls_cert_file;
    http.tls_key_file = options_.tls_key_file;
    http.max_connections = options_.max_connections;
    http.stop_grace = options_.stop_grace;
    http_ = TRY(HttpServer::start(std::move(http), [this](const ServerRequest& request) { return handle(request); }));
    return {};
  }

  uint16_t port() const override { return http_->port(); }
  std::string url() const override {
    bool literal6 = options_.host.find(':') != std::string::npos;
    return std::string(options_.tls_cert_file.empty() ? "http" : "https") + "://" + (literal6 ? "[" + options_.host + "]" : options_.host) + ":" + std::to_string(port());
  }

 private:
  Handler handle(const ServerRequest& request) {
    Handler handler = allowed(request) ? dispatch(request) : refuse();
    if (!options_.access_log) return handler;
    return std::make_unique<LoggedHandler>(options_.access_log, request, std::move(handler));
  }

  // The one gate: every request goes through it, whatever it asks for.
  bool allowed(const ServerRequest& request) { return !htpasswd_ || htpasswd_->allows(request.headers.get("Authorization")); }

  static Handler refuse() {
    ServerResponse response = error_response(401, "UNAUTHORIZED", "user name and password are needed");
    response.headers.set("WWW-Authenticate", "Basic realm=\"archway\", charset=\"UTF-8\"");
    response.headers.set("Docker-Distribution-Api-Version", "registry/2.0");
    return answer_with(std::move(response));
  }

  Handler dispatch(const ServerRequest& request) {
    auto [route, error] = parse_route(request.path);
    if (!route && error == RouteError::InvalidName) return answer_with(error_response(400, "NAME_INVALID", "this is no name of a repository"));
    if (!route) return answer_with(error_response(404, "UNSUPPORTED", "there is nothing at this path"));
    switch (route->endpoint) {
      case Endpoint::Base: return base();
      case Endpoint::Catalog: return handle_catalog(service_, request);
      case Endpoint::Tags: return handle_tags(service_, request, *route);
      case Endpoint::Manifest: return handle_manifest(service_, request, *route);
      case Endpoint::Blob: return handle_blob(service_, request, *route);
      case Endpoint::Uploads: return handle_uploads(service_, request, *route);
      case Endpoint::Upload: return handle_upload(service_, request, *route);
      case Endpoint::Referrers: return handle_referrers(service_, request, *route);
    }
    return answer_with(empty_response(404));
  }

  static Handler base() {
    ServerResponse response = json_response(200, Json::object());
    response.headers.set("Docker-Distribution-Api-Version", "registry/2.0");
    return answer_with(std::move(response));
  }

  RegistryServerOptions options_;
  std::unique_ptr<Store> store_;
  Uploads uploads_;
  std::unique_ptr<Htpasswd> htpasswd_;
  Service service_;
  std::unique_ptr<HttpServer> http_;  // last: it stops before what its requests use
};

}  // namespace

Result<std::unique_ptr<RegistryServer>> RegistryServer::start(RegistryServerOptions options) {
  if (options.root.empty()) return Error{Code::Invalid, "a registry server needs a folder to keep its images in"};
  bool beyond_loopback = !is_loopback_host(options.host);
  if (beyond_loopback && options.htpasswd_file.empty() && !options.allow_anonymous) {
    return Error{Code::Unauthorized, "will not listen on " + options.host + " without authentication: everybody who reaches this address could read and replace every image",
                 "give --htpasswd FILE, listen on 127.0.0.1, or say --allow-anonymous"};
  }
  if (beyond_loopback && !options.htpasswd_file.empty() && options.tls_cert_file.empty()) {
    log_warn("passwords for " + options.host + " cross the network in the clear without --tls-cert and --tls-key");
  }
  std::unique_ptr<Htpasswd> htpasswd;
  if (!options.htpasswd_file.empty()) htpasswd = TRY(Htpasswd::open(options.htpasswd_file));
  auto store = TRY(Store::open(options.root));
  auto server = std::make_unique<Server>(std::move(options), std::move(store), std::move(htpasswd));
  TRY(server->listen());
  return std::unique_ptr<RegistryServer>(std::move(server));
}

Result<std::function<void(std::string_view)>> file_access_log(const std::string& path) {
  auto file = std::make_shared<Fd>(TRY(open_file(path, O_WRONLY | O_CREAT | O_APPEND)));
  return std::function<void(std::string_view)>([file](std::string_view line) {
    std::string text = std::string(line) + "\n";
    (void)write_all(file->get(), as_bytes(text)).ok();
  });
}

}  // namespace archway
