#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/sync.h"
#include "registry/keychain.h"
#include "registry/lookup.h"
#include "registry/lru_map.h"

namespace archway {

inline constexpr size_t kMaxLookupClients = 256;
inline constexpr size_t kMaxKeyrings = 1024;
// Of one request and its answer: a registry that drips bytes is given up.
inline constexpr std::chrono::milliseconds kMaxLookupExchange = std::chrono::seconds(60);

// With whose credentials a look-up asks, and the clients that do: one for each set of credentials and host, all with the same
// connections. Thread safe.
class LookupAccess {
 public:
  // `salt` keeps what `who` holds from being compared with anything elsewhere.
  static Result<std::unique_ptr<LookupAccess>> create(RegistryOptions options, std::string salt);

  struct Way {
    std::string who;  // a hash of the credentials; "" for none
    std::optional<Credentials> credentials = {};  // none: the client's own configuration
  };
  // All that apply, in the order in which they are tried; the client's own is the last.
  Result<std::vector<Way>> ways(const Reference& reference, const Keychain& keychain);

  // For look-ups (which do not wait where a registry limits them), or for content.
  enum class For { LookUp, Content };
  Result<std::shared_ptr<RegistryClient>> client(const Way& way, const Reference& reference, For purpose);
  std::optional<RateLimit> rate_limit(const std::string& host);
  uint64_t requests() const { return *requests_; }

 private:
  LookupAccess(RegistryOptions options, std::string salt) : options_(std::move(options)), salt_(std::move(salt)) {}
  Result<void> make_http();
  std::string asked_host(const Reference& reference) const;  // the mirror's, where there is one
  std::string own_who(const std::string& host);
  std::string hash(std::string_view text) const;
  Result<std::shared_ptr<const Keyring>> keyring(const Keychain& keychain);

  RegistryOptions options_;
  const std::string salt_;
  std::shared_ptr<std::atomic<uint64_t>> requests_ = std::make_shared<std::atomic<uint64_t>>(0);
  std::shared_ptr<HttpClient> http_[2], insecure_http_[2];  // by purpose
  struct State {
    LruMap<std::shared_ptr<RegistryClient>> clients{kMaxLookupClients};
    LruMap<std::shared_ptr<const Keyring>> keyrings{kMaxKeyrings};
    LruMap<std::string> own{kMaxKeyrings};
  };
  Sync<State> state_;
};

}  // namespace archway
