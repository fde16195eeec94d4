#include "audit/pull_keychains.h"

#include "audit/cluster_reader.h"
#include "kube/pod_images.h"
#include "kube/pull_secrets.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxDepth = 32;

const Json& at_pointer(const Json& object, std::string_view pointer) {
  const Json* at = &object;
  for (size_t begin = 1; begin < pointer.size();) {
    size_t end = std::min(pointer.find('/', begin), pointer.size());
    at = &(*at)[pointer.substr(begin, end - begin)];
    begin = end + 1;
  }
  return *at;
}

Json secret_list(const std::vector<std::string>& names) {
  Json list = Json::array();
  for (const std::string& name : names) list.push(Json::object({{"name", name}}));
  return list;
}

std::vector<std::string> names_in(const Json& list) {
  std::vector<std::string> names;
  for (const Json& item : list.items()) {
    const std::string& name = item["name"].string();
    if (!name.empty() && names.size() < kMaxPullNames) names.push_back(name);
  }
  return names;
}

// All that a custom resource says about pulling, wherever it says so.
struct Search {
  std::vector<std::string> secrets;
  std::string account;
  bool pods = false;

  void walk(const Json& value, size_t depth) {
    if (depth > kMaxDepth) return;
    for (const Json& item : value.items()) walk(item, depth + 1);
    for (const JsonMember& member : value.members()) {
      if (member.key == "imagePullSecrets") {
        for (std::string& name : names_in(member.value)) {
          if (secrets.size() < kMaxPullNames) secrets.push_back(std::move(name));
        }
        pods = true;
      } else if (member.key == "serviceAccountName" && member.value.is_string()) {
        if (account.empty()) account = member.value.string();
        pods = true;
      } else {
        pods = pods || member.key == "containers";
        walk(member.value, depth + 1);
      }
    }
  }
};

}  // namespace

Json pull_spec_of(const Json& object) {
  if (auto pointer = kube::pod_template_path(object["kind"].string())) return at_pointer(object, *pointer + "/spec");
  Search search;
  search.walk(object["spec"], 0);
  if (!search.pods) return {};
  return Json::object({{"imagePullSecrets", secret_list(search.secrets)}, {"serviceAccountName", search.account}});
}

void PullKeychains::list_accounts(const std::vector<std::string>& name_spaces) {
  std::map<std::string, std::vector<std::string>> accounts;
  auto keep = [&](Json account) -> Result<void> {
    std::vector<std::string> names = names_in(account["imagePullSecrets"]);
    if (!names.empty()) accounts[account["metadata"]["namespace"].string() + "/" + account["metadata"]["name"].string()] = std::move(names);
    return {};
  };
  const std::vector<std::string> all = {""};
  for (const std::string& name_space : name_spaces.empty() ? all : name_spaces) {
    if (!client_.list(kube::resources::service_accounts(), name_space, {}, keep, stop_).ok()) return;
  }
  accounts_ = std::move(accounts);
}

std::shared_ptr<const Keychain> PullKeychains::of(const Json& object) {
  Json spec = pull_spec_of(object);
  if (!spec.is_object()) return nullptr;
  const std::string& name_space = object["metadata"]["namespace"].string();
  std::vector<std::string> names = names_in(spec["imagePullSecrets"]);
  std::string account = spec["serviceAccountName"].string();
  if (account.empty()) account = "default";
  if (names.empty() && accounts_) {
    auto found = accounts_->find(name_space + "/" + account);
    if (found == accounts_->end()) return nullptr;
    names = found->second;
  }
  std::string key = name_space + '\n' + (names.empty() ? account : "");
  for (const std::string& name : names) key += '\n' + name;
  std::unique_lock lock(mutex_);
  auto [at, fresh] = slots_.try_emplace(std::move(key));
  Slot& slot = at->second;  // stays where it is, whatever is added
  if (!fresh) {
    changed_.wait(lock, [&] { return slot.ready; });
    return slot.keychain;
  }
  lock.unlock();
  auto keychain = ask(name_space, Json::object({{"imagePullSecrets", secret_list(names)}, {"serviceAccountName", account}}));
  lock.lock();
  slot.keychain = keychain;
  slot.ready = true;
  changed_.notify_all();
  return keychain;
}

std::shared_ptr<const Keychain> PullKeychains::ask(const std::string& name_space, const Json& spec) {
  auto secrets = kube::pull_secrets_of(client_, name_space, spec, stop_);
  std::lock_guard lock(mutex_);
  if (!secrets.ok()) {
    missing_.insert(name_space + ": " + secrets.error().message);
    return nullptr;
  }
  for (std::string& missing : secrets->missing) missing_.insert(std::move(missing));
  if (secrets->docker_configs.empty()) return nullptr;
  return std::make_shared<const Keychain>(Keychain{std::move(secrets->docker_configs)});
}

std::set<std::string> PullKeychains::missing() const {
  std::lock_guard lock(mutex_);
  return missing_;
}

}  // namespace archway::audit
