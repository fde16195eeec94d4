#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/sync.h"
#include "net/http_client.h"
#include "registry/auth.h"
#include "registry/client.h"

// Requests to registries: which scheme a host speaks, authentication, redirects, retries, warnings, limits.
namespace archway {

inline constexpr int kMaxRedirects = 5;
inline constexpr std::chrono::milliseconds kFirstBackoff{200};
inline constexpr std::chrono::milliseconds kMaxBackoff = std::chrono::seconds(10);
// A registry that asks to wait longer is not waited for: its answer becomes an error that says so.
inline constexpr std::chrono::milliseconds kMaxRetryAfter = std::chrono::minutes(2);
// What a 429 without Retry-After is taken to mean.
inline constexpr std::chrono::milliseconds kDefaultRetryAfter = std::chrono::seconds(1);
inline constexpr size_t kMaxKnownHosts = 4096;  // then all are forgotten, and learnt anew
inline constexpr uint64_t kMaxErrorBytes = 256 * 1024;  // of an error's body

// What is known of one registry. Thread safe.
struct Host {
  std::string name;             // as in references: "docker.io"
  Url base;                     // "https://registry-1.docker.io/"; scheme decided
  HttpClient* http = nullptr;   // with or without verification of certificates
  std::unique_ptr<Authenticator> auth;
  struct State {
    std::optional<RateLimit> rate_limit;
    std::set<std::pair<std::string, std::string>> present;  // repository, digest: there, as far as this process knows
    // Set once an interrupted upload was lost: then each chunk has a connection of its own and is this long.
    std::optional<uint64_t> careful_chunk;
    bool chunks_can_grow = true;
  };
  Sync<State> state;
};

struct Call {
  std::string method = "GET";
  std::string path = {};                   // below "/v2/", with query
  std::optional<Url> url = {};             // in place of `path`: an upload's Location
  Headers headers = {};
  std::string body = {};
  Source* body_source = nullptr;           // such a call is sent once: who owns the source retries
  uint64_t body_size = 0;
  std::vector<std::string> scopes = {};    // "repository:library/alpine:pull"
  bool follow_redirects = false;
  bool fresh_connection = false;
  bool slow_answer = false;                // the registry may take its time: it moves a layer
};

class Transport {
 public:
  static Result<std::shared_ptr<Transport>> create(RegistryOptions options);

  // The host of that name as references spell it, or, for reading, the mirror asked in its place.
  enum class Use { Read, Write };
  Result<std::shared_ptr<Host>> host(const std::string& name, Use use, std::stop_token stop);

  // Any status may come back but 401, and those that retries can mend do so only after the last attempt.
  Result<std::unique_ptr<HttpResponse>> send(Host& host, const Call& call, std::stop_token stop);
  // The error that a response with this status is: its JSON body's words, and a hint.
  Error error_of(const Host& host, HttpResponse& response, const std::string& what) const;

  // Sleeps before the next attempt, as long as the response asks (Retry-After) or the attempt's number suggests.
  Result<void> back_off(int attempt, const HttpResponse* response, std::stop_token stop) const;
  static bool is_retryable(int status);
  bool is_worth_waiting(int status) const { return is_retryable(status) && (status != 429 || options_.wait_when_limited); }

  // Does the host accept these credentials?
  Result<void> check_credentials(const std::string& name, const Credentials& credentials, std::stop_token stop);
  std::optional<RateLimit> rate_limit(const std::string& name);  // what the host said last
  const RegistryOptions& options() const { return options_; }

 private:
  explicit Transport(RegistryOptions options) : options_(std::move(options)) {}
  Result<Url> find_base(const std::string& name, HttpClient& http, std::stop_token stop);
  Result<std::shared_ptr<Host>> make_host(const std::string& name, Use use, std::stop_token stop);
  Result<std::unique_ptr<HttpResponse>> send_once(Host& host, const Call& call, std::stop_token stop);
  Result<std::unique_ptr<HttpResponse>> send_followed(Host& host, const Call& call, const std::string& authorization, std::stop_token stop);
  void note_headers(Host& host, const HttpResponse& response);
  HttpClient& client_for(const std::string& name) const;

  RegistryOptions options_;
  std::shared_ptr<HttpClient> http_, insecure_http_;
  struct State {
    std::map<std::pair<std::string, Use>, std::shared_ptr<Host>> hosts;
    std::set<std::string> warned;
  };
  Sync<State> state_;
  std::mutex probing_;
};

}  // namespace archway
