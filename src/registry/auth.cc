#include "registry/auth.h"

#include <algorithm>

#include "base/text.h"
#include "format/json.h"
#include "registry/origin_guard.h"

namespace archway {
namespace {

using SteadyClock = std::chrono::steady_clock;
inline constexpr std::chrono::seconds kDefaultTokenLife{60};  // where the answer does not say (Docker token specification)
inline constexpr std::chrono::seconds kMaxTokenLife{24 * 3600};
inline constexpr std::chrono::seconds kRenewBefore{10};

// In what is asked of the realm: each scope once, ours and what the challenge names.
std::vector<std::string> merged_scopes(const std::vector<std::string>& ours, const std::string& challenged) {
  std::vector<std::string> scopes = ours;
  for (const std::string& scope : split(challenged, ' ')) {
    // "repository:x:pull" is within "repository:x:pull,push".
    bool covered = scope.empty() || std::any_of(scopes.begin(), scopes.end(), [&](const std::string& have) { return have == scope || have.starts_with(scope + ","); });
    if (!covered) scopes.push_back(scope);
  }
  return scopes;
}

std::string basic_header(const Credentials& credentials) { return "Basic " + base64_encode(credentials.username + ":" + credentials.password); }

const Challenge* best_of(const std::vector<Challenge>& challenges) {
  for (std::string_view scheme : {"bearer", "basic"}) {
    for (const Challenge& challenge : challenges) {
      if (challenge.scheme == scheme) return &challenge;
    }
  }
  return nullptr;
}

}  // namespace

Error Authenticator::refused(const std::string& why) const { return Error{Code::Unauthorized, why, "archway login " + host_}; }

Result<std::optional<Credentials>> Authenticator::credentials(std::stop_token stop) {
  if (!credentials_) {
    auto found = find_credentials_(std::move(stop));
    // A helper that is not installed must not get in the way of what anybody may pull: its error comes up only when
    // the registry insists.
    if (!found.ok()) {
      if (found.error().code == Code::Cancelled) return found;
      helper_failure_ = found.error();
      found = std::optional<Credentials>();
    }
    credentials_ = std::move(*found);
  }
  return *credentials_;
}

Result<std::string> Authenticator::authorization(const std::vector<std::string>& scopes, bool& fresh, std::stop_token stop) {
  std::lock_guard lock(mutex_);
  fresh = false;
  if (!challenge_) return std::string();
  auto cached = tokens_.find(join(scopes, " "));
  if (cached != tokens_.end() && cached->second.expires > SteadyClock::now()) return cached->second.header;
  fresh = true;
  return make_header(scopes, std::move(stop));
}

Result<std::string> Authenticator::answer_challenge(const std::vector<std::string>& headers, const std::vector<std::string>& scopes,
                                                    const std::string& rejected, std::stop_token stop) {
  std::vector<Challenge> challenges;
  for (const std::string& header : headers) {
    for (Challenge& challenge : parse_challenges(header)) challenges.push_back(std::move(challenge));
  }
  std::lock_guard lock(mutex_);
  // Another thread may have got a new token for the same scopes meanwhile.
  auto cached = tokens_.find(join(scopes, " "));
  if (cached != tokens_.end() && cached->second.header != rejected && cached->second.expires > SteadyClock::now()) return cached->second.header;
  if (cached != tokens_.end()) tokens_.erase(cached);
  if (const Challenge* best = best_of(challenges)) {
    challenge_ = *best;
  } else if (!challenge_) {
    return refused(host_ + ": unauthorized, and the registry offers no way to log in that archway knows");
  }
  std::string header = TRY(make_header(scopes, std::move(stop)));
  if (header.empty() || header == rejected) {
    if (helper_failure_) return *helper_failure_;
    bool have = credentials_ && *credentials_;
    return refused(host_ + ": unauthorized" + (have ? ": the registry does not accept the stored credentials" : ""));
  }
  return header;
}

Result<std::string> Authenticator::make_header(const std::vector<std::string>& scopes, std::stop_token stop) {
  if (challenge_->scheme == "bearer") return fetch_token(scopes, std::move(stop));
  auto found = TRY(credentials(std::move(stop)));
  return found && !found->username.empty() ? basic_header(*found) : std::string();
}

Result<std::string> Authenticator::fetch_token(const std::vector<std::string>& scopes, std::stop_token stop) {
  auto realm = parse_url(challenge_->param("realm"));
  if (!realm.ok()) return Error{Code::Invalid, host_ + ": its challenge names no usable token realm: " + realm.error().message};
  Url target = *realm;
  TRY(guard_target(base_, target));
  auto found = TRY(credentials(stop));
  auto wanted = merged_scopes(scopes, challenge_->param("scope"));
  Token token = TRY(ask_realm(target, wanted, found, std::move(stop)));
  if (tokens_.size() >= kMaxCachedTokens) tokens_.clear();
  std::string header = token.header;
  tokens_.insert_or_assign(join(scopes, " "), std::move(token));
  return header;
}

// GET with service and scopes, or, with an identity token, the OAuth2 POST (distribution: token.md, oauth.md).
Result<Authenticator::Token> Authenticator::ask_realm(const Url& realm, const std::vector<std::string>& scopes, const std::optional<Credentials>& credentials,
                                                      std::stop_token stop) {
  HttpRequest request;
  request.url = realm;
  std::vector<std::pair<std::string, std::string>> parameters;
  if (std::string service = challenge_->param("service"); !service.empty()) parameters.emplace_back("service", service);
  if (credentials && !credentials->identity_token.empty()) {
    parameters.insert(parameters.end(), {{"grant_type", "refresh_token"}, {"client_id", "archway"}, {"refresh_token", credentials->identity_token}});
    if (!scopes.empty()) parameters.emplace_back("scope", join(scopes, " "));
    request.method = "POST";
    request.headers.add("Content-Type", "application/x-www-form-urlencoded");
    request.body = encode_query(parameters);
  } else {
    for (const std::string& scope : scopes) parameters.emplace_back("scope", scope);
    if (credentials) {
      parameters.emplace_back("account", credentials->username);
      request.headers.add("Authorization", basic_header(*credentials));
    }
    request.url.query += (request.url.query.empty() ? "" : "&") + encode_query(parameters);
  }
  auto response = TRY(send_(request, std::move(stop)).context("asking for a token for " + host_));
  std::string text = TRY(response->text(kMaxTokenBytes));
  std::string what = "asking " + realm.origin() + " for a token for " + host_;
  if (response->status == 401 || response->status == 403 || (response->status == 400 && credentials)) {
    if (helper_failure_) return *helper_failure_;
    return refused(host_ + ": unauthorized" + (credentials ? ": the registry does not accept the stored credentials" : ""));
  }
  if (response->status != 200) return Error{response->status >= 500 || response->status == 429 ? Code::Unavailable : Code::Invalid, what + ": status " + std::to_string(response->status)};
  auto answer = parse_json(text);
  if (!answer.ok()) return Error{Code::Invalid, what + ": the answer is not JSON"};
  std::string token = (*answer)["token"].string();
  if (token.empty()) token = (*answer)["access_token"].string();
  bool clean = !token.empty() && std::all_of(token.begin(), token.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (!clean) return Error{Code::Invalid, what + ": the answer holds no token"};
  auto life = std::chrono::seconds(std::clamp<int64_t>((*answer)["expires_in"].integer(kDefaultTokenLife.count()), 1, kMaxTokenLife.count()));
  auto renew = life > 2 * kRenewBefore ? life - kRenewBefore : life / 2;
  return Token{"Bearer " + token, SteadyClock::now() + renew};
}

}  // namespace archway
