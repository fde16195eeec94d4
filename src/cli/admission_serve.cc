#include <filesystem>

#include "admission/pull_keychains.h"
#include "admission/server.h"
#include "base/text.h"
#include "cli/admission_cluster.h"
#include "cli/admission_commands.h"
#include "cli/cluster_live.h"
#include "cli/image_lookup.h"
#include "cli/listen.h"
#include "kube/client.h"

namespace archway::cli {

namespace {

using namespace admission;

constexpr size_t kMaxInFlightPerHost = 48;
// No review takes two seconds: a pod that passes as it is is better than one that waits.
constexpr std::string_view kDefaultDeadline = "1.8s";

// The cluster whose pull secrets are read, found as all verbs find theirs. None is fine, unless one was asked for.
Result<std::shared_ptr<kube::Client>> cluster_of(const Arguments& arguments, const Context& context) {
  std::string kubeconfig = context.environment("KUBECONFIG").value_or("");
  bool asked = arguments.has("kubeconfig") || arguments.has("context") || !kubeconfig.empty() || context.environment("KUBERNETES_SERVICE_HOST").has_value();
  if (!asked) {
    std::error_code error;
    auto home = context.environment("HOME");
    if (!home || !std::filesystem::exists(*home + "/.kube/config", error)) return std::shared_ptr<kube::Client>();
  }
  return connect_cluster(arguments, context);
}

void allow(AddressPolicy& reach, const std::string& host) {
  auto range = AddressRange::parse(host);
  if (range.ok()) {
    reach.allowed.push_back(*range);
  } else {
    reach.allowed_hosts.push_back(host);
  }
}

// "localhost:5000", "[::1]:5000" without its port.
std::string without_port(const std::string& host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

// Pods name images, and whoever may create pods may name any address: only registries are reached.
Result<ImageLookupOptions> lookup_options(const Arguments& arguments, const Context& context) {
  ImageLookupOptions options = TRY(image_lookup_options(arguments, context));
  AddressPolicy reach = AddressPolicy::no_local();
  for (const std::string& host : arguments.many("allow-host")) allow(reach, host);
  // Whoever runs this has named these.
  for (const std::string& host : options.registry.plain_http) allow(reach, without_port(host));
  for (const auto& [host, url] : options.registry.mirrors) {
    auto mirror = parse_url(url);
    if (mirror.ok()) allow(reach, without_port(mirror->host));
  }
  options.registry.http.reach = std::move(reach);
  // A review waits for a moment only; what comes later is for the next one.
  options.registry.max_attempts = 2;
  options.registry.http.stall_timeout = std::chrono::seconds(10);
  // A whole cluster that restarts names hundreds of images of one host: at two round trips of 50 ms each, 500 are known after a second.
  options.max_in_flight_per_host = kMaxInFlightPerHost;
  if (auto folder = arguments.one("cache")) options.cache_dir = *folder == "none" ? "" : *folder;
  return options;
}

Result<std::chrono::milliseconds> deadline_of(const Arguments& arguments) {
  std::string text = arguments.one_or("deadline", kDefaultDeadline);
  auto deadline = parse_timeout(text);
  if (!deadline || deadline->count() == 0) return usage_error("archway admission serve: --deadline " + text + " is no duration; expected one like 2s or 500ms");
  return *deadline;
}

Result<int> serve(const Arguments& arguments, const Context& context) {
  WebhookOptions options;
  options.policy = TRY(admission_policy(arguments));
  if (auto own = context.environment("POD_NAMESPACE")) options.policy.ignored_namespaces.push_back(*own);
  ListenAddress address = TRY(parse_listen_address(arguments.one_or("listen", ":8443")));
  options.http.host = address.host;
  options.http.port = address.port;
  options.http.tls_cert_file = arguments.one_or("tls-cert-file", "");
  options.http.tls_key_file = arguments.one_or("tls-private-key-file", "");
  if (options.http.tls_cert_file.empty() != options.http.tls_key_file.empty()) return usage_error("--tls-cert-file and --tls-private-key-file go together");
  if (options.http.tls_cert_file.empty() && !arguments.has("insecure-http")) {
    return usage_error("archway admission serve needs --tls-cert-file and --tls-private-key-file (or --insecure-http, behind something that ends TLS)");
  }
  options.deadline = TRY(deadline_of(arguments));
  ImageLookupOptions lookup = TRY(lookup_options(arguments, context));
  options.lookup = TRY(ImageLookup::open(std::move(lookup)));
  auto cluster = TRY(cluster_of(arguments, context));
  if (cluster) {
    auto keychains = std::make_shared<PullKeychains>(cluster);
    options.keychain = [keychains](const ReviewRequest& request, const Json& spec, std::chrono::steady_clock::time_point deadline) {
      return keychains->of(request.name_space, spec, request.kind == "Pod", deadline);
    };
  }
  std::string log = arguments.one_or("log", "changes");
  if (log != "changes" && log != "all" && log != "none") return usage_error("archway admission serve: --log " + log + ": expected changes, all or none");
  options.log_all = log == "all";
  if (log != "none") options.log = [&context](std::string_view line) { context.err(std::string(line) + "\n"); };
  raise_descriptor_limit();
  auto side = TRY(start_cluster_side(arguments, context, cluster, options));
  bool tls = !options.http.tls_cert_file.empty();
  auto server = TRY(WebhookServer::start(std::move(options)));
  std::string url = std::string(tls ? "https" : "http") + "://" + (address.host.find(':') == std::string::npos ? address.host : "[" + address.host + "]") + ":" + std::to_string(server->port());
  context.out(arguments.has("json") ? to_json(Json::object({{"listening", url}, {"port", server->port()}})) + "\n" : "listening on " + url + "\n");
  wait_for_stop(context.stop);
  return kOk;
}

}  // namespace

Command admission_serve_command() {
  Command command;
  command.name = "admission serve";
  command.summary = "Serve the webhook that keeps pods off nodes where their images do not run";
  command.usage = "archway admission serve --tls-cert-file FILE --tls-private-key-file FILE [flags]";
  command.description =
      "Answers POST /mutate with admission.k8s.io/v1, and GET /healthz, /readyz and /metrics, until SIGINT or SIGTERM. Images are looked up\n"
      "in their registries, once, and remembered. The certificate is read again when its files change. The first line on standard output is\n"
      "the address; standard error gets a JSON object per review that was not simply let through.\n\n"
      "  archway admission serve --listen :8443 --tls-cert-file tls.crt --tls-private-key-file tls.key --tolerate arch=arm64:NoSchedule";
  command.flags = admission_policy_flags();
  for (Flag& flag : lookup_flags()) command.flags.push_back(std::move(flag));
  for (Flag& flag : cluster_side_flags()) command.flags.push_back(std::move(flag));
  for (Flag flag : {Flag{"listen", 0, Flag::Kind::One, "HOST:PORT", "where to listen (:8443); port 0 takes a free one"},
                    Flag{"tls-cert-file", 0, Flag::Kind::One, "FILE", "certificate chain, PEM"},
                    Flag{"tls-private-key-file", 0, Flag::Kind::One, "FILE", "its private key, PEM"},
                    Flag{"insecure-http", 0, Flag::Kind::Bool, "", "serve without TLS"},
                    Flag{"deadline", 0, Flag::Kind::One, "DURATION", "how long a review waits for registries (1.8s), and never over half of the API server's timeout"},
                    Flag{"cache", 0, Flag::Kind::One, "FOLDER", "where to keep what was learnt of images; none: in memory only"},
                    Flag{"allow-host", 0, Flag::Kind::Many, "HOST|RANGE", "a registry on this machine, its link or the cloud's own addresses, which are not asked otherwise"},
                    Flag{"kubeconfig", 0, Flag::Kind::One, "FILE", "the cluster whose pull secrets are read, in place of KUBECONFIG, ~/.kube/config and a pod's own"},
                    Flag{"context", 0, Flag::Kind::One, "NAME", "the kubeconfig's context, in place of the current one"},
                    Flag{"log", 0, Flag::Kind::One, "WHICH", "reviews to log: changes (all but those that passed as they were), all, none"},
                    Flag{"json", 0, Flag::Kind::Bool, "", "say the address as a JSON object"}}) {
    command.flags.push_back(std::move(flag));
  }
  command.run = serve;
  return command;
}

}  // namespace archway::cli
