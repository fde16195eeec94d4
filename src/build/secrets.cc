#include "build/secrets.h"

#include <fcntl.h>

#include "base/fd.h"

namespace archway::build {

Result<std::optional<std::string>> read_secret(const Confidences& confidences, const std::string& id) {
  auto found = confidences.secrets.find(id);
  if (found == confidences.secrets.end()) return std::optional<std::string>();
  const Secret& secret = found->second;
  const std::string limit = std::to_string(kMaxSecretBytes / 1024) + " KiB";
  if (secret.file.empty()) {
    if (secret.value.size() > kMaxSecretBytes) return Error{Code::Invalid, "secret " + id + " is larger than " + limit};
    return std::optional(secret.value);
  }
  auto text = read_file(secret.file, kMaxSecretBytes);
  if (!text.ok()) return std::move(text).error().within("reading secret " + id + " (at most " + limit + ")");
  return std::optional(std::move(*text));
}

}  // namespace archway::build
