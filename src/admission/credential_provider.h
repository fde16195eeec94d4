#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/sync.h"
#include "base/thread_pool.h"

// Credentials as the node has them: the kubelet's credential provider plugins (KEP-2133), by its own configuration file
// (CredentialProviderConfig, --image-credential-provider-config) and its exec protocol (credentialprovider.kubelet.k8s.io).
namespace archway::admission {

inline constexpr uint64_t kMaxProviderConfigBytes = 1 << 20;
inline constexpr uint64_t kMaxProviderAnswerBytes = 1 << 20;
inline constexpr size_t kMaxProviders = 64;
inline constexpr size_t kMaxMatchImages = 256;   // of one provider
inline constexpr size_t kMaxAuthEntries = 256;   // of one answer

struct CredentialProvider {
  std::string name;  // of the program in the folder of plugins
  std::vector<std::string> match_images;
  std::chrono::seconds default_cache = {};
  std::string api_version;  // "credentialprovider.kubelet.k8s.io/v1"
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;
  // KEP-4412: a token of the pod's service account, bound to the pod. Nobody can have one before the pod is there, so a plugin that may do
  // without is asked without, and one that requires it is not asked.
  enum class Token { None, Optional, Required } token = Token::None;
};
// YAML or JSON of kubelet.config.k8s.io/v1, v1beta1 or v1alpha1. Invalid names the provider and the field.
Result<std::vector<CredentialProvider>> parse_provider_config(std::string_view text);

// Does a matchImages entry (or a keyring_entry) apply to this image? Host labels may be globs, each of one label; the port must be equal, the
// path a prefix, and upper case is not lower case (kubelet, credentialprovider.URLsMatchStr). `image` without tag and digest or with them.
bool image_matches(std::string_view pattern, std::string_view image);
// What the kubelet's keyring makes of a key of an answer: without its scheme, and without /v1/ and /v2/ (BasicDockerKeyring.Add).
std::string keyring_entry(std::string_view key);

struct ProviderAnswer {
  enum class CacheKey { Image, Registry, Global } cache_key = CacheKey::Image;
  std::optional<std::chrono::seconds> cache_for;  // none: the provider's default
  struct Auth {
    std::string pattern, username, password;
  };
  std::vector<Auth> auth;
};
// A plugin's standard output. Invalid, never repeating what it read: another version or kind, an unknown cacheKeyType, limits.
Result<ProviderAnswer> parse_provider_answer(std::string_view text, const std::string& api_version);
// The document that a plugin reads.
std::string provider_request(const std::string& api_version, const std::string& image);
// "1h30m", "12h0m0s", "500ms" (rounded down to seconds), "0" (Go's time.ParseDuration); none where it is no duration or negative.
std::optional<std::chrono::seconds> parse_go_duration(std::string_view text);

struct CredentialProvidersOptions {
  std::string bin_dir;
  std::chrono::milliseconds timeout = std::chrono::seconds(30);  // of one plugin; the kubelet's is a minute, and nobody waits for it
  size_t max_cached = 10'000;
  Clock* clock = nullptr;
  // Runs a plugin: its answer's text. Tests bring their own.
  std::function<Result<std::string>(const CredentialProvider&, const std::string& request, std::stop_token)> run = {};
};

// Thread safe. Plugins of one image are asked one after another; several images' side by side, one image's by one caller at a time.
class CredentialProviders {
 public:
  CredentialProviders(std::vector<CredentialProvider> providers, CredentialProvidersOptions options);
  ~CredentialProviders();
  // Docker config documents for a Keychain, each with one entry: the host of `image`. Most specific key first. Plugins that fail are
  // logged and passed over.
  std::vector<std::string> docker_configs_for(const std::string& image, std::stop_token stop = {});
  // The same, waiting no longer than that; a plugin that is slower goes on, and its answer is there for the next one.
  std::vector<std::string> docker_configs_until(const std::string& image, std::chrono::steady_clock::time_point deadline);
  bool empty() const { return providers_.empty(); }

 private:
  struct Cached {
    std::vector<ProviderAnswer::Auth> auth;
    Time until;
  };
  struct State {
    std::map<std::string, Cached> cache;  // provider, kind of key, key
    std::map<std::string, std::shared_ptr<std::mutex>> asking;
    std::map<std::string, std::shared_future<std::vector<std::string>>> pending;  // by repository: asked in the background
  };
  std::shared_future<std::vector<std::string>> ask_in_background(const std::string& image, const std::string& name);
  bool matches(size_t provider, const std::string& name) const;
  std::optional<Cached> cached(size_t provider, const std::string& image);
  std::vector<ProviderAnswer::Auth> ask(size_t provider, const std::string& image, std::stop_token stop);
  Result<std::string> run(const CredentialProvider& provider, const std::string& request, std::stop_token stop) const;

  std::vector<CredentialProvider> providers_;
  CredentialProvidersOptions options_;
  Sync<State> state_;
  std::stop_source ending_;
  ThreadPool background_{4};  // last: its tasks use the others
};

}  // namespace archway::admission
