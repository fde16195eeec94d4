#include "admission/credential_provider.h"

#include "base/check.h"

// What plugins print, what the kubelet's configuration says, and patterns against images ("PATTERN\nIMAGE").
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway::admission;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto answer = parse_provider_answer(text, "credentialprovider.kubelet.k8s.io/v1");
  if (answer.ok()) {
    CHECK(answer->auth.size() <= kMaxAuthEntries);
    for (const auto& auth : answer->auth) image_matches(auth.pattern, "a.example.org:5000/team/app:1");
  }
  auto providers = parse_provider_config(text);
  if (providers.ok()) {
    for (const auto& provider : *providers) CHECK(!provider.name.empty() && provider.name.find('/') == std::string::npos && provider.default_cache.count() >= 0);
  }
  size_t line = text.find('\n');
  if (line != std::string_view::npos) image_matches(text.substr(0, line), text.substr(line + 1));
  if (auto duration = parse_go_duration(text)) CHECK(duration->count() >= 0);
  return 0;
}
