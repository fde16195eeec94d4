#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "base/sync.h"
#include "format/json.h"
#include "kube/pull_secrets.h"
#include "registry/lookup.h"

namespace archway::admission {

// The pull secrets of pods, read from the cluster and remembered for a while: a thousand pods of one workload ask once. Thread safe.
class PullKeychains {
 public:
  explicit PullKeychains(std::shared_ptr<kube::Client> client, std::chrono::seconds age = std::chrono::seconds(60)) : client_(std::move(client)), age_(age) {}
  // `is_pod`: admission has put the service account's secrets into it already. What cannot be read by the deadline is left out.
  Keychain of(const std::string& name_space, const Json& pod_spec, bool is_pod, std::chrono::steady_clock::time_point deadline);

 private:
  struct Entry {
    Keychain keychain;
    std::chrono::steady_clock::time_point read;
  };
  std::shared_ptr<kube::Client> client_;
  std::chrono::seconds age_;
  Sync<std::map<std::string, Entry>> entries_;
};

inline constexpr size_t kMaxKeychains = 10'000;

}  // namespace archway::admission
