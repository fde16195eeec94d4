#include "kube/kubeconfig_file.h"

#include "base/check.h"

// Files that a user was sent: whatever is in them, reading says so or gives entries that are objects.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto config = archway::kube::parse_kubeconfig(text, "folder/config");
  if (!config.ok()) return 0;
  auto again = archway::kube::parse_kubeconfig(text, "folder/config");
  CHECK(again.ok());
  size_t clusters = config->clusters.size();
  config->merge(std::move(*again));
  CHECK(config->clusters.size() == clusters);
  for (const auto* entries : {&config->clusters, &config->users, &config->contexts}) {
    for (const auto& [name, entry] : *entries) CHECK(entry.value.is_object());
  }
  return 0;
}
