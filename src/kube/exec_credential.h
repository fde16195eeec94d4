#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "kube/kubeconfig.h"

// What credential plugins say (client.authentication.k8s.io, ExecCredential). Private to the client.
namespace archway::kube {

struct ExecCredential {
  std::string token, client_cert_pem, client_key_pem;
  std::optional<Time> expires;
};

inline constexpr uint64_t kMaxExecAnswerBytes = 1 << 20;

// The plugin's standard output. Invalid: another version than asked for, no credential in it, a certificate without its key.
// Never repeats what it read: it may hold a secret.
Result<ExecCredential> parse_exec_credential(std::string_view text, const std::string& api_version);

// What the plugin finds in KUBERNETES_EXEC_INFO.
std::string exec_info(const ClusterAccess& access, const ExecPlugin& plugin);

// Runs it, a minute at most. NotFound with the plugin's own hint where it is not installed; Unauthorized where it fails.
Result<ExecCredential> run_exec_plugin(const ClusterAccess& access, const ExecPlugin& plugin, std::stop_token stop = {});

}  // namespace archway::kube
