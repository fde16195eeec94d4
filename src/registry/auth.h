#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "net/http_client.h"
#include "registry/challenge.h"
#include "registry/docker_config.h"

namespace archway {

inline constexpr uint64_t kMaxTokenBytes = 1 << 20;
inline constexpr size_t kMaxCachedTokens = 4096;

// Finds the Authorization header for one registry: basic, bearer by the Docker token protocol, or none.
// Its credentials are for this registry and the token realm that it names, and go nowhere else. Thread safe.
class Authenticator {
 public:
  using FindCredentials = std::function<Result<std::optional<Credentials>>(std::stop_token)>;
  // Sends a request with the caller's rules for retries.
  using Send = std::function<Result<std::unique_ptr<HttpResponse>>(const HttpRequest&, std::stop_token)>;

  Authenticator(std::string host, Url base, FindCredentials find_credentials, Send send)
      : host_(std::move(host)), base_(std::move(base)), find_credentials_(std::move(find_credentials)), send_(std::move(send)) {}

  // The header to begin with; "" before any challenge has come. `fresh` tells that it was made by this very call.
  Result<std::string> authorization(const std::vector<std::string>& scopes, bool& fresh, std::stop_token stop);
  // A 401 came in answer to `rejected`: the header to try instead. Unauthorized where there is none.
  Result<std::string> answer_challenge(const std::vector<std::string>& challenges, const std::vector<std::string>& scopes,
                                       const std::string& rejected, std::stop_token stop);
  Error refused(const std::string& why) const;

 private:
  struct Token {
    std::string header;
    std::chrono::steady_clock::time_point expires;
  };
  Result<std::string> make_header(const std::vector<std::string>& scopes, std::stop_token stop);
  Result<std::string> fetch_token(const std::vector<std::string>& scopes, std::stop_token stop);
  Result<Token> ask_realm(const Url& realm, const std::vector<std::string>& scopes, const std::optional<Credentials>& credentials, std::stop_token stop);
  Result<std::optional<Credentials>> credentials(std::stop_token stop);

  const std::string host_;
  const Url base_;
  const FindCredentials find_credentials_;
  const Send send_;
  // Held while a token is asked for, so that a dozen layers that start together ask once.
  std::mutex mutex_;
  std::optional<Challenge> challenge_;
  std::optional<std::optional<Credentials>> credentials_;
  std::optional<Error> helper_failure_;
  std::map<std::string, Token> tokens_;  // by scopes
};

}  // namespace archway
