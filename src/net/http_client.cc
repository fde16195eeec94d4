#include "net/http_client.h"

#include <curl/curl.h>
#include <dirent.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <list>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/sync.h"
#include "base/text.h"

namespace archway {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

inline constexpr size_t kMaxHeadBytes = 256 * 1024;
// Beyond this much that nobody has read yet, the transfer is paused and TCP's window closes.
inline constexpr size_t kMaxBufferedBytes = 2 << 20;
inline constexpr long kReceiveBufferBytes = 512 * 1024;  // libcurl's maximum
inline constexpr long kSendBufferBytes = 2 << 20;        // likewise
inline constexpr int kDefaultProxyPort = 1080;  // libcurl's
inline constexpr size_t kMaxIdleLanes = 64;
inline constexpr size_t kMaxDrainBytes = 64 * 1024;

// libcurl's share: names and TLS sessions are common to all lanes of a client. (Connections are not: libcurl 7.88
// cannot share them between threads, so each lane keeps its own.)
class Share {
 public:
  Share() : share_(curl_share_init()) {
    CHECK(share_ != nullptr);
    curl_share_setopt(share_, CURLSHOPT_LOCKFUNC, &Share::lock);
    curl_share_setopt(share_, CURLSHOPT_UNLOCKFUNC, &Share::unlock);
    curl_share_setopt(share_, CURLSHOPT_USERDATA, this);
    curl_share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  }
  ~Share() { curl_share_cleanup(share_); }
  Share(const Share&) = delete;
  CURLSH* get() const { return share_; }

 private:
  static void lock(CURL*, curl_lock_data data, curl_lock_access, void* self) { static_cast<Share*>(self)->mutexes_[data].lock(); }
  static void unlock(CURL*, curl_lock_data data, void* self) { static_cast<Share*>(self)->mutexes_[data].unlock(); }
  std::array<std::mutex, CURL_LOCK_DATA_LAST> mutexes_;
  CURLSH* share_;
};

// One transfer at a time, and the connection that it leaves open: a multi handle owns the connections of its easy handle.
class Lane {
 public:
  Lane() : multi_(curl_multi_init()), easy_(curl_easy_init()) { CHECK(multi_ && easy_); }
  ~Lane() {
    detach();
    curl_easy_cleanup(easy_);
    curl_multi_cleanup(multi_);
  }
  Lane(const Lane&) = delete;
  CURL* easy() const { return easy_; }
  CURLM* multi() const { return multi_; }
  CURLMcode attach() {
    attached_ = true;
    return curl_multi_add_handle(multi_, easy_);
  }
  // A transfer that has not ended is broken off, and its connection closed.
  void detach() {
    if (attached_) curl_multi_remove_handle(multi_, easy_);
    attached_ = false;
  }
  std::string origin;

 private:
  CURLM* multi_;
  CURL* easy_;
  bool attached_ = false;
};

// Debian's /etc/ssl/certs has a link by hash for each certificate: OpenSSL then reads the one that it needs instead of
// parsing the whole bundle, which costs some 20 ms.
bool has_hashed_certificates(const char* folder) {
  DIR* dir = ::opendir(folder);
  if (!dir) return false;
  bool found = false;
  while (dirent* entry = found ? nullptr : ::readdir(dir)) {
    std::string_view name = entry->d_name;
    found = name.size() == 10 && name.ends_with(".0");
  }
  ::closedir(dir);
  return found;
}

// Is this one of the proxy's own addresses? Whoever set the proxy meant it to be reached.
bool is_proxy_address(std::string_view proxy, const curl_sockaddr& to) {
  if (size_t scheme = proxy.find("://"); scheme != std::string_view::npos) proxy.remove_prefix(scheme + 3);
  if (size_t user = proxy.rfind('@'); user != std::string_view::npos) proxy.remove_prefix(user + 1);
  auto url = parse_url("http://" + std::string(proxy));
  if (proxy.empty() || !url.ok()) return false;
  bool has_port = proxy.substr(0, proxy.find('/')).ends_with(":" + std::to_string(url->port));
  addrinfo hints = {}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = to.family;
  std::string port = std::to_string(has_port ? url->port : kDefaultProxyPort);
  if (::getaddrinfo(url->host.c_str(), port.c_str(), &hints, &list) != 0) return false;
  bool same = false;
  for (addrinfo* at = list; at; at = at->ai_next) same |= at->ai_addrlen == to.addrlen && std::memcmp(at->ai_addr, &to.addr, to.addrlen) == 0;
  ::freeaddrinfo(list);
  return same;
}

class CurlClient final : public HttpClient, public std::enable_shared_from_this<CurlClient> {
 public:
  explicit CurlClient(HttpClientOptions options) : options_(std::move(options)) {}
  Result<std::unique_ptr<HttpResponse>> send(const HttpRequest& request, std::stop_token stop) override;

  std::unique_ptr<Lane> take_lane(const std::string& origin);
  void give_back(std::unique_ptr<Lane> lane);
  const HttpClientOptions& options() const { return options_; }
  CURLSH* share() const { return share_.get(); }

 private:
  HttpClientOptions options_;
  Share share_;
  Sync<std::list<std::unique_ptr<Lane>>> idle_;  // most recently used first
};

std::unique_ptr<Lane> CurlClient::take_lane(const std::string& origin) {
  auto idle = idle_.lock();
  auto same = std::find_if(idle->begin(), idle->end(), [&](const auto& lane) { return lane->origin == origin; });
  if (same == idle->end()) {
    auto lane = std::make_unique<Lane>();
    lane->origin = origin;
    return lane;
  }
  auto lane = std::move(*same);
  idle->erase(same);
  return lane;
}

void CurlClient::give_back(std::unique_ptr<Lane> lane) {
  std::unique_ptr<Lane> surplus;  // closed without the lock
  auto idle = idle_.lock();
  auto same = std::count_if(idle->begin(), idle->end(), [&](const auto& other) { return other->origin == lane->origin; });
  if (static_cast<size_t>(same) >= options_.max_connections_per_host) {
    surplus = std::move(lane);
    return;
  }
  idle->push_front(std::move(lane));
  if (idle->size() > kMaxIdleLanes) {
    surplus = std::move(idle->back());
    idle->pop_back();
  }
}

// One request and its response. Everything happens on the thread that calls send() and then reads the body: libcurl
// moves only while perform() runs, so what is not read is not received.
class Exchange final : public HttpResponse, private Source {
 public:
  Exchange(std::shared_ptr<CurlClient> client, const HttpRequest& request, std::stop_token stop)
      : client_(std::move(client)), stop_(std::move(stop)), shown_(request.method + " " + request.url.origin() + request.url.path) {}
  ~Exchange() override;

  Result<void> start(const HttpRequest& request);
  Source& body() override { return *this; }

 private:
  Result<size_t> read(std::span<std::byte> into) override;
  Result<void> set_options(const HttpRequest& request);
  Result<void> set_headers(const HttpRequest& request);
  void set_body(const HttpRequest& request);
  void set_tls();
  void set_blob(CURLoption option, const std::string& pem);
  void set_target(const Url& url);
  void set_proxy(const Url& url);
  void set_reach(const Url& url);
  curl_socket_t open_socket(const curl_sockaddr& to);

  void perform();
  template <class Ready>
  void run_until(Ready ready);
  milliseconds patience() const;
  Error curl_error(CURLcode code) const;
  void fail(Error error) { failure_ = std::move(error); }
  void settle();

  static size_t on_header(char* data, size_t size, size_t count, void* self) { return static_cast<Exchange*>(self)->header({data, size * count}); }
  static size_t on_write(char* data, size_t size, size_t count, void* self) { return static_cast<Exchange*>(self)->write({data, size * count}); }
  static size_t on_read(char* data, size_t size, size_t count, void* self) {
    return static_cast<Exchange*>(self)->fill({reinterpret_cast<std::byte*>(data), size * count});
  }
  static curl_socket_t on_open_socket(void* self, curlsocktype, curl_sockaddr* to) { return static_cast<Exchange*>(self)->open_socket(*to); }
  size_t header(std::string_view line);
  size_t write(std::string_view data);
  size_t fill(std::span<std::byte> into);

  template <class T>
  void set(CURLoption option, T value) {
    CHECK(curl_easy_setopt(lane_->easy(), option, value) == CURLE_OK);
  }

  std::shared_ptr<CurlClient> client_;
  std::unique_ptr<Lane> lane_;  // none once the transfer is over
  std::stop_token stop_;
  std::string shown_;  // for messages; no query, which may hold a signature
  curl_slist* header_list_ = nullptr;
  curl_slist* connect_to_ = nullptr;
  std::string host_header_;  // where the URL names somebody else
  std::string proxy_;        // may be used
  bool address_denied_ = false, address_tried_ = false;
  char curl_message_[CURL_ERROR_SIZE] = {};
  bool fresh_connection_ = false;

  std::string request_body_;
  Source* body_source_ = nullptr;  // until the head has come
  std::optional<uint64_t> body_left_;
  bool request_sent_ = true;
  std::optional<milliseconds> response_timeout_, stall_timeout_;

  bool head_done_ = false;
  size_t head_bytes_ = 0;
  std::span<std::byte> target_;  // where read() wants bytes
  size_t filled_ = 0;
  std::string buffer_;           // came with those, but found no room
  size_t buffer_used_ = 0;
  bool paused_ = false;
  bool done_ = false;
  std::optional<Error> failure_;
  SteadyClock::time_point last_activity_ = SteadyClock::now();
};

Exchange::~Exchange() {
  // A short rest (an error's JSON that nobody read) is taken so that the connection can be used again.
  if (lane_ && !done_ && !failure_ && head_done_ && !stop_.stop_requested()) {
    buffer_.clear();
    buffer_used_ = 0;
    perform();
    if (!done_ && !failure_ && buffer_.size() < kMaxDrainBytes) perform();
  }
  settle();
  lane_.reset();
  curl_slist_free_all(header_list_);
  curl_slist_free_all(connect_to_);
}

// After the transfer's end, and never while a stop_callback knows the lane: it goes back, or, after a failure, is closed.
void Exchange::settle() {
  if (!lane_ || (!done_ && !failure_)) return;
  lane_->detach();
  if (done_ && !fresh_connection_) client_->give_back(std::move(lane_));
  lane_.reset();
}

Result<void> Exchange::start(const HttpRequest& request) {
  fresh_connection_ = request.fresh_connection;
  lane_ = fresh_connection_ ? std::make_unique<Lane>() : client_->take_lane(request.url.origin());
  curl_easy_reset(lane_->easy());
  TRY(set_options(request));
  CURLMcode code = lane_->attach();
  if (code != CURLM_OK) return Error{Code::Internal, shown_ + ": " + curl_multi_strerror(code)};
  // An error answer may come before the whole request has gone out; libcurl then sends no more. After any other answer
  // the request's body is still borrowed, so it goes out to its end first.
  run_until([&] { return head_done_ && (request_sent_ || status >= 400); });
  settle();
  body_source_ = nullptr;
  // Where the body broke off together with its head, reading it will tell.
  if (failure_ && (!head_done_ || (!request_sent_ && status < 400))) return *failure_;
  if (!head_done_) return Error{Code::Unavailable, shown_ + ": the answer has no head"};
  return {};
}

Result<void> Exchange::set_options(const HttpRequest& request) {
  const HttpClientOptions& options = client_->options();
  bool token = !request.method.empty() && std::all_of(request.method.begin(), request.method.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!token) return Error{Code::Invalid, "\"" + request.method + "\" is no HTTP method"};
  set_target(request.url);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_HTTP_CONTENT_DECODING, 0L);  // blobs are bytes; nothing is unpacked behind our back
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  if (request.timeout) set(CURLOPT_TIMEOUT_MS, std::max(1L, static_cast<long>(request.timeout->count())));
  set(CURLOPT_USERAGENT, options.user_agent.c_str());
  set(CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  set(CURLOPT_ERRORBUFFER, curl_message_);
  set(CURLOPT_SHARE, client_->share());
  set(CURLOPT_HEADERFUNCTION, &Exchange::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Exchange::on_write);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (fresh_connection_) {
    set(CURLOPT_FRESH_CONNECT, 1L);
    set(CURLOPT_FORBID_REUSE, 1L);
  }
  TRY(options.reach.check_host(request.url.host).context(shown_));
  set_proxy(request.url);
  set_reach(request.url);
  if (request.url.scheme == "https") set_tls();
  set_body(request);
  return set_headers(request);
}

// libcurl asks for and verifies the name in the URL. Another name therefore goes into the URL, the connection is led to
// where the caller wants it, and the Host header says what it would have said.
void Exchange::set_target(const Url& url) {
  const std::string& name = client_->options().tls.server_name;
  if (url.scheme != "https" || name.empty() || name == url.host) {
    set(CURLOPT_URL, url.str().c_str());
    return;
  }
  Url named = url;
  named.host = to_lower(name);
  auto authority = [](const Url& of) { return of.host.find(':') == std::string::npos ? of.host : "[" + of.host + "]"; };
  std::string port = std::to_string(url.port);
  connect_to_ = curl_slist_append(nullptr, (authority(named) + ":" + port + ":" + authority(url) + ":" + port).c_str());
  CHECK(connect_to_ != nullptr);
  set(CURLOPT_CONNECT_TO, connect_to_);
  set(CURLOPT_URL, named.str().c_str());
  host_header_ = url.port == 443 ? authority(url) : authority(url) + ":" + port;
}

// Set always: an unset proxy would make libcurl look into the environment.
void Exchange::set_proxy(const Url& url) {
  const ProxyOptions& proxy = client_->options().proxy;
  const std::string& chosen = url.scheme == "https" ? proxy.https : proxy.http;
  proxy_ = is_loopback_host(url.host) && !proxy.for_loopback ? "" : chosen;
  set(CURLOPT_PROXY, proxy_.c_str());
  set(CURLOPT_NOPROXY, proxy.no_proxy.c_str());
}

void Exchange::set_reach(const Url& url) {
  const AddressPolicy& reach = client_->options().reach;
  if (reach.empty() || reach.allows_name(url.host)) return;
  set(CURLOPT_OPENSOCKETFUNCTION, &Exchange::on_open_socket);
  set(CURLOPT_OPENSOCKETDATA, this);
}

// Called with each address that the name resolved to, as libcurl is about to connect to it: between this check and the connection
// nobody resolves again.
curl_socket_t Exchange::open_socket(const curl_sockaddr& to) {
  if (!client_->options().reach.allows(to.addr) && !is_proxy_address(proxy_, to)) {
    address_denied_ = true;
    return CURL_SOCKET_BAD;
  }
  address_tried_ = true;
  return ::socket(to.family, to.socktype | SOCK_CLOEXEC, to.protocol);
}

void Exchange::set_tls() {
  static constexpr const char* kFolder = "/etc/ssl/certs";
  static const bool hashed = has_hashed_certificates(kFolder);
  const TlsOptions& tls = client_->options().tls;
  if (hashed) {
    set(CURLOPT_CAPATH, kFolder);
    set(CURLOPT_CAINFO, static_cast<const char*>(nullptr));
  }
  if (!tls.ca_file.empty()) set(CURLOPT_CAINFO, tls.ca_file.c_str());
  if (!tls.client_cert_file.empty()) set(CURLOPT_SSLCERT, tls.client_cert_file.c_str());
  if (!tls.client_key_file.empty()) set(CURLOPT_SSLKEY, tls.client_key_file.c_str());
  if (!tls.ca_pem.empty()) {
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    set(CURLOPT_CAINFO, static_cast<const char*>(nullptr));
    set_blob(CURLOPT_CAINFO_BLOB, tls.ca_pem);
  }
  if (!tls.client_cert_pem.empty()) set_blob(CURLOPT_SSLCERT_BLOB, tls.client_cert_pem);
  if (!tls.client_key_pem.empty()) set_blob(CURLOPT_SSLKEY_BLOB, tls.client_key_pem);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (tls.insecure_skip_verify) {
    set(CURLOPT_SSL_VERIFYPEER, 0L);
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

void Exchange::set_blob(CURLoption option, const std::string& pem) {
  curl_blob blob = {const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};  // the client outlives the exchange
  set(option, &blob);
}

void Exchange::set_body(const HttpRequest& request) {
  response_timeout_ = request.response_timeout;
  stall_timeout_ = request.stall_timeout;
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
    return;
  }
  if (request.body_source) {
    body_source_ = request.body_source;
    body_left_ = request.body_size;
    request_sent_ = false;
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_UPLOAD_BUFFERSIZE, kSendBufferBytes);
    set(CURLOPT_READFUNCTION, &Exchange::on_read);
    set(CURLOPT_READDATA, this);
    if (body_left_) set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(*body_left_));
    if (body_left_ == 0u) request_sent_ = true;
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
    request_body_ = request.body;
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_body_.size()));
    set(CURLOPT_POSTFIELDS, request_body_.data());
  } else if (request.method == "GET") {
    set(CURLOPT_HTTPGET, 1L);
  }
  if (request.method != "GET") set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

Result<void> Exchange::set_headers(const HttpRequest& request) {
  auto append = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(header_list_, line.c_str());
    CHECK(longer != nullptr);
    header_list_ = longer;
  };
  for (const auto& [name, value] : request.headers.list()) {
    bool clean = !name.empty() && std::none_of(name.begin(), name.end(), [](unsigned char c) { return c <= 0x20 || c >= 0x7f || c == ':' || c == ';'; }) &&
                 std::none_of(value.begin(), value.end(), [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
    if (!clean) return Error{Code::Invalid, shown_ + ": a header has characters that are not allowed in one"};
    append(value.empty() ? name + ";" : name + ": " + value);
  }
  // An Expect would cost a round trip, or a second with servers that do not know it.
  append("Expect:");
  if (!host_header_.empty() && !request.headers.find("Host")) append("Host: " + host_header_);
  if (!request.headers.find("Content-Type")) append("Content-Type:");
  set(CURLOPT_HTTPHEADER, header_list_);
  return {};
}

size_t Exchange::header(std::string_view line) {
  last_activity_ = SteadyClock::now();
  head_bytes_ += line.size();
  if (head_bytes_ > kMaxHeadBytes) return 0;
  if (head_done_) return line.size();  // a trailer
  if (line.starts_with("HTTP/")) {
    // "HTTP/1.1 200 OK"; 100 (Continue) and others may come before.
    auto code = parse_uint(line.size() >= 12 ? trim(line.substr(line.find(' ') + 1, 3)) : "");
    status = code ? static_cast<int>(*code) : 0;
    headers = {};
    return line.size();
  }
  std::string_view text = trim(line);
  if (text.empty()) {
    head_done_ = status >= 200;
    return line.size();
  }
  auto [name, value] = cut(text, ':');
  if (value) headers.add(std::string(trim(name)), std::string(trim(*value)));
  return line.size();
}

size_t Exchange::write(std::string_view data) {
  last_activity_ = SteadyClock::now();
  if (buffer_.size() - buffer_used_ >= kMaxBufferedBytes) {
    paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  size_t direct = buffer_.empty() ? std::min(data.size(), target_.size() - filled_) : 0;
  if (direct > 0) std::memcpy(target_.data() + filled_, data.data(), direct);
  filled_ += direct;
  buffer_.append(data.substr(direct));
  return data.size();
}

size_t Exchange::fill(std::span<std::byte> into) {
  if (!body_source_) return CURL_READFUNC_ABORT;
  if (body_left_) into = into.first(std::min<uint64_t>(into.size(), *body_left_));
  if (into.empty()) {
    request_sent_ = true;
    return 0;
  }
  auto count = body_source_->read(into);
  last_activity_ = SteadyClock::now();
  if (!count.ok()) {
    failure_ = count.error();
    return CURL_READFUNC_ABORT;
  }
  if (body_left_) {
    if (*count == 0) {
      failure_ = Error{Code::Mismatch, shown_ + ": the request's body ended " + std::to_string(*body_left_) + " bytes early"};
      return CURL_READFUNC_ABORT;
    }
    *body_left_ -= *count;
  }
  request_sent_ = body_left_ ? *body_left_ == 0 : *count == 0;
  return *count;
}

void Exchange::perform() {
  int running = 0;
  CURLMcode code = curl_multi_perform(lane_->multi(), &running);
  if (code != CURLM_OK) return fail(Error{Code::Internal, shown_ + ": " + curl_multi_strerror(code)});
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(lane_->multi(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    if (message->data.result == CURLE_OK) {
      done_ = true;
    } else {
      fail(failure_ ? *failure_ : curl_error(message->data.result));
    }
    return;
  }
}

milliseconds Exchange::patience() const {
  milliseconds stall = stall_timeout_.value_or(client_->options().stall_timeout);
  return request_sent_ && !head_done_ && response_timeout_ ? std::max(stall, *response_timeout_) : stall;
}

template <class Ready>
void Exchange::run_until(Ready ready) {
  // poll() must end when somebody asks us to stop: the wake-up is the one call that another thread may make.
  auto wake = [multi = lane_->multi()] { curl_multi_wakeup(multi); };
  std::stop_callback<decltype(wake)> on_stop(stop_, wake);
  last_activity_ = SteadyClock::now();
  while (!done_ && !failure_) {
    if (stop_.stop_requested()) return fail(Error{Code::Cancelled, shown_ + ": cancelled"});
    perform();
    if (done_ || failure_ || ready()) return;
    auto idle = std::chrono::duration_cast<milliseconds>(SteadyClock::now() - last_activity_);
    if (idle >= patience()) return fail(Error{Code::Unavailable, shown_ + ": no byte came for " + human_duration(static_cast<double>(patience().count()) / 1000)});
    auto wait = std::clamp<int64_t>((patience() - idle).count(), 1, 1000);
    curl_multi_poll(lane_->multi(), nullptr, 0, static_cast<int>(wait), nullptr);
  }
}

Result<size_t> Exchange::read(std::span<std::byte> into) {
  if (buffer_used_ < buffer_.size()) {
    size_t count = std::min(into.size(), buffer_.size() - buffer_used_);
    std::memcpy(into.data(), buffer_.data() + buffer_used_, count);
    buffer_used_ += count;
    if (buffer_used_ == buffer_.size()) {
      buffer_.clear();
      buffer_used_ = 0;
    }
    return count;
  }
  if (failure_) return *failure_;
  if (done_) return size_t{0};
  target_ = into;
  filled_ = 0;
  if (paused_) {
    paused_ = false;
    curl_easy_pause(lane_->easy(), CURLPAUSE_CONT);  // calls write() with what it held back
  }
  if (filled_ == 0) run_until([&] { return filled_ > 0; });
  settle();
  // Both together: what comes when nobody reads (the rest that is drained) finds no target, and must not count from where the last one ended.
  target_ = {};
  size_t filled = std::exchange(filled_, 0);
  if (filled > 0) return filled;
  if (failure_) return *failure_;
  return size_t{0};
}

Error Exchange::curl_error(CURLcode code) const {
  std::string why = curl_message_[0] ? curl_message_ : curl_easy_strerror(code);
  if (!why.empty() && why.back() == '.') why.pop_back();
  if (address_denied_ && !address_tried_) return Error{Code::Invalid, shown_ + ": its address may not be reached: the rules for addresses deny it"};
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return Error{Code::Invalid, shown_ + ": TLS: " + why};
    case CURLE_SSL_CONNECT_ERROR:
      // OpenSSL's words for "that was no TLS": asking again would be no better.
      if (why.find("wrong version number") != std::string::npos) return Error{Code::Invalid, shown_ + ": the server does not speak TLS"};
      return Error{Code::Unavailable, shown_ + ": TLS: " + why};
    case CURLE_WRITE_ERROR:  // only header() refuses bytes
      return Error{Code::Invalid, shown_ + ": the head of the answer is longer than " + std::to_string(kMaxHeadBytes) + " bytes"};
    case CURLE_PARTIAL_FILE:
      return Error{Code::Unavailable, shown_ + ": the connection broke off: " + why};
    default:
      return Error{Code::Unavailable, shown_ + ": " + why};
  }
}

Result<std::unique_ptr<HttpResponse>> CurlClient::send(const HttpRequest& request, std::stop_token stop) {
  auto exchange = std::make_unique<Exchange>(shared_from_this(), request, std::move(stop));
  TRY(exchange->start(request));
  return std::unique_ptr<HttpResponse>(std::move(exchange));
}

}  // namespace

Result<std::shared_ptr<HttpClient>> HttpClient::create(HttpClientOptions options) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialised != CURLE_OK) return Error{Code::Internal, std::string("starting libcurl: ") + curl_easy_strerror(initialised)};
  return std::shared_ptr<HttpClient>(std::make_shared<CurlClient>(std::move(options)));
}

}  // namespace archway
