#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "registry/keychain.h"

// A docker config document, a line break, and the name of a repository.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t line = text.find('\n');
  std::string_view name = line == std::string_view::npos ? "docker.io/library/nginx" : text.substr(line + 1);
  auto keyring = archway::Keyring::parse({std::string(text.substr(0, line))});
  if (!keyring.ok()) return 0;
  for (const archway::Credentials& found : keyring->match(name)) CHECK(!found.username.empty() || !found.identity_token.empty());
  return 0;
}
