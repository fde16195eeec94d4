#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

// Where a cluster is and who we are there: kubeconfig files as client-go merges them, and the service account of a pod.
namespace archway::kube {

// Runs a program that gives credentials (client.authentication.k8s.io, v1 and v1beta1).
struct ExecPlugin {
  std::string command, api_version, install_hint;
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;
  bool provide_cluster_info = false;
  std::string cluster_config = {};  // JSON that the plugin is given with the cluster ("" for none)
};

struct ClusterAccess {
  std::string server;            // "https://10.0.0.1:6443"
  std::string context, name_space = "default";
  std::string ca_pem, client_cert_pem, client_key_pem;  // contents, whether they came from files or data
  std::string tls_server_name, proxy_url;
  bool insecure_skip_tls_verify = false;
  std::string token, token_file; // the file is read again when it changes (service accounts rotate)
  std::string username, password;
  std::string impersonate_user;
  std::optional<ExecPlugin> exec;
  std::string impersonate_uid = {};
  std::vector<std::string> impersonate_groups = {};
  std::vector<std::pair<std::string, std::string>> impersonate_extra = {};
};

struct KubeconfigRequest {
  std::vector<std::string> paths;  // --kubeconfig, else KUBECONFIG's list, else ~/.kube/config: the caller splits; first wins per name
  std::string context;             // --context; "" for current-context
  bool in_cluster_fallback = true; // where no file is there: /var/run/secrets/kubernetes.io/serviceaccount
  std::function<std::optional<std::string>(const std::string&)> environment;
  std::string service_account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";
};

inline constexpr uint64_t kMaxKubeconfigBytes = 16 << 20;
inline constexpr uint64_t kMaxCredentialFileBytes = 1 << 20;  // a certificate bundle, a key, a token

// Relative paths are relative to their file. Errors name file, context, cluster or user: NotFound, Invalid.
Result<ClusterAccess> load_kubeconfig(const KubeconfigRequest& request);

}  // namespace archway::kube
