#include "registry/transport.h"

#include <algorithm>
#include <condition_variable>

#include "base/log.h"
#include "base/text.h"
#include "format/json.h"
#include "registry/origin_guard.h"
#include "registry/response_headers.h"

namespace archway {
namespace {

using std::chrono::milliseconds;

bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

void sleep_for(milliseconds wait, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop, wait, [] { return false; });
}

// What a registry says is shown to people: one line, printable, not endless.
std::string printable(std::string_view text, size_t limit) {
  std::string out;
  for (char c : text.substr(0, limit)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return out;
}

std::string authority_of(const Url& url) { return url.origin().substr(url.scheme.size() + 3); }

// {"errors": [{"code": ..., "message": ...}]} (distribution-spec 1.1, "Error Codes").
std::string words_of(std::string_view body) {
  auto json = parse_json(body);
  if (!json.ok()) return {};
  std::vector<std::string> words;
  for (const Json& error : (*json)["errors"].items()) {
    std::string text = error["message"].string();
    if (text.empty()) text = error["code"].string();
    if (!text.empty() && words.size() < 3) words.push_back(printable(text, 200));
  }
  return join(words, "; ");
}

Code code_of(int status) {
  if (status == 401 || status == 403) return Code::Unauthorized;
  if (status == 404) return Code::NotFound;
  if (status == 405 || status == 501) return Code::Unsupported;
  if (status >= 500 || status == 429 || status == 408) return Code::Unavailable;
  return Code::Invalid;
}

// A server that expects TLS answers plain HTTP with a 400 that says so (Go, nginx), or not at all.
bool says_https_wanted(int status, std::string_view body) {
  return status == 400 && (body.find("HTTPS server") != std::string_view::npos || body.find("HTTPS port") != std::string_view::npos);
}

}  // namespace

bool Transport::is_retryable(int status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

Result<std::shared_ptr<Transport>> Transport::create(RegistryOptions options) {
  if (!options.sleep) options.sleep = sleep_for;
  std::shared_ptr<Transport> transport(new Transport(std::move(options)));
  const RegistryOptions& have = transport->options_;
  transport->http_ = have.shared_http ? have.shared_http : TRY(HttpClient::create(have.http));
  HttpClientOptions insecure = have.http;
  insecure.tls.insecure_skip_verify = true;
  transport->insecure_http_ = have.shared_insecure_http ? have.shared_insecure_http : TRY(HttpClient::create(std::move(insecure)));
  return transport;
}

HttpClient& Transport::client_for(const std::string& name) const { return options_.insecure_tls.contains(name) ? *insecure_http_ : *http_; }

Result<Url> Transport::find_base(const std::string& name, HttpClient& http, std::stop_token stop) {
  if (name == "docker.io" || name == "index.docker.io") return parse_url("https://registry-1.docker.io/");
  Url secure = TRY(parse_url("https://" + name + "/"));
  Url plain = TRY(parse_url("http://" + name + "/"));
  if (options_.plain_http.contains(name)) return plain;
  if (!is_loopback_host(secure.host)) return secure;
  TRY(options_.http.reach.check_host(secure.host));
  // On loopback both are common, and asking costs nothing. What is asked holds no secret.
  HttpRequest probe;
  probe.url = plain;
  probe.url.path = "/v2/";
  for (int attempt = 1;; attempt++) {
    auto response = http.send(probe, stop);
    if (response.ok()) {
      auto body = (*response)->text(kMaxErrorBytes);
      return body.ok() && says_https_wanted((*response)->status, *body) ? secure : plain;
    }
    if (response.error().code == Code::Cancelled) return response.error();
    probe.url.scheme = "https";
    auto with_tls = http.send(probe, stop);
    // A certificate that is not trusted is TLS all the same.
    if (with_tls.ok() || with_tls.error().message.find(": TLS: ") != std::string::npos) return secure;
    if (attempt >= options_.max_attempts) return response.error();
    probe.url.scheme = "http";
    TRY(back_off(attempt, nullptr, stop));
  }
}

Result<std::shared_ptr<Host>> Transport::make_host(const std::string& name, Use use, std::stop_token stop) {
  auto host = std::make_shared<Host>();
  host->name = name;
  auto mirror = options_.mirrors.find(name);
  std::string credentials_name = name;
  if (use == Use::Read && mirror != options_.mirrors.end()) {
    host->base = TRY(parse_url(mirror->second).context("the mirror of " + name));
    if (!host->base.path.ends_with('/')) host->base.path += '/';
    credentials_name = authority_of(host->base);
    host->name = credentials_name;
  } else {
    host->base = TRY(find_base(name, client_for(name), stop).context("connecting to " + name));
  }
  host->http = &client_for(credentials_name);
  auto find_credentials = [this, credentials_name](std::stop_token asked) { return options_.docker_config.credentials_for(credentials_name, asked); };
  auto send_token_request = [this, http = host->http](const HttpRequest& request, std::stop_token asked) -> Result<std::unique_ptr<HttpResponse>> {
    for (int attempt = 1;; attempt++) {
      auto response = http->send(request, asked);
      bool again = response.ok() ? is_worth_waiting((*response)->status) : response.error().code == Code::Unavailable;
      if (!again || attempt >= options_.max_attempts) return response;
      TRY(back_off(attempt, response.ok() ? response->get() : nullptr, asked));
    }
  };
  host->auth = std::make_unique<Authenticator>(host->name, host->base, find_credentials, send_token_request);
  return host;
}

Result<std::shared_ptr<Host>> Transport::host(const std::string& name, Use use, std::stop_token stop) {
  if (!options_.mirrors.contains(name)) use = Use::Write;  // one and the same
  auto known = [&]() -> std::shared_ptr<Host> {
    auto state = state_.lock();
    auto found = state->hosts.find({name, use});
    return found == state->hosts.end() ? nullptr : found->second;
  };
  if (auto host = known()) return host;
  std::lock_guard one_at_a_time(probing_);
  if (auto host = known()) return host;
  auto host = TRY(make_host(name, use, std::move(stop)));
  auto state = state_.lock();
  if (state->hosts.size() >= kMaxKnownHosts) state->hosts.clear();
  state->hosts.emplace(std::pair(name, use), host);
  return host;
}

std::optional<RateLimit> Transport::rate_limit(const std::string& name) {
  std::vector<std::shared_ptr<Host>> hosts;
  {
    auto state = state_.lock();
    for (Use use : {Use::Read, Use::Write}) {
      if (auto found = state->hosts.find({name, use}); found != state->hosts.end()) hosts.push_back(found->second);
    }
  }
  for (const auto& host : hosts) {
    if (auto limit = host->state.lock()->rate_limit) return limit;
  }
  return std::nullopt;
}

Result<void> Transport::back_off(int attempt, const HttpResponse* response, std::stop_token stop) const {
  milliseconds wait = std::min(kMaxBackoff, kFirstBackoff * (1 << std::min(attempt - 1, 10)));
  if (const std::string* asked = response ? response->headers.find("Retry-After") : nullptr) {
    if (auto parsed = parse_retry_after(*asked, system_clock().now())) wait = *parsed;
  }
  if (wait > kMaxRetryAfter) {
    return Error{Code::Unavailable, "the registry asks to come back in " + human_duration(static_cast<double>(wait.count()) / 1000)};
  }
  options_.sleep(wait, stop);
  if (stop.stop_requested()) return Error{Code::Cancelled, "cancelled"};
  return {};
}

Result<std::unique_ptr<HttpResponse>> Transport::send(Host& host, const Call& call, std::stop_token stop) {
  int attempts = call.body_source ? 1 : std::max(1, options_.max_attempts);
  for (int attempt = 1;; attempt++) {
    auto response = send_once(host, call, stop);
    bool again = response.ok() ? is_worth_waiting((*response)->status) : response.error().code == Code::Unavailable;
    if (!again || attempt >= attempts) return response;
    if (response.ok()) (void)(*response)->text(kMaxErrorBytes);
    TRY(back_off(attempt, response.ok() ? response->get() : nullptr, stop).context(host.name));
  }
}

Result<std::unique_ptr<HttpResponse>> Transport::send_once(Host& host, const Call& call, std::stop_token stop) {
  bool fresh = false;
  std::string header = TRY(host.auth->authorization(call.scopes, fresh, stop));
  auto response = TRY(send_followed(host, call, header, stop));
  if (response->status != 401) return response;
  std::string words = words_of(response->text(kMaxErrorBytes).value_or(""));
  auto challenges = response->headers.all("WWW-Authenticate");
  std::string next = TRY(host.auth->answer_challenge(challenges, call.scopes, header, stop));
  if (call.body_source) return Error{Code::Unavailable, host.name + ": the credentials ran out during an upload"};
  response = TRY(send_followed(host, call, next, stop));
  if (response->status != 401) return response;
  words = words_of(response->text(kMaxErrorBytes).value_or(""));
  return host.auth->refused(host.name + ": unauthorized" + (words.empty() ? "" : ": " + words));
}

Result<std::unique_ptr<HttpResponse>> Transport::send_followed(Host& host, const Call& call, const std::string& authorization, std::stop_token stop) {
  HttpRequest request;
  request.method = call.method;
  if (call.url) {
    request.url = *call.url;
  } else {
    request.url = host.base;
    auto [path, query] = cut(call.path, '?');
    request.url.path += "v2/" + std::string(path);
    request.url.query = query.value_or("");
  }
  request.body = call.body;
  request.body_source = call.body_source;
  if (call.body_source) request.body_size = call.body_size;
  request.fresh_connection = call.fresh_connection;
  if (call.slow_answer) request.response_timeout = options_.http.stall_timeout * 10;
  for (int redirects = 0;; redirects++) {
    // Credentials are bound to scheme, host and port: elsewhere the URL itself has to be enough (CVE-2020-15157).
    bool ours = request.url.same_origin(host.base);
    request.headers = call.headers;
    if (ours && !authorization.empty()) request.headers.set("Authorization", authorization);
    auto sent = (ours ? *host.http : *http_).send(request, stop);
    if (!sent.ok() && sent.error().message.ends_with("does not speak TLS")) return std::move(sent).error().with_hint("archway ... --plain-http " + host.name);
    auto response = TRY(std::move(sent));
    if (ours) note_headers(host, *response);
    if (response->status == 401 && !ours) return Error{Code::Unauthorized, request.url.origin() + ": refuses what " + host.name + " sent us for"};
    const std::string* location = response->headers.find("Location");
    if (!call.follow_redirects || !is_redirect(response->status) || !location) return response;
    if (redirects >= kMaxRedirects) return Error{Code::Invalid, host.name + ": more than " + std::to_string(kMaxRedirects) + " redirects"};
    request.url = TRY(follow_location(request.url, *location));
  }
}

void Transport::note_headers(Host& host, const HttpResponse& response) {
  if (auto limit = parse_rate_limit(response.headers)) {
    auto state = host.state.lock();
    if (state->rate_limit) limit->not_before = state->rate_limit->not_before;
    state->rate_limit = *limit;
  }
  if (response.status == 429) {
    auto asked = parse_retry_after(response.headers.get("Retry-After"), system_clock().now());
    auto state = host.state.lock();
    if (!state->rate_limit) state->rate_limit.emplace();
    state->rate_limit->not_before = std::chrono::steady_clock::now() + asked.value_or(kDefaultRetryAfter);
  }
  if (!options_.warn) return;
  for (const std::string& header : response.headers.all("Warning")) {
    auto text = parse_warning(header);
    if (!text) continue;
    std::string line = host.name + ": " + printable(*text, kMaxWarningBytes);
    auto state = state_.lock();
    if (state->warned.size() < kMaxWarnings && state->warned.insert(line).second) options_.warn(line);
  }
}

Error Transport::error_of(const Host& host, HttpResponse& response, const std::string& what) const {
  std::string words = response.status == 304 ? "" : words_of(response.text(kMaxErrorBytes).value_or(""));
  Error error{code_of(response.status), what + ": " + (words.empty() ? "status " + std::to_string(response.status) : words)};
  if (response.status == 404 && words.empty()) error.message = what + ": not found";
  if (error.code == Code::Unauthorized) error.hint = "archway login " + host.name;
  if (const std::string* wait = response.headers.find("Retry-After"); wait && response.status == 429) error.hint = "the registry asks to try again after " + printable(*wait, 60) + " (seconds or date)";
  return error;
}

Result<void> Transport::check_credentials(const std::string& name, const Credentials& credentials, std::stop_token stop) {
  auto known = TRY(host(name, Use::Write, stop));
  Host trial;
  trial.name = known->name;
  trial.base = known->base;
  trial.http = known->http;
  auto give = [&](std::stop_token) -> Result<std::optional<Credentials>> { return std::optional<Credentials>(credentials); };
  auto send_plain = [&](const HttpRequest& request, std::stop_token asked) { return trial.http->send(request, asked); };
  trial.auth = std::make_unique<Authenticator>(name, trial.base, give, send_plain);
  Call call;
  call.path = "";
  auto response = send(trial, call, stop);
  if (!response.ok() && response.error().code == Code::Unauthorized) {
    return Error{Code::Unauthorized, name + " does not accept these credentials"};
  }
  auto answer = TRY(std::move(response));
  if (answer->status == 200) return {};
  return error_of(trial, *answer, "logging in to " + name);
}

}  // namespace archway
