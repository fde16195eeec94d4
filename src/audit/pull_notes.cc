#include "audit/pull_notes.h"

#include <algorithm>
#include <iterator>

#include "kube/pull_secrets.h"

namespace archway::audit {

namespace {

// Manifests often leave the namespace to whoever applies them; then it is "default" for both, or the same for both.
std::string place(std::string_view name_space, std::string_view name) { return std::string(name_space == "default" ? "" : name_space) + "/" + std::string(name); }

std::string place_of_object(const Value& object) { return place(object["metadata"]["namespace"].scalar(), object["metadata"]["name"].scalar()); }

std::vector<std::string> names_in(const Value& list) {
  std::vector<std::string> names;
  list.each_item([&](const Value& item) {
    std::string name(item["name"].scalar());
    if (!name.empty() && names.size() < kMaxNotedNames && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  });
  return names;
}

bool holds_docker_config(const Value& secret) {
  for (std::string_view list : {"data", "stringData"}) {
    for (std::string_view key : {".dockerconfigjson", ".dockercfg"}) {
      if (secret[list].find(key)) return true;
    }
  }
  return false;
}

void add_new(std::vector<std::string>& to, std::vector<std::string> from) {
  for (std::string& each : from) {
    if (std::find(to.begin(), to.end(), each) == to.end()) to.push_back(std::move(each));
  }
}

}  // namespace

std::string PullNotes::note_secret(const Value& secret) {
  if (!holds_docker_config(secret) || secrets_.size() >= kMaxNotedSecrets) return {};
  auto config = kube::docker_config_of_secret(json_of_value(secret));
  if (!config.ok()) return config.error().message;
  add_new(secrets_[place_of_object(secret)], {*std::move(config)});
  return {};
}

void PullNotes::note_account(const Value& account) {
  std::vector<std::string> names = names_in(account["imagePullSecrets"]);
  if (!names.empty()) add_new(accounts_[place_of_object(account)], std::move(names));
}

uint32_t PullNotes::note_pod(const Value& pod_spec, std::string_view name_space) {
  Need need{std::string(name_space), std::string(pod_spec["serviceAccountName"].scalar()), names_in(pod_spec["imagePullSecrets"])};
  if (need.account.empty()) need.account = "default";
  return number_of(std::move(need));
}

uint32_t PullNotes::number_of(Need need) {
  std::string key = place(need.name_space, need.account);
  for (const std::string& name : need.names) key.append("\n").append(name);
  auto [at, fresh] = numbers_.try_emplace(std::move(key), static_cast<uint32_t>(needs_.size()));
  if (fresh) needs_.push_back(std::move(need));
  return at->second;
}

std::vector<uint32_t> PullNotes::merge(PullNotes other) {
  for (auto& [name, configs] : other.secrets_) add_new(secrets_[name], std::move(configs));
  for (auto& [name, names] : other.accounts_) add_new(accounts_[name], std::move(names));
  std::vector<uint32_t> moved(other.needs_.size());
  for (size_t i = 1; i < moved.size(); ++i) moved[i] = number_of(std::move(other.needs_[i]));
  return moved;
}

// As the kubelet has it: the pod's own secrets, else (as admission would fill in) its service account's.
Keychain PullNotes::keychain(uint32_t number) const {
  Keychain keychain;
  const Need& need = needs_[number];
  auto account = accounts_.find(place(need.name_space, need.account));
  const std::vector<std::string>& names = need.names.empty() && account != accounts_.end() ? account->second : need.names;
  for (const std::string& name : names) {
    auto secret = secrets_.find(place(need.name_space, name));
    if (secret != secrets_.end()) std::copy(secret->second.begin(), secret->second.end(), std::back_inserter(keychain.docker_configs));
  }
  return keychain;
}

}  // namespace archway::audit
