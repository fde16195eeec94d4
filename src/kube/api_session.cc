#include "kube/api_session.h"

#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>

#include "base/fd.h"
#include "base/text.h"
#include "kube/client_certificate.h"

namespace archway::kube {
namespace {

using std::chrono::milliseconds;

// "localhost:8080" is http, as client-go has it, unless something says TLS.
Result<Url> parse_server(const ClusterAccess& access) {
  std::string text = access.server;
  if (text.find("://") == std::string::npos) {
    bool tls = access.insecure_skip_tls_verify || !access.ca_pem.empty() || !access.client_cert_pem.empty();
    text = (tls ? "https://" : "http://") + text;
  }
  Url url = TRY(parse_url(text).context("the cluster's server"));
  while (url.path.ends_with('/')) url.path.pop_back();  // a prefix stays: some servers are behind one
  url.query.clear();
  return url;
}

// Go's proxies resolve names themselves; curl calls that socks5h.
std::string curl_proxy(const std::string& url) { return url.starts_with("socks5://") ? "socks5h" + url.substr(6) : url; }

HttpClientOptions options_for(const ClusterAccess& access, HttpClientOptions http) {
  http.tls = {};
  http.tls.insecure_skip_verify = access.insecure_skip_tls_verify;
  http.tls.ca_pem = access.ca_pem;
  http.tls.client_cert_pem = access.client_cert_pem;
  http.tls.client_key_pem = access.client_key_pem;
  http.tls.server_name = access.tls_server_name;
  if (!access.proxy_url.empty()) {
    http.proxy = {};
    http.proxy.http = http.proxy.https = curl_proxy(access.proxy_url);
    http.proxy.for_loopback = true;
  }
  return http;
}

// Changes whenever the file is written or, as the kubelet does it, a link above it is turned.
std::string stamp_of(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) + ":" + std::to_string(info.st_size) + ":" + std::to_string(info.st_mtim.tv_sec) + "." +
         std::to_string(info.st_mtim.tv_nsec);
}

void add_impersonation(const ClusterAccess& access, Headers& headers) {
  if (access.impersonate_user.empty()) return;
  headers.add("Impersonate-User", access.impersonate_user);
  if (!access.impersonate_uid.empty()) headers.add("Impersonate-Uid", access.impersonate_uid);
  for (const std::string& group : access.impersonate_groups) headers.add("Impersonate-Group", group);
  for (const auto& [key, value] : access.impersonate_extra) headers.add("Impersonate-Extra-" + percent_encode(key), value);
}

std::optional<milliseconds> retry_after(const HttpResponse& response) {
  const std::string* value = response.headers.find("Retry-After");
  if (!value) return std::nullopt;
  auto seconds = parse_uint(trim(*value));
  if (!seconds) return milliseconds(1000);  // a date: the API server sends none
  return milliseconds(std::min<uint64_t>(*seconds, 86'400) * 1000);
}

bool is_busy(int status) { return status == 429 || status >= 500; }

constexpr const char* kUnknownHint = "the cluster does not know who this is: check the credentials in the kubeconfig";

}  // namespace

Error api_error(int status, std::string_view body, const std::string& what) {
  auto json = parse_json(body);
  bool is_status = json.ok() && (*json)["kind"].string() == "Status";
  std::string reason = is_status ? (*json)["reason"].string() : "";
  std::string message = is_status ? (*json)["message"].string() : std::string(trim(body.substr(0, 300)));
  std::string text = what + ": " + std::to_string(status) + (message.empty() ? "" : " " + message);
  switch (status) {
    case 401: return Error{Code::Unauthorized, text, kUnknownHint};
    case 403: {
      // With anonymous requests allowed, credentials that are no good make nobody of us.
      bool nobody = message.find("\"system:anonymous\"") != message.npos;
      return Error{Code::Unauthorized, text.find("forbidden") == std::string::npos ? text + " (forbidden)" : text, nobody ? kUnknownHint : ""};
    }
    case 404:
    case 410: return Error{Code::NotFound, text};
    case 409: return Error{reason == "AlreadyExists" ? Code::Exists : Code::Mismatch, text};
    case 405:
    case 406:
    case 415: return Error{Code::Unsupported, text};
    default: return Error{is_busy(status) ? Code::Unavailable : Code::Invalid, text};
  }
}

bool is_unknown_identity(const Error& error) { return error.code == Code::Unauthorized && !is_forbidden(error); }

bool is_forbidden(const Error& error) { return error.code == Code::Unauthorized && error.hint.empty() && error.message.find("forbidden") != std::string::npos; }

Error ApiSession::error_of(int status, std::string_view body, const std::string& what) const {
  Error error = api_error(status, body, what);
  if (error.hint.empty()) return error;
  auto end = certificate_end(access_.client_cert_pem);
  Clock& clock = timing_.clock ? *timing_.clock : system_clock();
  if (end && *end <= clock.now()) error.hint = "the client certificate in the kubeconfig is good until " + format_rfc3339(*end) + ", which is past: get a new one";
  return error;
}

Result<std::unique_ptr<ApiSession>> ApiSession::open(ClusterAccess access, HttpClientOptions http, ClientTiming timing) {
  Url base = TRY(parse_server(access));
  std::unique_ptr<ApiSession> session(new ApiSession(std::move(access), std::move(http), std::move(timing)));
  session->base_ = std::move(base);
  session->now_.http = TRY(HttpClient::create(options_for(session->access_, session->http_options_)));
  const ClusterAccess& who = session->access_;
  if (!who.token.empty()) {
    session->now_.authorization = "Bearer " + who.token;
  } else if (!who.username.empty()) {
    session->now_.authorization = "Basic " + base64_encode(who.username + ":" + who.password);
  }
  return session;
}

Result<ApiSession::Identity> ApiSession::identity(std::stop_token stop) {
  std::lock_guard lock(mutex_);
  TRY(renew(stop));
  return now_;
}

Result<void> ApiSession::renew(std::stop_token stop) {
  if (!access_.token_file.empty()) return read_token_file();
  bool other_way = !access_.token.empty() || !access_.username.empty();
  if (access_.exec && !other_way && (!plugin_answer_ || expired())) return ask_plugin(stop);
  return {};
}

// Service account tokens are replaced every hour. One that cannot be read just now leaves the one that we have.
Result<void> ApiSession::read_token_file() {
  std::string stamp = stamp_of(access_.token_file);
  if (!stamp.empty() && stamp == token_file_stamp_) return {};
  auto text = read_file(access_.token_file, kMaxCredentialFileBytes);
  std::string token = text.ok() ? std::string(trim(*text)) : "";
  if (token.empty()) {
    if (!now_.authorization.empty()) return {};
    if (!text.ok()) return std::move(text).error().within("reading the token");
    return Error{Code::Invalid, "reading the token: " + access_.token_file + " is empty"};
  }
  token_file_stamp_ = stamp;
  now_.authorization = "Bearer " + token;
  now_.version++;
  return {};
}

bool ApiSession::expired() const {
  Clock& clock = timing_.clock ? *timing_.clock : system_clock();
  return plugin_answer_ && plugin_answer_->expires && *plugin_answer_->expires <= clock.now();
}

Result<void> ApiSession::ask_plugin(std::stop_token stop) {
  ExecCredential answer = TRY(run_exec_plugin(access_, *access_.exec, stop));
  if (answer.client_cert_pem != plugin_certificate_) {
    // Connections belong to a certificate: others are opened.
    ClusterAccess with = access_;
    if (!answer.client_cert_pem.empty()) {
      with.client_cert_pem = answer.client_cert_pem;
      with.client_key_pem = answer.client_key_pem;
    }
    now_.http = TRY(HttpClient::create(options_for(with, http_options_)));
    plugin_certificate_ = answer.client_cert_pem;
  }
  now_.authorization = answer.token.empty() ? "" : "Bearer " + answer.token;
  now_.version++;
  plugin_answer_ = std::move(answer);
  return {};
}

bool ApiSession::forget(uint64_t version) {
  std::lock_guard lock(mutex_);
  if (now_.version != version) return true;  // somebody else has asked meanwhile
  bool can_change = access_.exec || !access_.token_file.empty();
  plugin_answer_.reset();
  token_file_stamp_.clear();
  return can_change;
}

Result<HttpRequest> ApiSession::prepare(const ApiRequest& request, const Identity& identity) const {
  HttpRequest http;
  http.method = request.method;
  http.url = base_;
  http.url.path += request.path;
  http.url.query = encode_query(request.query);
  http.headers.add("Accept", request.accept);
  if (!request.body.empty()) http.headers.add("Content-Type", request.content_type);
  if (!identity.authorization.empty()) http.headers.add("Authorization", identity.authorization);
  add_impersonation(access_, http.headers);
  http.body = request.body;
  http.stall_timeout = request.stall_timeout;
  return http;
}

// With other credentials once more, where the first were not good any longer.
Result<std::unique_ptr<HttpResponse>> ApiSession::send_once(const ApiRequest& request, std::stop_token stop) {
  for (bool first = true;; first = false) {
    Identity who = TRY(identity(stop));
    HttpRequest http = TRY(prepare(request, who));
    auto response = who.http->send(http, stop);
    if (!response.ok() || (*response)->status != 401 || !first || !forget(who.version)) return response;
  }
}

// client-go's with_retry.go: whatever was sent is sent again when the server says when; what it broke off, only if asking
// twice is asking once.
Result<std::unique_ptr<HttpResponse>> ApiSession::send(const ApiRequest& request, std::stop_token stop) {
  bool only_reads = request.method == "GET";
  milliseconds backoff = kFirstApiBackoff;
  for (int attempt = 1;; attempt++) {
    auto response = send_once(request, stop);
    auto after = response.ok() && is_busy((*response)->status) ? retry_after(**response) : std::nullopt;
    if (after) {
      if (attempt >= kMaxThrottledAttempts || *after > kMaxApiRetryAfter) return response;
      sleep(*after, stop);
    } else {
      bool broken = response.ok() ? is_busy((*response)->status) : response.error().code == Code::Unavailable;
      if (!broken || !only_reads || attempt >= kMaxBrokenAttempts) return response;
      sleep(backoff, stop);
      backoff *= 2;
    }
    if (stop.stop_requested()) return Error{Code::Cancelled, request.method + " " + request.path + ": cancelled"};
  }
}

Result<std::string> ApiSession::text(const ApiRequest& request, std::stop_token stop) {
  auto response = TRY(send(request, stop));
  std::string what = request.method + " " + base_.origin() + base_.path + request.path;
  if (response->status < 200 || response->status >= 300) {
    auto body = response->text(kMaxStatusBytes);
    return error_of(response->status, body.ok() ? *body : "", what);
  }
  return response->text(request.max_bytes).context(what);
}

Result<Json> ApiSession::json(const ApiRequest& request, std::stop_token stop) {
  std::string body = TRY(text(request, stop));
  return parse_json(body).context(request.method + " " + base_.origin() + base_.path + request.path + ": the answer is not JSON");
}

void ApiSession::sleep(milliseconds duration, std::stop_token stop) const {
  if (timing_.sleep) return timing_.sleep(duration, stop);
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, duration, [] { return false; });
}

}  // namespace archway::kube
