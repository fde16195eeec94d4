#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "format/json.h"
#include "kube/client.h"
#include "registry/lookup.h"

namespace archway::audit {

// What the pods of a cluster's objects are pulled with: the secrets that they name, else those of their service account. Service accounts
// are listed once; secrets are read by name, each set of them once. Thread safe.
class PullKeychains {
 public:
  PullKeychains(kube::Client& client, std::stop_token stop) : client_(client), stop_(std::move(stop)) {}
  // In these namespaces; none: all. Where that is not allowed, accounts are read one by one.
  void list_accounts(const std::vector<std::string>& name_spaces);

  // Of an object of any kind; null where nothing but our own credentials is to be had.
  std::shared_ptr<const Keychain> of(const Json& object);
  // "shop/regcred: not found"
  std::set<std::string> missing() const;

 private:
  struct Slot {
    bool ready = false;
    std::shared_ptr<const Keychain> keychain;
  };
  std::shared_ptr<const Keychain> ask(const std::string& name_space, const Json& spec);

  kube::Client& client_;
  std::stop_token stop_;
  std::optional<std::map<std::string, std::vector<std::string>>> accounts_;  // "shop/default" to names of secrets; those that have some
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Slot> slots_;
  std::set<std::string> missing_;
};

// What an object says about pulling: a pod's spec with imagePullSecrets and serviceAccountName. Kinds that nobody knows are searched: a
// custom resource may hold several pods. Not an object where it holds none.
Json pull_spec_of(const Json& object);

}  // namespace archway::audit
