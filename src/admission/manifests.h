#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "admission/policy.h"
#include "format/json.h"

// The objects that install the webhook, in the order in which they are applied: for `kubectl apply -f -`, as a kustomization, as a Helm
// chart. Pure: the same options give the same bytes.
namespace archway::admission {

inline constexpr int kMinTimeoutSeconds = 1, kMaxTimeoutSeconds = 30;  // admissionregistration.k8s.io

// Kubernetes 1.N: what the API server has to be for it.
inline constexpr int kMinMinor = 20;
inline constexpr int kPolicyMinor = 21;     // policy/v1
inline constexpr int kGatesMinor = 27;      // pods' scheduling gates, without a feature gate of the server's own
inline constexpr int kConditionsMinor = 27; // matchConditions of webhooks: before, a server refuses the unknown field, or warns of it

// Of what stands in deploy/. Nobody has pushed that image: who installs it makes one (tools/make-image) and says so with --image.
inline constexpr const char* kDefaultVersion = "0.1.0";
inline constexpr const char* kDefaultImage = "docker.io/archway/archway:0.1.0";

struct ManifestOptions {
  std::string name_space = "archway-system", name = "archway-admission";
  std::string image;
  int64_t replicas = 2;
  // A webhook outside the cluster: this URL is called (https, a path), and nothing else is installed.
  std::string url = {}, ca_pem = {};
  enum class Failure { Ignore, Fail } failure = Failure::Ignore;
  int64_t timeout_seconds = 10;
  enum class Certificates { Own, CertManager } certificates = Certificates::Own;
  bool owners = false;        // Deployments and such are changed, too, so that DaemonSets are covered
  bool gates = false;         // --on-unknown gate: needs the right to change pods
  bool pull_secrets = false;  // needs the right to read Secrets
  bool read_logs = false;     // needs the right to read pods' logs
  std::vector<std::string> ignored_namespaces = {};  // besides kube-system and its own
  std::vector<ToleratedTaint> tolerate = {};         // its own pods go to those nodes, too
  std::vector<std::string> serve_flags = {};         // "--prefer=arm64": as they are
  std::vector<std::string> image_pull_secrets = {};  // in its namespace, for its own image
  std::string priority_class = {};
  int kube_minor = 0;         // made for Kubernetes 1.N; 0: for any since kConditionsMinor
};

// "1.28", "v1.28.3+k3s1": 28. Invalid where it is none, or older than kMinMinor.
Result<int> parse_kube_version(std::string_view text);

// Invalid names what cannot be: a name that is none, a URL that is not https.
Result<std::vector<Json>> admission_manifests(const ManifestOptions& options);
// Documents with "---" between them.
std::string manifests_yaml(const std::vector<Json>& objects);
// In the order in which they are to be deleted: nobody may call a webhook that is gone.
std::vector<Json> deletion_order(std::vector<Json> objects);

// Files by their path.
using Files = std::map<std::string, std::string>;
Result<Files> kustomization(const ManifestOptions& options);
Result<Files> helm_chart(const ManifestOptions& options, const std::string& version);

}  // namespace archway::admission
