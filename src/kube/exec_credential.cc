#include "kube/exec_credential.h"

#include "base/process.h"
#include "base/text.h"
#include "format/json.h"

namespace archway::kube {
namespace {

inline constexpr std::chrono::milliseconds kExecTimeout = std::chrono::minutes(1);
inline constexpr size_t kMaxShownError = 400;

bool goes_in_a_header(std::string_view token) {
  for (unsigned char c : token) {
    if (c <= 0x20 || c >= 0x7f) return false;
  }
  return true;
}

Json cluster_info(const ClusterAccess& access, const ExecPlugin& plugin) {
  Json cluster = Json::object({{"server", access.server}});
  if (!access.tls_server_name.empty()) cluster.set("tls-server-name", access.tls_server_name);
  if (access.insecure_skip_tls_verify) cluster.set("insecure-skip-tls-verify", true);
  if (!access.ca_pem.empty()) cluster.set("certificate-authority-data", base64_encode(access.ca_pem));
  if (!access.proxy_url.empty()) cluster.set("proxy-url", access.proxy_url);
  auto config = parse_json(plugin.cluster_config);
  cluster.set("config", config.ok() ? *config : Json());
  return cluster;
}

}  // namespace

Result<ExecCredential> parse_exec_credential(std::string_view text, const std::string& api_version) {
  if (text.size() > kMaxExecAnswerBytes) return Error{Code::Invalid, "its answer is longer than " + human_bytes(kMaxExecAnswerBytes)};
  auto json = parse_json(text);
  if (!json.ok() || !json->is_object()) return Error{Code::Invalid, "its answer is not a JSON object"};
  const Json& answer = *json;
  if (answer["kind"].string() != "ExecCredential") return Error{Code::Invalid, "its answer is not of kind ExecCredential"};
  if (answer["apiVersion"].string() != api_version) return Error{Code::Invalid, "its answer is not of version " + api_version};
  const Json& status = answer["status"];
  if (!status.is_object()) return Error{Code::Invalid, "its answer has no status"};
  ExecCredential credential;
  credential.token = status["token"].string();
  credential.client_cert_pem = status["clientCertificateData"].string();
  credential.client_key_pem = status["clientKeyData"].string();
  if (credential.client_cert_pem.empty() != credential.client_key_pem.empty()) return Error{Code::Invalid, "its answer has a certificate or a key, not both"};
  if (credential.token.empty() && credential.client_cert_pem.empty()) return Error{Code::Invalid, "its answer has neither a token nor a certificate"};
  if (!goes_in_a_header(credential.token)) return Error{Code::Invalid, "its token has characters that no token has"};
  const Json& expires = status["expirationTimestamp"];
  if (!expires.is_null()) {
    credential.expires = parse_rfc3339(expires.string());
    if (!credential.expires) return Error{Code::Invalid, "its expirationTimestamp is no RFC 3339 time"};
  }
  return credential;
}

std::string exec_info(const ClusterAccess& access, const ExecPlugin& plugin) {
  Json spec = Json::object({{"interactive", false}});
  if (plugin.provide_cluster_info) spec.set("cluster", cluster_info(access, plugin));
  return to_json(Json::object({{"kind", "ExecCredential"}, {"apiVersion", plugin.api_version}, {"spec", spec}}));
}

Result<ExecCredential> run_exec_plugin(const ClusterAccess& access, const ExecPlugin& plugin, std::stop_token stop) {
  ProcessOptions options;
  options.timeout = kExecTimeout;
  options.output_limit_bytes = kMaxExecAnswerBytes;
  for (const auto& [name, value] : plugin.environment) options.more_environment.push_back(name + "=" + value);
  options.more_environment.push_back("KUBERNETES_EXEC_INFO=" + exec_info(access, plugin));
  std::vector<std::string> command = {plugin.command};
  command.insert(command.end(), plugin.arguments.begin(), plugin.arguments.end());
  std::string what = "credential plugin " + plugin.command;
  auto result = run_process(command, options, stop);
  if (!result.ok() && result.error().code == Code::NotFound) return Error{Code::NotFound, what + ": no such program", plugin.install_hint};
  if (!result.ok()) return std::move(result).error().within(what);
  // Standard output may hold a secret even then; standard error is for people.
  if (result->exit_code != 0) {
    std::string why(trim(result->err));
    return Error{Code::Unauthorized, what + " failed with exit code " + std::to_string(result->exit_code) + (why.empty() ? "" : ": " + why.substr(0, kMaxShownError)),
                 "the kubeconfig takes its credentials from that program: run it by hand"};
  }
  return parse_exec_credential(result->out, plugin.api_version).context(what);
}

}  // namespace archway::kube
