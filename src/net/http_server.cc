#include "net/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/sync.h"
#include "base/text.h"

namespace archway {

namespace {

// Each connection has one buffer of this size: half of it is what a read of the request body can bring at once, so it
// sets upload speed; libmicrohttpd wipes all of it after each request, so it sets the cost of small ones.
constexpr size_t kConnectionBufferBytes = 128 * 1024;
constexpr size_t kThreadStackBytes = 512 * 1024;
constexpr uint64_t kMaxPemBytes = 1 << 20;
constexpr int kListenBacklog = 511;
// TLS 1.0 and 1.1 are off (RFC 8996).
constexpr const char* kTlsPriorities = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1";

struct AddressList {
  addrinfo* first = nullptr;
  ~AddressList() {
    if (first) ::freeaddrinfo(first);
  }
};

std::string shown_address(const HttpServerOptions& options) { return options.host + ":" + std::to_string(options.port); }

Result<Fd> listen_on_address(const addrinfo& address, const std::string& what) {
  Fd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno_error(what);
  int on = 1;
  // A server that was stopped may be started again on its port at once.
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), address.ai_addr, address.ai_addrlen) != 0 || ::listen(fd.get(), kListenBacklog) != 0) return errno_error(what);
  return fd;
}

Result<Fd> listen_on(const HttpServerOptions& options) {
  std::string what = "listening on " + shown_address(options);
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  AddressList list;
  int error = ::getaddrinfo(options.host.c_str(), std::to_string(options.port).c_str(), &hints, &list.first);
  if (error != 0) return Error{Code::Invalid, what + ": " + ::gai_strerror(error)};
  // "localhost" may be ::1 first, on a machine without IPv6: the first address that works is taken, IPv4 before IPv6,
  // since clients that are told "localhost" try that one at least.
  std::optional<Error> first_error;
  for (int family : {AF_INET, AF_INET6}) {
    for (addrinfo* at = list.first; at; at = at->ai_next) {
      if (at->ai_family != family) continue;
      Result<Fd> fd = listen_on_address(*at, what);
      if (fd.ok()) return fd;
      if (!first_error) first_error = std::move(fd).error();
    }
  }
  return first_error.value_or(Error{Code::Invalid, what + ": it has no address"});
}

Result<uint16_t> port_of(int socket) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return errno_error("reading the port of a socket");
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
  return ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
}

std::string address_text(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  if (!info || !info->client_addr) return "";
  char text[INET6_ADDRSTRLEN] = "";
  if (info->client_addr->sa_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(info->client_addr)->sin_addr, text, sizeof text);
  } else if (info->client_addr->sa_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(info->client_addr)->sin6_addr, text, sizeof text);
  }
  return text;
}

// From the first line of a request to the end of its answer; libmicrohttpd carries it along as "con_cls".
struct Exchange {
  std::string target;  // as it stood in the request line
  std::unique_ptr<RequestHandler> handler;
  bool routed = false, dropping = false, answered = false;
};

// nullopt: an escape that is none.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parameters;
  while (!query.empty()) {
    auto [part, rest] = cut(query, '&');
    query = rest.value_or(std::string_view());
    if (part.empty()) continue;
    auto [name, value] = cut(part, '=');
    auto decoded_name = percent_decode(name), decoded_value = percent_decode(value.value_or(std::string_view()));
    if (!decoded_name || !decoded_value) return std::nullopt;
    parameters.emplace_back(std::move(*decoded_name), std::move(*decoded_value));
  }
  return parameters;
}

MHD_Result collect_header(void* into, MHD_ValueKind, const char* name, const char* value) {
  static_cast<Headers*>(into)->add(name, value ? value : "");
  return MHD_YES;
}

size_t head_bytes(const std::string& target, const Headers& headers) {
  size_t bytes = target.size();
  for (const auto& [name, value] : headers.list()) bytes += name.size() + value.size() + 4;
  return bytes;
}

// What libmicrohttpd asks for, when it has a body to send that HEAD never gets.
ssize_t no_body(void*, uint64_t, char*, size_t) { return MHD_CONTENT_READER_END_WITH_ERROR; }

void free_body(void* body) { delete static_cast<std::string*>(body); }

MHD_Response* make_body(ServerResponse& response) {
  if (response.head_only) {
    uint64_t size = response.file || response.body.empty() ? response.file_length : response.body.size();
    return MHD_create_response_from_callback(size, 1024, &no_body, nullptr, nullptr);
  }
  if (response.file) {
    // The response owns the descriptor from here, and closes it also when it cannot be made.
    return MHD_create_response_from_fd_at_offset64(response.file_length, response.file->release(), response.file_offset);
  }
  auto body = std::make_unique<std::string>(std::move(response.body));
  MHD_Response* made = MHD_create_response_from_buffer_with_free_callback_cls(body->size(), body->data(), &free_body, body.get());
  if (made) (void)body.release();
  return made;
}

ServerResponse plain_response(int status, std::string text) {
  ServerResponse response;
  response.status = status;
  response.headers.set("Content-Type", "text/plain");
  response.body = std::move(text);
  return response;
}

// One libmicrohttpd daemon. Its certificate is that of its start.
class Daemon {
 public:
  Daemon(HttpServerOptions options, Router router) : options_(std::move(options)), router_(std::move(router)) {}
  Daemon(const Daemon&) = delete;
  ~Daemon() { stop(); }

  // Listens on `socket`, or, where that is none, on the address of the options.
  Result<void> run(Fd socket = Fd());
  uint16_t port() const { return port_; }
  Result<Fd> duplicate_socket() const;
  // Takes no more connections; those that are open get one more answer.
  void retire();
  bool idle() const;

 private:
  static void* on_target(void* self, const char* target, MHD_Connection*);
  static MHD_Result on_request(void* self, MHD_Connection*, const char* url, const char* method, const char* version,
                               const char* data, size_t* size, void** exchange);
  static void on_completed(void* self, MHD_Connection*, void** exchange, MHD_RequestTerminationCode);
  static size_t keep_escapes(void*, MHD_Connection*, char* text) { return std::strlen(text); }
  static void on_log(void* self, const char* format, va_list arguments);

  std::optional<ServerResponse> route(MHD_Connection* connection, const char* method, Exchange& exchange);
  MHD_Result answer(MHD_Connection* connection, ServerResponse response);
  void stop();

  HttpServerOptions options_;
  Router router_;
  std::string cert_, key_;  // libmicrohttpd borrows them
  Sync<std::string> last_message_;
  MHD_Daemon* daemon_ = nullptr;
  int socket_ = -1;  // the daemon's
  Fd quiesced_;      // the same, once no client may come any more
  uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<size_t> in_flight_ = 0;
};

Result<void> Daemon::run(Fd socket) {
  bool tls = !options_.tls_cert_file.empty() || !options_.tls_key_file.empty();
  if (tls) {
    if (options_.tls_cert_file.empty() || options_.tls_key_file.empty()) {
      return Error{Code::Invalid, "TLS needs both a certificate file and a key file"};
    }
    cert_ = TRY(read_file(options_.tls_cert_file, kMaxPemBytes));
    key_ = TRY(read_file(options_.tls_key_file, kMaxPemBytes));
  }
  if (!socket) socket = TRY(listen_on(options_));
  port_ = TRY(port_of(socket.get()));

  unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG;
  flags |= options_.threads == 0 ? static_cast<unsigned>(MHD_USE_THREAD_PER_CONNECTION) | MHD_USE_POLL : static_cast<unsigned>(MHD_USE_EPOLL);
  if (tls) flags |= MHD_USE_TLS;
  std::vector<MHD_OptionItem> items = {
      {MHD_OPTION_LISTEN_SOCKET, socket.get(), nullptr},
      {MHD_OPTION_CONNECTION_LIMIT, static_cast<intptr_t>(std::max<size_t>(options_.max_connections, 1)), nullptr},
      {MHD_OPTION_CONNECTION_TIMEOUT, options_.idle_timeout_seconds, nullptr},
      {MHD_OPTION_CONNECTION_MEMORY_LIMIT, static_cast<intptr_t>(std::max(kConnectionBufferBytes, 2 * options_.max_header_bytes)), nullptr},
      {MHD_OPTION_THREAD_STACK_SIZE, static_cast<intptr_t>(kThreadStackBytes), nullptr},
      // The path must come as it was sent: "a%2fb" is not "a/b".
      {MHD_OPTION_UNESCAPE_CALLBACK, reinterpret_cast<intptr_t>(&keep_escapes), this},
      {MHD_OPTION_URI_LOG_CALLBACK, reinterpret_cast<intptr_t>(&on_target), this},
      {MHD_OPTION_NOTIFY_COMPLETED, reinterpret_cast<intptr_t>(&on_completed), this},
      // Two header blocks, a folded header, a Host that is missing: what makes two parsers disagree is refused.
      {MHD_OPTION_STRICT_FOR_CLIENT, 1, nullptr},
  };
  if (options_.threads > 0) items.push_back({MHD_OPTION_THREAD_POOL_SIZE, static_cast<intptr_t>(options_.threads), nullptr});
  if (tls) {
    items.push_back({MHD_OPTION_HTTPS_MEM_CERT, 0, cert_.data()});
    items.push_back({MHD_OPTION_HTTPS_MEM_KEY, 0, key_.data()});
    items.push_back({MHD_OPTION_HTTPS_PRIORITIES, 0, const_cast<char*>(kTlsPriorities)});
  }
  items.push_back({MHD_OPTION_END, 0, nullptr});
  daemon_ = MHD_start_daemon(flags, 0, nullptr, nullptr, &on_request, this, MHD_OPTION_EXTERNAL_LOGGER, &on_log, this,
                             MHD_OPTION_ARRAY, items.data(), MHD_OPTION_END);
  if (!daemon_) {
    // libmicrohttpd has closed the socket, although it was not its own yet.
    (void)socket.release();
    std::string why = *last_message_.lock();
    return Error{tls ? Code::Invalid : Code::Io, "starting the HTTP server on " + shown_address(options_) + ": " + (why.empty() ? "libmicrohttpd refused" : why)};
  }
  socket_ = socket.release();  // MHD_stop_daemon closes it
  return {};
}

Result<Fd> Daemon::duplicate_socket() const {
  Fd copy(::fcntl(socket_, F_DUPFD_CLOEXEC, 0));
  if (!copy) return errno_error("duplicating a listening socket");
  return copy;
}

// A thread of libmicrohttpd may be about to accept on the socket until MHD_stop_daemon: it stays open that long.
void Daemon::retire() {
  stopping_ = true;
  quiesced_ = Fd(MHD_quiesce_daemon(daemon_));
}

bool Daemon::idle() const {
  const MHD_DaemonInfo* info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
  return info && info->num_connections == 0;
}

void Daemon::stop() {
  if (!daemon_) return;
  stopping_ = true;
  if (!quiesced_) {
    quiesced_ = Fd(MHD_quiesce_daemon(daemon_));
    // From here on connecting clients are refused. (Of a retired daemon another one listens on the same socket.)
    (void)::shutdown(quiesced_.get(), SHUT_RDWR);
  }
  // Polled, since the last exchange may end in a thread that is itself about to go.
  auto deadline = std::chrono::steady_clock::now() + options_.stop_grace;
  while (in_flight_ > 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  MHD_stop_daemon(daemon_);
  daemon_ = nullptr;
  quiesced_.reset();
}

void* Daemon::on_target(void* self, const char* target, MHD_Connection*) {
  static_cast<Daemon*>(self)->in_flight_++;
  auto exchange = std::make_unique<Exchange>();
  exchange->target = target;
  return exchange.release();
}

// Called for the head, for each piece of the body, and once more at its end.
MHD_Result Daemon::on_request(void* self_pointer, MHD_Connection* connection, const char*, const char* method,
                                        const char*, const char* data, size_t* size, void** exchange_pointer) {
  auto& self = *static_cast<Daemon*>(self_pointer);
  auto& exchange = *static_cast<Exchange*>(*exchange_pointer);
  if (!exchange.routed) {
    exchange.routed = true;
    if (auto refused = self.route(connection, method, exchange)) {
      exchange.answered = true;
      return self.answer(connection, std::move(*refused));
    }
    return MHD_YES;
  }
  if (*size > 0) {
    if (!exchange.dropping) {
      exchange.dropping = !exchange.handler->body({reinterpret_cast<const std::byte*>(data), *size}).ok();
    }
    *size = 0;
    return MHD_YES;
  }
  if (exchange.answered) return MHD_YES;
  exchange.answered = true;
  return self.answer(connection, exchange.handler->finish(true));
}

std::optional<ServerResponse> Daemon::route(MHD_Connection* connection, const char* method, Exchange& exchange) {
  ServerRequest request;
  request.method = method;
  request.remote_address = address_text(connection);
  MHD_get_connection_values(connection, MHD_HEADER_KIND, &collect_header, &request.headers);
  if (head_bytes(exchange.target, request.headers) > options_.max_header_bytes) return plain_response(431, "request head too large\n");
  auto [path, query] = cut(exchange.target, '?');
  request.path = path;
  auto parameters = parse_query(query.value_or(std::string_view()));
  if (!parameters) return plain_response(400, "malformed escape in the query\n");
  request.query = std::move(*parameters);
  exchange.handler = router_(request);
  if (!exchange.handler) return plain_response(404, "not found\n");
  return std::nullopt;
}

MHD_Result Daemon::answer(MHD_Connection* connection, ServerResponse response) {
  MHD_Response* made = make_body(response);
  if (!made) return MHD_NO;  // closes the connection
  for (const auto& [name, value] : response.headers.list()) {
    // Content-Length is libmicrohttpd's to say. It refuses line breaks in values, so an answer cannot be split.
    if (::strcasecmp(name.c_str(), "Content-Length") == 0) continue;
    if (MHD_add_response_header(made, name.c_str(), value.c_str()) != MHD_YES) log_debug("dropped a malformed response header " + name);
  }
  if (stopping_) MHD_add_response_header(made, "Connection", "close");
  MHD_Result queued = MHD_queue_response(connection, static_cast<unsigned>(response.status), made);
  MHD_destroy_response(made);
  return queued;
}

void Daemon::on_completed(void* self_pointer, MHD_Connection*, void** exchange_pointer, MHD_RequestTerminationCode) {
  auto& self = *static_cast<Daemon*>(self_pointer);
  std::unique_ptr<Exchange> exchange(static_cast<Exchange*>(std::exchange(*exchange_pointer, nullptr)));
  if (!exchange) return;
  if (exchange->handler && !exchange->answered) (void)exchange->handler->finish(false);
  exchange.reset();
  self.in_flight_--;
}

void Daemon::on_log(void* self, const char* format, va_list arguments) {
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  std::string text(trim(line));
  log_debug("http server: " + text);
  *static_cast<Daemon*>(self)->last_message_.lock() = std::move(text);
}

// A certificate is a daemon's for its life, so another one comes with another daemon on the same socket. The one before lives until
// its last connection has gone: closing those by force would break requests that are just being sent.
class MicrohttpdServer final : public HttpServer {
 public:
  MicrohttpdServer(HttpServerOptions options, Router router) : options_(std::move(options)), router_(std::move(router)) {}

  Result<void> run() {
    auto daemon = std::make_unique<Daemon>(options_, router_);
    TRY(daemon->run());
    port_ = daemon->port();
    state_.lock()->current = std::move(daemon);
    return {};
  }
  uint16_t port() const override { return port_; }
  Result<void> reload_certificate() override {
    if (options_.tls_cert_file.empty()) return {};
    auto state = state_.lock();
    auto next = std::make_unique<Daemon>(options_, router_);
    Fd socket = TRY(state->current->duplicate_socket());
    TRY(next->run(std::move(socket)));
    state->current->retire();
    std::erase_if(state->retired, [](const std::unique_ptr<Daemon>& each) { return each->idle(); });
    state->retired.push_back(std::exchange(state->current, std::move(next)));
    return {};
  }

 private:
  struct State {
    std::unique_ptr<Daemon> current;
    std::vector<std::unique_ptr<Daemon>> retired;
  };
  HttpServerOptions options_;
  Router router_;
  uint16_t port_ = 0;
  Sync<State> state_;
};

}  // namespace

std::optional<std::string> ServerRequest::query_value(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, Router router) {
  auto server = std::make_unique<MicrohttpdServer>(std::move(options), std::move(router));
  TRY(server->run());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace archway
