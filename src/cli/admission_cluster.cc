#include "cli/admission_cluster.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "admission/credential_provider.h"
#include "admission/pod_facts.h"
#include "admission/review_events.h"
#include "base/fd.h"
#include "base/log.h"
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

// A file, or a folder of them, by name (the kubelet's since 1.34).
Result<std::vector<std::string>> provider_config_files(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (auto at = std::filesystem::directory_iterator(path, error); !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    std::string extension = at->path().extension();
    if (!at->is_directory(error) && (extension == ".json" || extension == ".yaml" || extension == ".yml")) files.push_back(at->path());
  }
  if (error) return Error{Code::Io, "listing " + path + ": " + error.message()};
  if (files.empty()) return Error{Code::NotFound, "no .json, .yaml or .yml file in " + path};
  std::sort(files.begin(), files.end());
  return files;
}

Result<std::shared_ptr<CredentialProviders>> credential_providers(const Arguments& arguments) {
  auto file = arguments.one("image-credential-provider-config"), folder = arguments.one("image-credential-provider-bin-dir");
  if (file.has_value() != folder.has_value()) return usage_error("--image-credential-provider-config and --image-credential-provider-bin-dir go together");
  if (!file) return std::shared_ptr<CredentialProviders>();
  std::vector<CredentialProvider> providers;
  auto configs = TRY(provider_config_files(*file));
  for (const std::string& config : configs) {
    std::string text = TRY(read_file(config, kMaxProviderConfigBytes));
    auto more = TRY(parse_provider_config(text).context(config));
    for (CredentialProvider& provider : more) {
      bool twice = std::any_of(providers.begin(), providers.end(), [&](const CredentialProvider& other) { return other.name == provider.name; });
      if (twice) return Error{Code::Invalid, config + ": provider \"" + provider.name + "\" is given twice"};
      if (provider.token == CredentialProvider::Token::Required) {
        log_warn("credential provider " + provider.name + " is not asked: it requires a token that is bound to the pod, and a pod that is being admitted has none yet");
      }
      providers.push_back(std::move(provider));
    }
  }
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
      {"gate-timeout", 0, Flag::Kind::One, "DURATION", "how long a gated pod waits for registries, from its creation on (5m); then it goes as it is"},
      {"own-certificate", 0, Flag::Kind::Bool, "", "make the certificate, keep it in a Secret, renew it, and put its authority into the webhook configuration"},
      {"read-logs", 0, Flag::Kind::Bool, "", "look for exec format errors in the logs of crashed containers, too"},
      {"namespace", 'n', Flag::Kind::One, "NAMESPACE", "where the Secret and the Lease are (the pod's own)"},
      {"name", 0, Flag::Kind::One, "NAME", "of the webhook configuration, the Service and the Lease (archway-admission); the Secret is NAME-tls"},
      {"certificate-name", 0, Flag::Kind::Many, "NAME", "what the webhook is called by, where it is not the Service"},
      {"image-credential-provider-config", 0, Flag::Kind::One, "FILE|FOLDER", "the kubelet's CredentialProviderConfig: credentials as the nodes have them"},
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
  side.lift_gates = side.watch_crashes = side.record_events = side.watch_nodes = controllers;
  side.read_logs = arguments.has("read-logs");
  if (auto text = arguments.one("gate-timeout")) {
    auto patience = parse_timeout(*text);
    if (!patience) return usage_error("archway admission serve: --gate-timeout " + *text + " is no duration; expected one like 5m or 90s");
    side.gate_patience = *patience;
  }
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
  options.place_of_node = [parts = started.get()](const std::string& node) { return parts->place_of_node(node); };
  if (EventRecorder* events = started->events()) {
    options.decided = [events](const ReviewRequest& request, const Decision& decision) { tell_of_review(*events, request, decision); };
  }
  options.more_metrics = [parts = started.get()] { return parts->metrics_text(); };
  return started;
}

}  // namespace archway::cli
