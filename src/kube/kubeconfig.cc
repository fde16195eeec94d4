#include "kube/kubeconfig.h"

#include <algorithm>
#include <set>

#include "base/fd.h"
#include "base/text.h"
#include "kube/kubeconfig_file.h"

namespace archway::kube {
namespace {

inline constexpr std::string_view kExecExtension = "client.authentication.k8s.io/exec";

// Reads members of one entry; errors say which.
class EntryReader {
 public:
  EntryReader(const KubeconfigEntry& entry, std::string what) : entry_(entry), what_(std::move(what)) {}

  Result<std::string> text(std::string_view key) const {
    const Json& value = entry_.value[key];
    if (!value.is_null() && !value.is_string()) return fault(std::string(key) + " must be a string");
    return value.string();
  }
  bool flag(std::string_view key) const { return entry_.value[key].boolean(); }

  // `key`-data in base64, else what the file that `key` names holds; "" where there is neither.
  Result<std::string> contents(const std::string& key) const {
    std::string data = TRY(text(key + "-data"));
    if (!data.empty()) {
      std::erase_if(data, [](unsigned char c) { return c <= ' '; });  // YAML folds long lines
      auto decoded = base64_decode(data);
      if (!decoded) return fault(key + "-data is not base64");
      return *decoded;
    }
    std::string path = entry_.resolve(TRY(text(key)));
    if (path.empty()) return std::string();
    return read_file(path, kMaxCredentialFileBytes).context(what_ + ": " + key);
  }
  // The same, and it must be PEM.
  Result<std::string> pem(const std::string& key) const {
    std::string text = TRY(contents(key));
    if (!text.empty() && text.find("-----BEGIN ") == std::string::npos) return fault(key + " is not in PEM format");
    return text;
  }

  Error fault(const std::string& why) const { return Error{Code::Invalid, what_ + " in " + entry_.file + ": " + why}; }
  const KubeconfigEntry& entry() const { return entry_; }

 private:
  const KubeconfigEntry& entry_;
  std::string what_;
};

Result<void> read_cluster(const EntryReader& cluster, ClusterAccess& access) {
  access.server = TRY(cluster.text("server"));
  if (access.server.empty()) return cluster.fault("server is missing");
  access.tls_server_name = TRY(cluster.text("tls-server-name"));
  access.proxy_url = TRY(cluster.text("proxy-url"));
  access.insecure_skip_tls_verify = cluster.flag("insecure-skip-tls-verify");
  access.ca_pem = TRY(cluster.pem("certificate-authority"));
  if (access.insecure_skip_tls_verify && !access.ca_pem.empty()) return cluster.fault("a certificate authority and insecure-skip-tls-verify exclude each other");
  return {};
}

// The cluster's configuration for plugins (ExecCredential's spec.cluster.config).
std::string exec_extension(const Json& cluster) {
  for (const Json& item : cluster["extensions"].items()) {
    if (item["name"].string() == kExecExtension) return to_json(item["extension"]);
  }
  return {};
}

Result<ExecPlugin> read_exec(const EntryReader& user, const Json& exec, const Json& cluster) {
  ExecPlugin plugin;
  plugin.command = exec["command"].string();
  if (plugin.command.empty()) return user.fault("exec: command is missing");
  // Only a command with a slash is a path; others are looked up in PATH.
  if (plugin.command.find('/') != std::string::npos) plugin.command = user.entry().resolve(plugin.command);
  plugin.api_version = exec["apiVersion"].string();
  if (plugin.api_version != "client.authentication.k8s.io/v1" && plugin.api_version != "client.authentication.k8s.io/v1beta1") {
    return user.fault("exec: apiVersion \"" + plugin.api_version + "\" is not one of client.authentication.k8s.io/v1 and /v1beta1");
  }
  if (exec["interactiveMode"].string() == "Always") {
    return Error{Code::Unsupported, user.fault("exec: the plugin " + plugin.command + " wants a terminal (interactiveMode: Always)").message};
  }
  plugin.install_hint = exec["installHint"].string();
  plugin.arguments = exec["args"].strings();
  for (const Json& variable : exec["env"].items()) {
    const std::string& name = variable["name"].string();
    if (name.empty() || name.find('=') != std::string::npos) return user.fault("exec: env: \"" + name + "\" is no name of a variable");
    plugin.environment.emplace_back(name, variable["value"].string());
  }
  plugin.provide_cluster_info = exec["provideClusterInfo"].boolean();
  if (plugin.provide_cluster_info) plugin.cluster_config = exec_extension(cluster);
  return plugin;
}

Result<void> read_impersonation(const EntryReader& user, ClusterAccess& access) {
  access.impersonate_user = TRY(user.text("as"));
  access.impersonate_uid = TRY(user.text("as-uid"));
  access.impersonate_groups = user.entry().value["as-groups"].strings();
  for (const JsonMember& extra : user.entry().value["as-user-extra"].members()) {
    for (const std::string& value : extra.value.strings()) access.impersonate_extra.emplace_back(extra.key, value);
  }
  bool more = !access.impersonate_uid.empty() || !access.impersonate_groups.empty() || !access.impersonate_extra.empty();
  if (more && access.impersonate_user.empty()) return user.fault("as-uid, as-groups and as-user-extra need \"as\"");
  return {};
}

// As client-go's validateAuthInfo has it: one way of saying who we are, besides certificates.
Result<void> check_one_way(const EntryReader& user, const ClusterAccess& access) {
  bool token = !access.token.empty() || !access.token_file.empty(), basic = !access.username.empty() || !access.password.empty();
  if (token && basic) return user.fault("both a token and a username are given; only one is allowed");
  if (access.client_cert_pem.empty() != access.client_key_pem.empty()) {
    return user.fault(access.client_key_pem.empty() ? "client-certificate needs client-key" : "client-key needs client-certificate");
  }
  return {};
}

Result<void> read_user(const EntryReader& user, const Json& cluster, ClusterAccess& access) {
  const Json& value = user.entry().value;
  access.token = TRY(user.text("token"));
  access.token_file = user.entry().resolve(TRY(user.text("tokenFile")));
  access.username = TRY(user.text("username"));
  access.password = TRY(user.text("password"));
  access.client_cert_pem = TRY(user.pem("client-certificate"));
  access.client_key_pem = TRY(user.pem("client-key"));
  TRY(read_impersonation(user, access));
  TRY(check_one_way(user, access));
  if (value["exec"].is_object()) access.exec = TRY(read_exec(user, value["exec"], cluster));
  if (value["auth-provider"].is_object()) {
    return Error{Code::Unsupported, user.fault("auth-provider \"" + value["auth-provider"]["name"].string() + "\" is no longer supported by anybody").message,
                 "use an exec plugin"};
  }
  return {};
}

std::string names_of(const std::map<std::string, KubeconfigEntry, std::less<>>& entries) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries) names.push_back(name);
  return join(names, ", ");
}

Result<ClusterAccess> choose(const Kubeconfig& config, const std::string& wanted) {
  std::string name = wanted.empty() ? config.current_context : wanted;
  if (name.empty()) return Error{Code::Invalid, "the kubeconfig has no current-context", "name one with --context: " + names_of(config.contexts)};
  auto context = config.contexts.find(name);
  if (context == config.contexts.end()) return Error{Code::NotFound, "the kubeconfig has no context \"" + name + "\"", "it has: " + names_of(config.contexts)};
  EntryReader reader(context->second, "context \"" + name + "\"");
  std::string cluster_name = TRY(reader.text("cluster")), user_name = TRY(reader.text("user"));
  auto cluster = config.clusters.find(cluster_name);
  if (cluster == config.clusters.end()) return Error{Code::NotFound, reader.fault("there is no cluster \"" + cluster_name + "\"").message};
  ClusterAccess access;
  access.context = name;
  TRY(read_cluster(EntryReader(cluster->second, "cluster \"" + cluster_name + "\""), access));
  std::string name_space = TRY(reader.text("namespace"));
  if (!name_space.empty()) access.name_space = name_space;
  if (user_name.empty()) return access;  // anonymous
  auto user = config.users.find(user_name);
  if (user == config.users.end()) return Error{Code::NotFound, reader.fault("there is no user \"" + user_name + "\"").message};
  TRY(read_user(EntryReader(user->second, "user \"" + user_name + "\""), cluster->second.value, access));
  return access;
}

// What the kubelet puts into every pod (client-go, rest.InClusterConfig). nullopt where we are in none.
Result<std::optional<ClusterAccess>> in_cluster(const KubeconfigRequest& request) {
  auto variable = [&](const char* name) { return request.environment ? request.environment(name).value_or("") : std::string(); };
  std::string host = variable("KUBERNETES_SERVICE_HOST"), port = variable("KUBERNETES_SERVICE_PORT");
  std::string token_file = request.service_account_dir + "/token";
  if (host.empty() || port.empty() || !path_exists(token_file)) return std::optional<ClusterAccess>();
  ClusterAccess access;
  access.server = "https://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
  access.context = "in-cluster";
  access.token_file = token_file;
  access.ca_pem = TRY(read_file(request.service_account_dir + "/ca.crt", kMaxCredentialFileBytes).context("reading the service account's certificate authority"));
  auto name_space = read_file(request.service_account_dir + "/namespace", kMaxCredentialFileBytes);
  std::string found = variable("POD_NAMESPACE");
  if (found.empty() && name_space.ok()) found = std::string(trim(*name_space));
  if (!found.empty()) access.name_space = found;
  return std::optional<ClusterAccess>(std::move(access));
}

bool is_empty(const Kubeconfig& config) { return config.current_context.empty() && config.clusters.empty() && config.contexts.empty() && config.users.empty(); }

}  // namespace

Result<ClusterAccess> load_kubeconfig(const KubeconfigRequest& request) {
  Kubeconfig merged;
  std::set<std::string> seen;
  bool found = false;
  for (const std::string& path : request.paths) {
    if (path.empty() || !seen.insert(path).second) continue;
    auto text = read_file(path, kMaxKubeconfigBytes);
    if (!text.ok() && text.error().code == Code::NotFound) continue;
    if (!text.ok()) return std::move(text).error();
    found = true;
    merged.merge(TRY(parse_kubeconfig(*text, path)));
  }
  if (!is_empty(merged)) return choose(merged, request.context);
  if (request.in_cluster_fallback && request.context.empty()) {
    auto access = TRY(in_cluster(request));
    if (access) return *access;
  }
  std::string tried = join(request.paths, ", ");
  if (found) return Error{Code::Invalid, tried + ": names no cluster"};
  return Error{Code::NotFound, tried.empty() ? "no kubeconfig, and this is no pod of a cluster" : "no kubeconfig: there is no " + tried,
               "name one with --kubeconfig or KUBECONFIG"};
}

}  // namespace archway::kube
