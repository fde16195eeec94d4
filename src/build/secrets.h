#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace archway::build {

// What --secret gives: a file, read when a RUN asks for it, or a value.
struct Secret {
  std::string file = {};  // "": `value` it is
  std::string value = {};
};
inline constexpr uint64_t kMaxSecretBytes = 500 * 1024;  // BuildKit's

// What a build may show to its programs, by id, and what is never part of a key, a log or a layer.
struct Confidences {
  std::map<std::string, Secret> secrets = {};
  std::map<std::string, std::string> agents = {};  // id -> socket of an ssh-agent
};

// nullopt where there is no such secret.
Result<std::optional<std::string>> read_secret(const Confidences& confidences, const std::string& id);

}  // namespace archway::build
