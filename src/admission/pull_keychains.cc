#include "admission/pull_keychains.h"

#include <condition_variable>
#include <thread>

namespace archway::admission {

namespace {

using SteadyClock = std::chrono::steady_clock;

// Asks to stop when the time has come, unless destroyed before.
class StopAt {
 public:
  explicit StopAt(SteadyClock::time_point when)
      : thread_([this, when](std::stop_token given_up) {
          std::unique_lock lock(mutex_);
          changed_.wait_until(lock, given_up, when, [] { return false; });
          if (!given_up.stop_requested()) source_.request_stop();
        }) {}
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::stop_source source_;
  std::jthread thread_;
};

// What the secrets of a spec depend on.
std::string key_of(const std::string& name_space, const Json& pod_spec, bool is_pod) {
  std::string key = name_space;
  for (const Json& secret : pod_spec["imagePullSecrets"].items()) key += "\n" + secret["name"].string();
  if (!is_pod) key += "\n/" + pod_spec["serviceAccountName"].string();
  return key;
}

}  // namespace

Keychain PullKeychains::of(const std::string& name_space, const Json& pod_spec, bool is_pod, SteadyClock::time_point deadline) {
  if (is_pod && pod_spec["imagePullSecrets"].items().empty()) return {};
  std::string key = key_of(name_space, pod_spec, is_pod);
  {
    auto entries = entries_.lock();
    auto found = entries->find(key);
    if (found != entries->end() && SteadyClock::now() - found->second.read < age_) return found->second.keychain;
  }
  StopAt stop(deadline);
  auto secrets = kube::pull_secrets_of(*client_, name_space, pod_spec, stop.token());
  // Not remembered: the next review asks again.
  if (!secrets.ok()) return {};
  Keychain keychain{std::move(secrets->docker_configs)};
  auto entries = entries_.lock();
  if (entries->size() >= kMaxKeychains) entries->clear();
  entries->insert_or_assign(key, Entry{keychain, SteadyClock::now()});
  return keychain;
}

}  // namespace archway::admission
