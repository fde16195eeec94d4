#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "registry/docker_config.h"

namespace archway {

inline constexpr size_t kMaxKeyringBytes = 4 << 20;     // of docker config documents, together; a Secret has 1 MiB at most
inline constexpr size_t kMaxKeyringEntries = 10'000;

// Credentials by where they apply, as the kubelet reads pull secrets: a key is a host, whose labels may be patterns
// ("*.dkr.ecr.us-east-1.amazonaws.com"), with an optional port and path prefix ("example.org/team"); "https://" and "/v1/" are dropped.
class Keyring {
 public:
  // Docker config documents ({"auths": {...}}). Invalid, without any secret in the text, where one is none.
  static Result<Keyring> parse(const std::vector<std::string>& docker_configs);
  // All that apply to `name` ("example.org/team/app"), most specific key first, equal ones once.
  std::vector<Credentials> match(std::string_view name) const;

 private:
  struct Entry {
    std::string key;  // "host[:port][/path]"
    Credentials credentials;
  };
  std::vector<Entry> entries_;  // by key, descending: "quay.io/coreos" before "quay.io"
};

}  // namespace archway
