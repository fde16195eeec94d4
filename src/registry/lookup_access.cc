#include "registry/lookup_access.h"

#include "base/hash.h"
#include "base/text.h"
#include "registry/image_facts.h"

namespace archway {
namespace {

inline constexpr int kSilenceAfter = 8;
inline constexpr std::chrono::seconds kSilencePause{10};
inline constexpr size_t kMaxSilent = 4096;
inline constexpr size_t kHashLength = 32;  // hex digits: enough that two credentials never meet

// Counts requests, gives each a time by which its answer must have come, and stops knocking where nobody answers: a machine that
// drops packets costs a time-out per request, and a list may have a thousand images of it.
class MeasuredHttp final : public HttpClient {
 public:
  MeasuredHttp(std::shared_ptr<HttpClient> inner, std::shared_ptr<std::atomic<uint64_t>> count, std::optional<std::chrono::milliseconds> timeout)
      : inner_(std::move(inner)), count_(std::move(count)), timeout_(timeout) {}
  Result<std::unique_ptr<HttpResponse>> send(const HttpRequest& request, std::stop_token stop) override {
    std::string origin = request.url.origin();
    if (timeout_ && is_silent(origin)) return Error{Code::Unavailable, origin + " has not answered " + std::to_string(kSilenceAfter) + " times in a row, and is left alone for a moment"};
    ++*count_;
    HttpRequest limited = request;
    if (timeout_ && !request.timeout) limited.timeout = timeout_;
    auto response = inner_->send(limited, std::move(stop));
    note(origin, response.ok() || response.error().code != Code::Unavailable);
    return response;
  }

 private:
  struct Silence {
    int times = 0;
    std::chrono::steady_clock::time_point until = {};
  };
  bool is_silent(const std::string& origin) {
    auto silent = silent_.lock();
    auto found = silent->find(origin);
    return found != silent->end() && found->second.until > std::chrono::steady_clock::now();
  }
  void note(const std::string& origin, bool answered) {
    auto silent = silent_.lock();
    if (answered) {
      silent->erase(origin);
      return;
    }
    if (silent->size() >= kMaxSilent) silent->clear();
    Silence& silence = (*silent)[origin];
    if (++silence.times >= kSilenceAfter) silence.until = std::chrono::steady_clock::now() + kSilencePause;
  }

  Sync<std::map<std::string, Silence>> silent_;
  std::shared_ptr<HttpClient> inner_;
  std::shared_ptr<std::atomic<uint64_t>> count_;
  std::optional<std::chrono::milliseconds> timeout_;
};

void append(std::string& to, const std::string& part) { to += std::to_string(part.size()) + ":" + part; }

}  // namespace

Result<std::unique_ptr<LookupAccess>> LookupAccess::create(RegistryOptions options, std::string salt) {
  std::unique_ptr<LookupAccess> access(new LookupAccess(std::move(options), std::move(salt)));
  TRY(access->make_http());
  return access;
}

Result<void> LookupAccess::make_http() {
  HttpClientOptions insecure_options = options_.http;
  insecure_options.tls.insecure_skip_verify = true;
  std::shared_ptr<HttpClient> plain = options_.shared_http, insecure = options_.shared_insecure_http;
  if (!plain) plain = TRY(HttpClient::create(options_.http));
  if (!insecure) insecure = TRY(HttpClient::create(insecure_options));
  for (For purpose : {For::LookUp, For::Content}) {
    auto at = static_cast<size_t>(purpose);
    auto timeout = purpose == For::LookUp ? std::optional(kMaxLookupExchange) : std::nullopt;
    http_[at] = std::make_shared<MeasuredHttp>(plain, requests_, timeout);
    insecure_http_[at] = std::make_shared<MeasuredHttp>(insecure, requests_, timeout);
  }
  return {};
}

std::string LookupAccess::hash(std::string_view text) const { return sha256_hex(salt_ + std::string(text)).substr(0, kHashLength); }

// Credentials are for who is asked: what is meant for docker.io is not shown to its mirror.
std::string LookupAccess::asked_host(const Reference& reference) const {
  auto mirror = options_.mirrors.find(reference.host());
  if (mirror == options_.mirrors.end()) return reference.host();
  auto url = parse_url(mirror->second);
  return url.ok() ? url->origin().substr(url->scheme.size() + 3) : reference.host();
}

std::string LookupAccess::own_who(const std::string& host) {
  if (const std::string* known = state_.lock()->own.find(host)) return *known;
  std::string print = options_.docker_config.fingerprint(host);
  std::string who = print.empty() ? "" : hash("own " + print);
  state_.lock()->own.put(host, who);
  return who;
}

Result<std::shared_ptr<const Keyring>> LookupAccess::keyring(const Keychain& keychain) {
  std::string all;
  for (const std::string& text : keychain.docker_configs) append(all, text);
  std::string key = sha256_hex(all);
  if (auto* known = state_.lock()->keyrings.find(key)) return *known;
  auto parsed = std::make_shared<const Keyring>(TRY(Keyring::parse(keychain.docker_configs)));
  state_.lock()->keyrings.put(key, parsed);
  return parsed;
}

Result<std::vector<LookupAccess::Way>> LookupAccess::ways(const Reference& reference, const Keychain& keychain) {
  std::string host = asked_host(reference);
  std::vector<Way> ways;
  if (!keychain.docker_configs.empty()) {
    auto ring = TRY(keyring(keychain));
    for (Credentials& credentials : ring->match(host + "/" + reference.repository())) {
      std::string text;
      for (const std::string* part : {&credentials.username, &credentials.password, &credentials.identity_token}) append(text, *part);
      ways.push_back({hash(text), std::move(credentials)});
    }
  }
  ways.push_back({own_who(host), {}});
  return ways;
}

Result<std::shared_ptr<RegistryClient>> LookupAccess::client(const Way& way, const Reference& reference, For purpose) {
  std::string host = asked_host(reference);
  std::string key = purpose == For::LookUp ? "l" : "c";
  if (way.credentials) key += way.who + "@" + host;
  if (auto* known = state_.lock()->clients.find(key)) return *known;
  RegistryOptions options = options_;
  if (way.credentials) options.docker_config = DockerConfig::of(host, *way.credentials);
  options.shared_http = http_[static_cast<size_t>(purpose)];
  options.shared_insecure_http = insecure_http_[static_cast<size_t>(purpose)];
  options.wait_when_limited = purpose == For::Content;
  options.keep_manifests = purpose == For::Content;
  if (purpose == For::LookUp) options.max_manifest_bytes = kMaxLookupBytes;
  auto made = TRY(RegistryClient::create(std::move(options)));
  auto state = state_.lock();
  if (auto* known = state->clients.find(key)) return *known;  // made by somebody else meanwhile
  state->clients.put(key, made);
  return made;
}

std::optional<RateLimit> LookupAccess::rate_limit(const std::string& host) {
  std::vector<std::shared_ptr<RegistryClient>> clients;
  {
    auto state = state_.lock();
    for (const char* own : {"l", "c"}) {
      if (auto* client = state->clients.find(own)) clients.push_back(*client);
    }
    for (const auto& [key, client] : state->clients.entries()) clients.push_back(client);
  }
  for (const auto& client : clients) {
    if (auto limit = client->rate_limit(host)) return limit;
  }
  return std::nullopt;
}

}  // namespace archway
