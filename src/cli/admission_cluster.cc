#include "cli/admission_cluster.h"

#include <unistd.h>

#include <random>

#include "admission/credential_provider.h"
#include "admission/pod_facts.h"
#include "base/fd.h"
#include "base/text.h"

namespace archway::cli {

namespace {

using namespace admission;

constexpr const char* kDefaultName = "archway-admission";

// The pod's name, and something that differs after a restart: a Lease must not take us for what we were.
std::string identity(const Context& context) {
  char host[256] = "archway";
  ::gethostname(host, sizeof host - 1);
  std::random_device random;
  char suffix[16];
  snprintf(suffix, sizeof suffix, "_%08x", random());
  return context.environment("POD_NAME").value_or(host) + suffix;
}

Result<std::shared_ptr<CredentialProviders>> credential_providers(const Arguments& arguments) {
  auto file = arguments.one("image-credential-provider-config"), folder = arguments.one("image-credential-provider-bin-dir");
  if (file.has_value() != folder.has_value()) return usage_error("--image-credential-provider-config and --image-credential-provider-bin-dir go together");
  if (!file) return std::shared_ptr<CredentialProviders>();
  std::string text = TRY(read_file(*file, kMaxProviderConfigBytes));
  auto providers = TRY(parse_provider_config(text).context(*file));
  CredentialProvidersOptions options;
  options.bin_dir = *folder;
  return std::make_shared<CredentialProviders>(std::move(providers), options);
}

// Pull secrets first, then the node's own, as the kubelet has it.
void add_providers(std::shared_ptr<CredentialProviders> providers, WebhookOptions& options) {
  auto secrets = std::move(options.keychain);
  options.keychain = [providers, secrets](const ReviewRequest& request, const Json& spec, std::chrono::steady_clock::time_point deadline) {
    Keychain keychain = secrets ? secrets(request, spec, deadline) : Keychain();
    auto images = images_to_ask(spec);
    if (!images.ok()) return keychain;
    for (const std::string& image : *images) {
      for (std::string& document : providers->docker_configs_until(image, deadline)) keychain.docker_configs.push_back(std::move(document));
    }
    return keychain;
  };
}

std::vector<std::string> service_names(const std::string& name, const std::string& name_space) {
  std::string service = name + "." + name_space + ".svc";
  return {service, service + ".cluster.local"};
}

}  // namespace

std::vector<Flag> cluster_side_flags() {
  return {
      {"controllers", 0, Flag::Kind::Bool, "", "lift the scheduling gates of pods whose registries answer again, and watch for crashes (one replica does, by a Lease)"},
      {"own-certificate", 0, Flag::Kind::Bool, "", "make the certificate, keep it in a Secret, renew it, and put its authority into the webhook configuration"},
      {"read-logs", 0, Flag::Kind::Bool, "", "look for exec format errors in the logs of crashed containers, too"},
      {"namespace", 'n', Flag::Kind::One, "NAMESPACE", "where the Secret and the Lease are (the pod's own)"},
      {"name", 0, Flag::Kind::One, "NAME", "of the webhook configuration, the Service and the Lease (archway-admission); the Secret is NAME-tls"},
      {"certificate-name", 0, Flag::Kind::Many, "NAME", "what the webhook is called by, where it is not the Service"},
      {"image-credential-provider-config", 0, Flag::Kind::One, "FILE", "the kubelet's CredentialProviderConfig: credentials as the nodes have them"},
      {"image-credential-provider-bin-dir", 0, Flag::Kind::One, "FOLDER", "where its plugins are"},
  };
}

Result<std::unique_ptr<ClusterSide>> start_cluster_side(const Arguments& arguments, const Context& context, std::shared_ptr<kube::Client> cluster, WebhookOptions& options) {
  auto providers = TRY(credential_providers(arguments));
  if (providers) add_providers(providers, options);
  bool controllers = arguments.has("controllers"), own = arguments.has("own-certificate");
  if (!controllers && !own) return std::unique_ptr<ClusterSide>();
  if (!cluster) return usage_error("--controllers and --own-certificate need a cluster: --kubeconfig FILE, where this is no pod");
  std::string name = arguments.one_or("name", kDefaultName);
  ClusterSideOptions side;
  side.client = cluster;
  side.name_space = arguments.one_or("namespace", context.environment("POD_NAMESPACE").value_or(cluster->access().name_space));
  side.lease = name;
  side.identity = identity(context);
  side.lift_gates = side.watch_crashes = side.record_events = controllers;
  side.read_logs = arguments.has("read-logs");
  side.policy = options.policy;
  side.lookup = options.lookup;
  if (options.keychain) {
    side.keychain = [keychain = options.keychain](const std::string& name_space, const Json& spec, std::chrono::steady_clock::time_point deadline) {
      ReviewRequest request;
      request.kind = "Pod";
      request.name_space = name_space;
      return keychain(request, spec, deadline);
    };
  }
  if (own) {
    ClusterCertificate certificate;
    certificate.secret = name + "-tls";
    certificate.webhook = name;
    certificate.names = arguments.many("certificate-name");
    if (certificate.names.empty()) certificate.names = service_names(name, side.name_space);
    certificate.cert_file = options.http.tls_cert_file;
    certificate.key_file = options.http.tls_key_file;
    side.certificate = std::move(certificate);
  }
  std::unique_ptr<ClusterSide> started = ClusterSide::start(std::move(side));
  if (own) TRY(started->wait_for_certificate(context.stop));
  options.more_metrics = [parts = started.get()] { return parts->metrics_text(); };
  return started;
}

}  // namespace archway::cli
