#include <algorithm>

#include "admission/credential_provider.h"
#include "base/text.h"
#include "format/json.h"
#include "format/yaml.h"

namespace archway::admission {
namespace {

constexpr std::string_view kConfigGroup = "kubelet.config.k8s.io/", kProtocolGroup = "credentialprovider.kubelet.k8s.io/";
constexpr int64_t kMaxSeconds = 10LL * 365 * 86'400;

bool is_known_version(std::string_view version) { return version == "v1" || version == "v1beta1" || version == "v1alpha1"; }

bool has_version(std::string_view text, std::string_view group) { return text.starts_with(group) && is_known_version(text.substr(group.size())); }

// "[a-z]" or "[^0-9]" at the begin of a pattern: how long it is, and whether it holds for a character; none where it is no class.
struct CharacterClass {
  size_t length = 0;
  bool holds = false;
};
std::optional<CharacterClass> read_class(std::string_view pattern, char c) {
  size_t at = 1;
  bool negated = at < pattern.size() && pattern[at] == '^', any = false;
  if (negated) at++;
  for (size_t count = 0;; count++) {
    if (at >= pattern.size()) return std::nullopt;
    if (pattern[at] == ']' && count > 0) return CharacterClass{at + 1, any != negated};
    char low = pattern[at++], high = low;
    if (low == '-' || low == ']') return std::nullopt;
    if (at + 1 < pattern.size() && pattern[at] == '-') {
      high = pattern[at + 1];
      at += 2;
    }
    any |= low <= c && c <= high;
  }
}

// Go's path.Match, as far as a host can say it: "*" any characters, classes. "?" begins a query before it gets here.
bool label_matches(std::string_view pattern, std::string_view label) {
  size_t p = 0, l = 0, star = std::string_view::npos, retry = 0;
  while (l < label.size()) {
    auto one = p < pattern.size() && pattern[p] == '[' ? read_class(pattern.substr(p), label[l]) : std::nullopt;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = l;
    } else if (one ? one->holds : p < pattern.size() && pattern[p] != '[' && pattern[p] == label[l]) {
      p += one ? one->length : 1;
      l++;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      l = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') p++;
  return p == pattern.size();
}

struct ImageUrl {
  std::string_view host, port, path;  // path with its "/", or ""
};
// As Go reads "https://" and this: up to a query or fragment, the host up to the first "/", its port behind the last ":".
ImageUrl take_apart(std::string_view text) {
  text = text.substr(0, text.find_first_of("?#"));
  size_t slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash), path = text.substr(slash);
  size_t colon = authority.rfind(':');
  // More than one colon is no port, unless in brackets.
  bool has_port = colon != std::string_view::npos && (authority.find(':') == colon || authority[colon - 1] == ']');
  if (!has_port) return {authority, "", path};
  return {authority.substr(0, colon), authority.substr(colon + 1), path};
}

// Without "@digest" and ":tag".
std::string_view without_tag(std::string_view image) {
  image = image.substr(0, image.find('@'));
  size_t slash = image.rfind('/'), colon = image.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos ? false : colon > slash)) image = image.substr(0, colon);
  return image;
}

Result<CredentialProvider> read_provider(const Json& item) {
  CredentialProvider provider;
  provider.name = item["name"].string();
  // The kubelet joins it with its folder: a name, and no way out of it.
  bool plain = !provider.name.empty() && provider.name != "." && provider.name != ".." && provider.name.find_first_of("/ \\") == std::string::npos;
  if (!plain) return Error{Code::Invalid, "provider \"" + provider.name + "\": name must be that of a program"};
  auto fault = [&](const std::string& why) { return Error{Code::Invalid, "provider \"" + provider.name + "\": " + why}; };
  provider.match_images = item["matchImages"].strings();
  if (provider.match_images.empty()) return fault("matchImages must have an entry");
  if (provider.match_images.size() > kMaxMatchImages) return fault("matchImages has over " + std::to_string(kMaxMatchImages) + " entries");
  provider.api_version = item["apiVersion"].string();
  if (!has_version(provider.api_version, kProtocolGroup)) return fault("apiVersion \"" + provider.api_version + "\" is none of " + std::string(kProtocolGroup) + "v1, v1beta1, v1alpha1");
  auto duration = parse_go_duration(item["defaultCacheDuration"].string());
  if (!duration) return fault("defaultCacheDuration is missing, or no duration (\"12h\")");
  provider.default_cache = *duration;
  provider.arguments = item["args"].strings();
  for (const Json& variable : item["env"].items()) {
    const std::string& name = variable["name"].string();
    if (name.empty() || name.find('=') != std::string::npos) return fault("env: \"" + name + "\" is no name of a variable");
    provider.environment.emplace_back(name, variable["value"].string());
  }
  const Json& token = item["tokenAttributes"];
  if (token.is_null()) return provider;
  // As the kubelet checks it; cacheType is of 1.34.
  if (token["serviceAccountTokenAudience"].string().empty()) return fault("tokenAttributes has no serviceAccountTokenAudience");
  if (!token["requireServiceAccount"].is_bool()) return fault("tokenAttributes does not say requireServiceAccount: true or false");
  if (provider.api_version != std::string(kProtocolGroup) + "v1") return fault("tokenAttributes needs apiVersion " + std::string(kProtocolGroup) + "v1");
  const std::string& cache = token["cacheType"].string();
  if (!token["cacheType"].is_null() && cache != "ServiceAccount" && cache != "Token") return fault("tokenAttributes: cacheType is none of ServiceAccount and Token");
  bool required = token["requireServiceAccount"].boolean();
  if (!required && !token["requiredServiceAccountAnnotationKeys"].items().empty()) return fault("tokenAttributes: requiredServiceAccountAnnotationKeys go with requireServiceAccount: true only");
  provider.token = required ? CredentialProvider::Token::Required : CredentialProvider::Token::Optional;
  return provider;
}

}  // namespace

Result<std::vector<CredentialProvider>> parse_provider_config(std::string_view text) {
  Json config = TRY(parse_yaml(text).context("the kubelet's credential provider configuration"));
  auto fault = [](const std::string& why) { return Error{Code::Invalid, "the kubelet's credential provider configuration: " + why}; };
  if (config["kind"].string() != "CredentialProviderConfig" || !has_version(config["apiVersion"].string(), kConfigGroup)) {
    return fault("not a CredentialProviderConfig of kubelet.config.k8s.io");
  }
  const Json::Array& items = config["providers"].items();
  if (items.empty()) return fault("providers must have an entry");
  if (items.size() > kMaxProviders) return fault("over " + std::to_string(kMaxProviders) + " providers");
  std::vector<CredentialProvider> providers;
  for (const Json& item : items) {
    auto provider = read_provider(item);
    if (!provider.ok()) return fault(provider.error().message);
    bool twice = std::any_of(providers.begin(), providers.end(), [&](const CredentialProvider& other) { return other.name == provider->name; });
    if (twice) return fault("provider \"" + provider->name + "\" is given twice");
    providers.push_back(*std::move(provider));
  }
  return providers;
}

bool image_matches(std::string_view pattern, std::string_view image) {
  ImageUrl wanted = take_apart(pattern), is = take_apart(without_tag(image));
  if (wanted.host.empty() || wanted.port != is.port) return false;
  auto patterns = split(wanted.host, '.'), labels = split(is.host, '.');
  if (patterns.size() != labels.size()) return false;
  for (size_t i = 0; i < labels.size(); i++) {
    if (!label_matches(patterns[i], labels[i])) return false;
  }
  return is.path.starts_with(wanted.path);
}

std::string keyring_entry(std::string_view key) {
  for (std::string_view scheme : {"https://", "http://"}) {
    if (!key.starts_with(scheme)) continue;
    key.remove_prefix(scheme.size());
    break;
  }
  key = key.substr(0, key.find_first_of("?#"));
  size_t slash = std::min(key.find('/'), key.size());
  std::string_view host = key.substr(0, slash), path = key.substr(slash);
  if (path.starts_with("/v1/") || path.starts_with("/v2/")) path.remove_prefix(3);
  return std::string(host) + (path == "/" ? "" : std::string(path));
}

std::string provider_request(const std::string& api_version, const std::string& image) {
  return to_json(Json::object({{"kind", "CredentialProviderRequest"}, {"apiVersion", api_version}, {"image", image}}));
}

Result<ProviderAnswer> parse_provider_answer(std::string_view text, const std::string& api_version) {
  if (text.size() > kMaxProviderAnswerBytes) return Error{Code::Invalid, "its answer is longer than " + human_bytes(kMaxProviderAnswerBytes)};
  auto json = parse_json(text);
  if (!json.ok() || !json->is_object()) return Error{Code::Invalid, "its answer is not a JSON object"};
  if ((*json)["kind"].string() != "CredentialProviderResponse") return Error{Code::Invalid, "its answer is not of kind CredentialProviderResponse"};
  if ((*json)["apiVersion"].string() != api_version) return Error{Code::Invalid, "its answer is not of version " + api_version};
  ProviderAnswer answer;
  const std::string& key = (*json)["cacheKeyType"].string();
  if (key == "Image") {
    answer.cache_key = ProviderAnswer::CacheKey::Image;
  } else if (key == "Registry") {
    answer.cache_key = ProviderAnswer::CacheKey::Registry;
  } else if (key == "Global") {
    answer.cache_key = ProviderAnswer::CacheKey::Global;
  } else {
    return Error{Code::Invalid, "its answer's cacheKeyType is none of Image, Registry and Global"};
  }
  const Json& duration = (*json)["cacheDuration"];
  if (!duration.is_null()) {
    answer.cache_for = parse_go_duration(duration.string());
    if (!answer.cache_for) return Error{Code::Invalid, "its answer's cacheDuration is no duration"};
  }
  if ((*json)["auth"].members().size() > kMaxAuthEntries) return Error{Code::Invalid, "its answer has over " + std::to_string(kMaxAuthEntries) + " entries"};
  for (const JsonMember& entry : (*json)["auth"].members()) {
    answer.auth.push_back({entry.key, entry.value["username"].string(), entry.value["password"].string()});
  }
  return answer;
}

std::optional<std::chrono::seconds> parse_go_duration(std::string_view text) {
  if (text == "0") return std::chrono::seconds(0);
  if (text.empty()) return std::nullopt;
  static constexpr std::pair<std::string_view, double> kUnits[] = {{"ns", 1e-9}, {"us", 1e-6}, {"µs", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}};
  double total = 0;
  if (text.front() == '+') text.remove_prefix(1);
  while (!text.empty()) {
    size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
    std::string number(text.substr(0, end));
    size_t digits = static_cast<size_t>(std::count_if(number.begin(), number.end(), [](char c) { return c != '.'; }));
    if (digits == 0 || number.size() - digits > 1 || number.size() > 30) return std::nullopt;
    text.remove_prefix(end);
    // "m" begins "ms": the longest unit that is there counts.
    const std::pair<std::string_view, double>* unit = nullptr;
    for (const auto& one : kUnits) {
      if (text.starts_with(one.first) && (!unit || one.first.size() > unit->first.size())) unit = &one;
    }
    if (!unit) return std::nullopt;
    text.remove_prefix(unit->first.size());
    total += std::stod(number) * unit->second;
  }
  if (total > static_cast<double>(kMaxSeconds)) return std::chrono::seconds(kMaxSeconds);
  return std::chrono::seconds(static_cast<int64_t>(total));
}

}  // namespace archway::admission
