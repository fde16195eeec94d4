#include "admission/manifests.h"

#include "base/fd.h"
#include "base/text.h"
#include "cli/admission_commands.h"
#include "format/json.h"

namespace archway::cli {

namespace {

using namespace admission;

inline constexpr uint64_t kMaxAuthorityBytes = 256 * 1024;

// Flags of `serve` that go into the Deployment as they were given.
constexpr const char* kPassedOn[] = {"tolerate", "mode", "on-conflict", "prefer", "node-platforms", "mirror", "plain-http", "allow-host", "deadline", "gate-timeout"};

Result<int> as_usage(Result<int> result, std::string_view flag) {
  if (result.ok()) return result;
  return usage_error("archway admission manifests: --" + std::string(flag) + ": " + result.error().message);
}

// A Deployment of an image that is nowhere would wait for ever, and nobody would see why at once.
void tell_of_placeholder(const Arguments& arguments, const Context& context) {
  if (arguments.has("image") || arguments.has("url") || arguments.has("delete")) return;
  context.err(std::string("note: the manifests name ") + kDefaultImage + ", which nobody has pushed. Make the image with\n"
              "  tools/make-image -t REGISTRY/archway:" + kDefaultVersion + " --push\nand name it with --image REGISTRY/archway:" + kDefaultVersion + "\n");
}

Result<ManifestOptions> manifest_options(const Arguments& arguments) {
  Policy policy = TRY(admission_policy(arguments));
  ManifestOptions options;
  options.name_space = arguments.one_or("namespace", options.name_space);
  options.name = arguments.one_or("name", options.name);
  options.image = arguments.one_or("image", kDefaultImage);
  options.url = arguments.one_or("url", "");
  if (auto file = arguments.one("ca-file")) options.ca_pem = TRY(read_file(*file, kMaxAuthorityBytes));
  auto number = [&](const char* flag, int64_t fallback) -> Result<int64_t> {
    auto text = arguments.one(flag);
    if (!text) return fallback;
    auto value = parse_uint(*text);
    if (!value || *value > 1000) return usage_error("archway admission manifests: --" + std::string(flag) + " " + *text + " is no such number");
    return static_cast<int64_t>(*value);
  };
  options.replicas = TRY(number("replicas", options.replicas));
  options.timeout_seconds = TRY(number("timeout-seconds", options.timeout_seconds));
  std::string failure = arguments.one_or("failure-policy", "Ignore");
  if (failure != "Ignore" && failure != "Fail") return usage_error("archway admission manifests: --failure-policy " + failure + ": expected Ignore or Fail");
  options.failure = failure == "Fail" ? ManifestOptions::Failure::Fail : ManifestOptions::Failure::Ignore;
  if (arguments.has("cert-manager")) options.certificates = ManifestOptions::Certificates::CertManager;
  options.owners = arguments.has("owners");
  options.gates = policy.on_unknown == Policy::OnUnknown::Gate;
  options.pull_secrets = arguments.has("pull-secrets");
  options.read_logs = arguments.has("read-logs");
  options.priority_class = arguments.one_or("priority-class", "");
  options.image_pull_secrets = arguments.many("image-pull-secret");
  if (auto version = arguments.one("kube-version")) options.kube_minor = TRY(as_usage(parse_kube_version(*version), "kube-version"));
  options.ignored_namespaces = arguments.many("ignore-namespace");
  options.tolerate = policy.tolerate;
  for (const char* flag : kPassedOn) {
    for (const std::string& value : arguments.many(flag)) options.serve_flags.push_back("--" + std::string(flag) + "=" + value);
  }
  if (arguments.has("allow-32bit")) options.serve_flags.push_back("--allow-32bit");
  if (options.gates && options.kube_minor > 0 && options.kube_minor < kGatesMinor) {
    return usage_error("archway admission manifests: pods can be gated since Kubernetes 1." + std::to_string(kGatesMinor) + ": leave --on-unknown gate out");
  }
  return options;
}

Result<void> write_files(const Files& files, const std::string& folder) {
  for (const auto& [path, text] : files) {
    std::string full = folder + "/" + path;
    TRY(make_directories(full.substr(0, full.rfind('/'))));
    TRY(write_file_atomic(full, text));
  }
  return {};
}

Result<int> manifests(const Arguments& arguments, const Context& context) {
  ManifestOptions options = TRY(manifest_options(arguments));
  std::string format = arguments.one_or("format", "yaml");
  if (format != "yaml" && format != "kustomize" && format != "helm") return usage_error("archway admission manifests: --format " + format + ": expected yaml, kustomize or helm");
  if (format == "yaml") {
    auto made = admission_manifests(options);
    if (!made.ok()) return usage_error("archway admission manifests: " + made.error().message);
    tell_of_placeholder(arguments, context);
    std::vector<Json> objects = arguments.has("delete") ? deletion_order(*std::move(made)) : *std::move(made);
    if (arguments.has("json")) {
      Json list = Json::object({{"apiVersion", "v1"}, {"kind", "List"}, {"items", Json(std::move(objects))}});
      context.out(to_json(list, {.indent = 2}) + "\n");
    } else {
      context.out(manifests_yaml(objects));
    }
    return kOk;
  }
  auto folder = arguments.one("output");
  if (!folder) return usage_error("archway admission manifests: --format " + format + " needs --output FOLDER");
  auto files = format == "helm" ? helm_chart(options, kDefaultVersion) : kustomization(options);
  if (!files.ok()) return usage_error("archway admission manifests: " + files.error().message);
  TRY(write_files(*files, *folder));
  tell_of_placeholder(arguments, context);
  if (arguments.has("json")) {
    Json list = Json::array();
    for (const auto& [path, text] : *files) list.push(path);
    context.out(to_json(Json::object({{"folder", *folder}, {"files", list}})) + "\n");
  }
  return kOk;
}

}  // namespace

Command admission_manifests_command() {
  Command command;
  command.name = "admission manifests";
  command.summary = "Print what installs the webhook: for kubectl, kustomize or helm";
  command.usage = "archway admission manifests [flags] | kubectl apply -f -";
  command.description =
      "Prints a namespace, a service account with no more rights than are needed, a Deployment of two replicas, a disruption budget, a\n"
      "Service and the webhook configuration. Each flag of the policy goes to `archway admission serve`; those that need more rights\n"
      "(--on-unknown gate, --pull-secrets, --read-logs) bring a role of their own. For a webhook that runs elsewhere, --url.\n\n"
      "  archway admission manifests --image registry.example.org/archway:1 --tolerate arch=arm64:NoSchedule | kubectl apply -f -\n"
      "  archway admission manifests --delete | kubectl delete --ignore-not-found -f -";
  command.flags = admission_policy_flags();
  for (Flag flag : {Flag{"namespace", 'n', Flag::Kind::One, "NAMESPACE", "where to install it (archway-system)"},
                    Flag{"name", 0, Flag::Kind::One, "NAME", "of all its objects (archway-admission)"},
                    Flag{"image", 0, Flag::Kind::One, "IMAGE", "where the cluster pulls archway from"},
                    Flag{"image-pull-secret", 0, Flag::Kind::Many, "NAME", "a Secret in its namespace that this image is pulled with"},
                    Flag{"kube-version", 0, Flag::Kind::One, "VERSION", "made for an older Kubernetes, 1.20 or later: before 1.27 without matchConditions, before 1.21 with policy/v1beta1"},
                    Flag{"replicas", 0, Flag::Kind::One, "N", "how many (2)"},
                    Flag{"url", 0, Flag::Kind::One, "URL", "a webhook outside the cluster, as https://HOST:PORT/mutate: only the webhook configuration is printed"},
                    Flag{"ca-file", 0, Flag::Kind::One, "FILE", "the authority of its certificate, PEM"},
                    Flag{"cert-manager", 0, Flag::Kind::Bool, "", "certificates from cert-manager, in place of the webhook's own"},
                    Flag{"owners", 0, Flag::Kind::Bool, "", "Deployments, StatefulSets, DaemonSets, Jobs and CronJobs are changed, too"},
                    Flag{"pull-secrets", 0, Flag::Kind::Bool, "", "let it read Secrets, for private images"},
                    Flag{"read-logs", 0, Flag::Kind::Bool, "", "let it read the logs of crashed containers"},
                    Flag{"failure-policy", 0, Flag::Kind::One, "POLICY", "Ignore: pods pass where it does not answer; or Fail"},
                    Flag{"timeout-seconds", 0, Flag::Kind::One, "N", "how long the API server waits, 1 to 30 (10)"},
                    Flag{"priority-class", 0, Flag::Kind::One, "NAME", "of its pods"},
                    Flag{"mirror", 0, Flag::Kind::Many, "HOST=URL", "ask URL in place of the registry HOST"},
                    Flag{"plain-http", 0, Flag::Kind::Many, "HOST", "speak plain HTTP to this registry"},
                    Flag{"allow-host", 0, Flag::Kind::Many, "HOST|RANGE", "a registry whose address is not asked otherwise"},
                    Flag{"deadline", 0, Flag::Kind::One, "DURATION", "how long a review waits for registries"},
                    Flag{"gate-timeout", 0, Flag::Kind::One, "DURATION", "how long a gated pod waits for registries"},
                    Flag{"format", 0, Flag::Kind::One, "FORMAT", "yaml, kustomize or helm"},
                    Flag{"output", 'o', Flag::Kind::One, "FOLDER", "where kustomize's or helm's files go"},
                    Flag{"delete", 0, Flag::Kind::Bool, "", "in the order in which they are to be deleted"},
                    Flag{"json", 0, Flag::Kind::Bool, "", "print JSON: a List"}}) {
    command.flags.push_back(std::move(flag));
  }
  command.run = manifests;
  return command;
}

}  // namespace archway::cli
