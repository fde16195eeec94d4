#include "kube/pull_secrets.h"

#include <algorithm>

#include "base/text.h"

namespace archway::kube {
namespace {

inline constexpr size_t kMaxPullSecrets = 64;  // of one pod; each is a request

// Bytes of a member of `data` (base64) or, in a manifest that nobody has applied yet, `stringData`.
Result<std::optional<std::string>> secret_value(const Json& secret, std::string_view key) {
  if (const Json* plain = secret["stringData"].find(key)) return std::optional<std::string>(plain->string());
  const Json* encoded = secret["data"].find(key);
  if (!encoded) return std::optional<std::string>();
  auto decoded = base64_decode(encoded->string());
  if (!decoded) return Error{Code::Invalid, "data[\"" + std::string(key) + "\"] is not base64"};
  return decoded;
}

std::vector<std::string> secret_names(const Json& references) {
  std::vector<std::string> names;
  for (const Json& item : references.items()) {
    const std::string& name = item["name"].string();
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end() && names.size() < kMaxPullSecrets) names.push_back(name);
  }
  return names;
}

// What a reader of "missing" needs of an error.
std::string short_reason(const Error& error) {
  if (error.code == Code::NotFound) return "not found";
  if (error.code == Code::Unauthorized) return "forbidden";
  return error.message;
}

}  // namespace

Result<std::string> docker_config_of_secret(const Json& secret) {
  std::string what = "secret " + secret["metadata"]["name"].string();
  // By key, not by type, as the kubelet looks (credentialprovider/secrets).
  auto modern = TRY(secret_value(secret, ".dockerconfigjson").context(what));
  auto old = TRY(secret_value(secret, ".dockercfg").context(what));
  if (!modern && !old) return Error{Code::Invalid, what + ": holds neither .dockerconfigjson nor .dockercfg"};
  // The parser's words would repeat what it read, which is secret.
  auto json = parse_json(modern ? *modern : *old);
  if (!json.ok() || !json->is_object()) return Error{Code::Invalid, what + ": what it holds is not a JSON object"};
  if (modern) return to_json(*json);
  return to_json(Json::object({{"auths", *json}}));
}

Result<PullSecrets> pull_secrets_of(Client& client, const std::string& name_space, const Json& pod_spec, std::stop_token stop) {
  PullSecrets result;
  std::vector<std::string> names = secret_names(pod_spec["imagePullSecrets"]);
  if (names.empty()) {
    std::string account_name = pod_spec["serviceAccountName"].string();
    if (account_name.empty()) account_name = "default";
    auto account = client.get(resources::service_accounts(), name_space, account_name, stop);
    if (account.ok()) {
      names = secret_names((*account)["imagePullSecrets"]);
    } else if (account.error().code == Code::Cancelled || account.error().code == Code::Unavailable) {
      return std::move(account).error();
    } else {
      result.missing.push_back("service account " + name_space + "/" + account_name + ": " + short_reason(account.error()));
    }
  }
  for (const std::string& name : names) {
    auto secret = client.get(resources::secrets(), name_space, name, stop);
    if (!secret.ok() && (secret.error().code == Code::Cancelled || secret.error().code == Code::Unavailable)) return std::move(secret).error();
    auto config = secret.ok() ? docker_config_of_secret(*secret) : Result<std::string>(secret.error());
    if (config.ok()) {
      result.docker_configs.push_back(*std::move(config));
    } else {
      result.missing.push_back(name_space + "/" + name + ": " + short_reason(config.error()));
    }
  }
  return result;
}

}  // namespace archway::kube
