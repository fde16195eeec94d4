#include "registry/keychain.h"

#include <algorithm>

#include "base/text.h"
#include "format/json.h"

namespace archway {
namespace {

inline constexpr std::string_view kHubKey = "index.docker.io";

// Go's path.Match on one label of a host: * ? [a-z] [^a-z] and \c. A pattern that is broken matches nothing.
bool label_matches(std::string_view pattern, std::string_view text) {
  while (!pattern.empty()) {
    char c = pattern.front();
    if (c == '*') {
      while (!pattern.empty() && pattern.front() == '*') pattern.remove_prefix(1);
      if (pattern.empty()) return true;
      for (size_t i = 0; i <= text.size(); ++i) {
        if (label_matches(pattern, text.substr(i))) return true;
      }
      return false;
    }
    if (text.empty()) return false;
    if (c == '[') {
      size_t close = pattern.find(']', 2);
      if (close == std::string_view::npos) return false;
      std::string_view set = pattern.substr(1, close - 1);
      bool negated = set.front() == '^', inside = false;
      if (negated) set.remove_prefix(1);
      for (size_t i = 0; i < set.size(); ++i) {
        char low = set[i], high = low;
        if (i + 2 < set.size() && set[i + 1] == '-') high = set[i += 2];
        inside |= low <= text.front() && text.front() <= high;
      }
      if (inside == negated) return false;
      pattern.remove_prefix(close + 1);
    } else {
      if (c == '\\') {
        pattern.remove_prefix(1);
        if (pattern.empty()) return false;
        c = pattern.front();
      }
      if (c != '?' && c != text.front()) return false;
      pattern.remove_prefix(1);
    }
    text.remove_prefix(1);
  }
  return text.empty();
}

// Stars within one label make a match cost more than its length; no sensible key has more.
inline constexpr size_t kMaxStars = 4;

struct Place {
  std::vector<std::string> labels;
  std::string port, path;
};

Place place_of(std::string_view text) {
  size_t slash = text.find('/');
  std::string_view authority = text.substr(0, slash);
  auto [host, port] = cut(authority, ':');
  return {split(host, '.'), std::string(port.value_or("")), slash == std::string_view::npos ? "" : std::string(text.substr(slash))};
}

bool key_matches(std::string_view key, const Place& target) {
  if (std::count(key.begin(), key.end(), '*') > static_cast<std::ptrdiff_t>(kMaxStars)) return false;
  Place glob = place_of(key);
  if (glob.port != target.port || glob.labels.size() != target.labels.size() || !target.path.starts_with(glob.path)) return false;
  for (size_t i = 0; i < glob.labels.size(); ++i) {
    if (!label_matches(glob.labels[i], target.labels[i])) return false;
  }
  return true;
}

// "https://index.docker.io/v1/" is "index.docker.io".
std::string key_of(std::string_view written) {
  for (std::string_view scheme : {"https://", "http://"}) {
    if (written.starts_with(scheme)) written.remove_prefix(scheme.size());
  }
  size_t slash = written.find('/');
  std::string host = to_lower(written.substr(0, slash));
  std::string path = slash == std::string_view::npos ? "" : std::string(written.substr(slash));
  path = path.substr(0, path.find_first_of("?#"));
  if (path.starts_with("/v1/") || path.starts_with("/v2/")) path.erase(0, 3);
  return path == "/" ? host : host + path;
}

bool same(const Credentials& a, const Credentials& b) { return a.username == b.username && a.password == b.password && a.identity_token == b.identity_token; }

}  // namespace

Result<Keyring> Keyring::parse(const std::vector<std::string>& docker_configs) {
  Keyring keyring;
  size_t bytes = 0;
  for (size_t i = 0; i < docker_configs.size(); ++i) {
    std::string what = "pull secret " + std::to_string(i + 1) + " of " + std::to_string(docker_configs.size());
    bytes += docker_configs[i].size();
    if (bytes > kMaxKeyringBytes) return Error{Code::Invalid, what + ": together they have more than " + std::to_string(kMaxKeyringBytes) + " bytes"};
    auto json = parse_json(docker_configs[i]);
    if (!json.ok() || !json->is_object()) return Error{Code::Invalid, what + ": it is not a docker config in JSON"};
    for (const JsonMember& member : (*json)["auths"].members()) {
      if (keyring.entries_.size() >= kMaxKeyringEntries) return Error{Code::Invalid, what + ": more than " + std::to_string(kMaxKeyringEntries) + " entries"};
      auto found = TRY(read_docker_credentials(member.value, member.key).context(what));
      if (found) keyring.entries_.push_back({key_of(member.key), std::move(*found)});
    }
  }
  std::stable_sort(keyring.entries_.begin(), keyring.entries_.end(), [](const Entry& a, const Entry& b) { return a.key > b.key; });
  return keyring;
}

std::vector<Credentials> Keyring::match(std::string_view name) const {
  std::vector<Credentials> found;
  auto add = [&](const Credentials& credentials) {
    if (std::none_of(found.begin(), found.end(), [&](const Credentials& have) { return same(have, credentials); })) found.push_back(credentials);
  };
  Place target = place_of(name);
  for (const Entry& entry : entries_) {
    if (key_matches(entry.key, target)) add(entry.credentials);
  }
  if (!found.empty() || !name.starts_with("docker.io/")) return found;
  for (const Entry& entry : entries_) {
    if (entry.key == kHubKey) add(entry.credentials);
  }
  return found;
}

}  // namespace archway
