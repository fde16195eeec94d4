#include "admission/credential_provider.h"

#include <algorithm>

#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "format/json.h"
#include "image/reference.h"

namespace archway::admission {
namespace {

using CacheKey = ProviderAnswer::CacheKey;

inline constexpr size_t kMaxShownError = 300;
constexpr std::string_view kHubHost = "docker.io", kHubEntry = "index.docker.io";
inline constexpr size_t kMaxPending = 1000;

std::string cache_key(size_t provider, CacheKey kind, const Reference& image) {
  std::string prefix = std::to_string(provider) + "\n";
  switch (kind) {
    case CacheKey::Image: return prefix + "image\n" + image.name();
    case CacheKey::Registry: return prefix + "registry\n" + image.host();
    case CacheKey::Global: return prefix + "global";
  }
  return prefix;
}

std::string docker_config(const std::string& host, const ProviderAnswer::Auth& auth) {
  Json entry = Json::object({{"username", auth.username}, {"password", auth.password}});
  return to_json(Json::object({{"auths", Json::object({{host, entry}})}}));
}

}  // namespace

CredentialProviders::CredentialProviders(std::vector<CredentialProvider> providers, CredentialProvidersOptions options)
    : providers_(std::move(providers)), options_(std::move(options)) {
  if (!options_.clock) options_.clock = &system_clock();
}

Result<std::string> CredentialProviders::run(const CredentialProvider& provider, const std::string& request, std::stop_token stop) const {
  if (options_.run) return options_.run(provider, request, stop);
  ProcessOptions options;
  options.input = request;
  options.timeout = options_.timeout;
  options.output_limit_bytes = kMaxProviderAnswerBytes;
  for (const auto& [name, value] : provider.environment) options.more_environment.push_back(name + "=" + value);
  std::vector<std::string> command = {options_.bin_dir + "/" + provider.name};
  command.insert(command.end(), provider.arguments.begin(), provider.arguments.end());
  ProcessResult result = TRY(run_process(command, options, stop));
  if (result.exit_code != 0) return Error{Code::Unauthorized, "exit code " + std::to_string(result.exit_code) + ": " + std::string(trim(result.err)).substr(0, kMaxShownError)};
  return std::move(result.out);
}

std::optional<CredentialProviders::Cached> CredentialProviders::cached(size_t provider, const std::string& image) {
  auto reference = Reference::parse(image);
  if (!reference.ok()) return std::nullopt;
  auto state = state_.lock();
  for (CacheKey kind : {CacheKey::Image, CacheKey::Registry, CacheKey::Global}) {
    auto found = state->cache.find(cache_key(provider, kind, *reference));
    if (found != state->cache.end() && options_.clock->now() < found->second.until) return found->second;
  }
  return std::nullopt;
}

std::vector<ProviderAnswer::Auth> CredentialProviders::ask(size_t index, const std::string& image, std::stop_token stop) {
  const CredentialProvider& provider = providers_[index];
  if (auto found = cached(index, image)) return found->auth;
  // A plugin asks a cloud; a hundred pods of one image need but one answer.
  std::shared_ptr<std::mutex> turn;
  {
    auto state = state_.lock();
    if (state->asking.size() > options_.max_cached) state->asking.clear();
    auto& slot = state->asking[std::to_string(index) + "\n" + image];
    if (!slot) slot = std::make_shared<std::mutex>();
    turn = slot;
  }
  std::lock_guard lock(*turn);
  if (auto found = cached(index, image)) return found->auth;
  auto text = run(provider, provider_request(provider.api_version, image), stop);
  auto answer = text.ok() ? parse_provider_answer(*text, provider.api_version) : Result<ProviderAnswer>(text.error());
  if (!answer.ok()) {
    log_warn("credential provider " + provider.name + ": " + answer.error().message + (provider.token == CredentialProvider::Token::Optional ? " (it was asked without a pod's service account token)" : ""));
    return {};
  }
  auto reference = Reference::parse(image);
  std::chrono::seconds age = answer->cache_for.value_or(provider.default_cache);
  if (reference.ok() && age.count() > 0) {
    auto state = state_.lock();
    if (state->cache.size() >= options_.max_cached) state->cache.clear();
    state->cache[cache_key(index, answer->cache_key, *reference)] = {answer->auth, Time{options_.clock->now().nanoseconds + std::chrono::nanoseconds(age).count()}};
  }
  return answer->auth;
}

CredentialProviders::~CredentialProviders() { ending_.request_stop(); }

bool CredentialProviders::matches(size_t provider, const std::string& name) const {
  if (providers_[provider].token == CredentialProvider::Token::Required) return false;
  const auto& patterns = providers_[provider].match_images;
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) { return image_matches(pattern, name); });
}

std::vector<std::string> CredentialProviders::docker_configs_until(const std::string& image, std::chrono::steady_clock::time_point deadline) {
  auto reference = Reference::parse(image);
  if (!reference.ok()) return {};
  bool known = true;
  for (size_t i = 0; i < providers_.size(); i++) known &= !matches(i, reference->name()) || cached(i, image).has_value();
  if (known) return docker_configs_for(image);
  auto coming = ask_in_background(image, reference->name());
  if (!coming.valid() || coming.wait_until(deadline) != std::future_status::ready) return {};
  return coming.get();
}

// Whoever asks of the same repository meanwhile gets the same answer.
std::shared_future<std::vector<std::string>> CredentialProviders::ask_in_background(const std::string& image, const std::string& name) {
  auto answer = std::make_shared<std::promise<std::vector<std::string>>>();
  std::shared_future<std::vector<std::string>> coming = answer->get_future().share();
  {
    auto state = state_.lock();
    auto under_way = state->pending.find(name);
    if (under_way != state->pending.end()) return under_way->second;
    if (state->pending.size() >= kMaxPending) return {};
    state->pending.emplace(name, coming);
  }
  background_.submit([this, image, name, answer] {
    answer->set_value(docker_configs_for(image, ending_.get_token()));
    state_.lock()->pending.erase(name);
  });
  return coming;
}

std::vector<std::string> CredentialProviders::docker_configs_for(const std::string& image, std::stop_token stop) {
  auto reference = Reference::parse(image);
  if (!reference.ok()) return {};
  std::vector<ProviderAnswer::Auth> matching, of_hub;
  for (size_t i = 0; i < providers_.size(); i++) {
    if (!matches(i, reference->name())) continue;
    // As the kubelet: without tag and digest, since the answer may be kept for all of them.
    for (ProviderAnswer::Auth& auth : ask(i, reference->name(), stop)) {
      auth.pattern = keyring_entry(auth.pattern);
      if (image_matches(auth.pattern, reference->name())) {
        matching.push_back(std::move(auth));
      } else if (auth.pattern == kHubEntry && reference->host() == kHubHost) {
        of_hub.push_back(std::move(auth));
      }
    }
  }
  // Docker Hub's other name counts where nothing else does.
  if (matching.empty()) matching = std::move(of_hub);
  // The kubelet's keyring: keys in reverse order, so that longer ones come before what they begin with.
  std::stable_sort(matching.begin(), matching.end(), [](const auto& a, const auto& b) { return a.pattern > b.pattern; });
  std::vector<std::string> documents;
  for (const ProviderAnswer::Auth& auth : matching) {
    std::string document = docker_config(reference->host(), auth);
    if (std::find(documents.begin(), documents.end(), document) == documents.end()) documents.push_back(std::move(document));
  }
  return documents;
}

}  // namespace archway::admission
