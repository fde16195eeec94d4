#include "admission/manifests.h"

#include <algorithm>

#include "admission/names.h"
#include "base/text.h"
#include "format/yaml.h"
#include "net/url.h"

namespace archway::admission {
namespace {

constexpr int kPort = 8443;
constexpr const char* kTlsFolder = "/run/archway/tls";
constexpr const char* kCacheFolder = "/var/cache/archway";
constexpr int64_t kUser = 65532;  // nobody in particular

Json list_of(std::initializer_list<std::string_view> words) {
  Json list = Json::array();
  for (std::string_view word : words) list.push(word);
  return list;
}

Json named_labels(const std::string& name) { return Json::object({{"app.kubernetes.io/name", name}}); }

// One install's objects; each function is one of them.
class Manifests {
 public:
  explicit Manifests(const ManifestOptions& options) : options_(options) {}

  std::vector<Json> all() const {
    if (!options_.url.empty()) return {webhook_configuration()};
    bool own = options_.certificates == ManifestOptions::Certificates::Own;
    std::vector<Json> objects = {name_space(), service_account()};
    if (own) objects.push_back(secret());
    objects.push_back(lease());
    for (auto& object : roles()) objects.push_back(std::move(object));
    if (!own) {
      objects.push_back(issuer());
      objects.push_back(certificate());
    }
    objects.push_back(service());
    objects.push_back(deployment());
    objects.push_back(disruption_budget());
    // Last: by then there is somebody to answer.
    objects.push_back(webhook_configuration());
    return objects;
  }

 private:
  std::string tls_name() const { return options_.name + "-tls"; }
  bool since(int minor) const { return options_.kube_minor == 0 || options_.kube_minor >= minor; }

  Json object(const std::string& api_version, const std::string& kind, const std::string& name, bool namespaced) const {
    Json labels = named_labels(options_.name);
    labels.set("app.kubernetes.io/part-of", "archway");
    Json metadata = Json::object({{"name", name}});
    if (namespaced) metadata.set("namespace", options_.name_space);
    metadata.set("labels", labels);
    return Json::object({{"apiVersion", api_version}, {"kind", kind}, {"metadata", metadata}});
  }
  static Json with_metadata(Json made, std::string_view key, Json value) {
    Json metadata = made["metadata"];
    metadata.set(key, std::move(value));
    made.set("metadata", metadata);
    return made;
  }

  Json name_space() const {
    Json made = object("v1", "Namespace", options_.name_space, false);
    Json labels = made["metadata"]["labels"];
    labels.set(kModeLabel, kModeIgnore);
    for (std::string_view level : {"enforce", "warn"}) labels.set("pod-security.kubernetes.io/" + std::string(level), "restricted");
    return with_metadata(std::move(made), "labels", labels);
  }
  Json service_account() const { return object("v1", "ServiceAccount", options_.name, true); }

  // Empty ones, so that nobody needs the right to create any.
  Json secret() const {
    Json made = object("v1", "Secret", tls_name(), true);
    made.set("type", "Opaque");
    return made;
  }
  Json lease() const { return object("coordination.k8s.io/v1", "Lease", options_.name, true); }

  static Json rule(std::string_view group, std::initializer_list<std::string_view> resources, std::initializer_list<std::string_view> verbs, const std::string& name = {}) {
    Json made = Json::object({{"apiGroups", list_of({group})}, {"resources", list_of(resources)}});
    if (!name.empty()) made.set("resourceNames", list_of({name}));
    made.set("verbs", list_of(verbs));
    return made;
  }

  // A role and who has it.
  void grant(std::vector<Json>& into, const std::string& suffix, bool namespaced, std::vector<Json> rules) const {
    std::string kind = namespaced ? "Role" : "ClusterRole", name = options_.name + suffix;
    Json role = object("rbac.authorization.k8s.io/v1", kind, name, namespaced);
    role.set("rules", Json(std::move(rules)));
    Json binding = object("rbac.authorization.k8s.io/v1", kind + "Binding", name, namespaced);
    binding.set("roleRef", Json::object({{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", kind}, {"name", name}}));
    Json subjects = Json::array();
    subjects.push(Json::object({{"kind", "ServiceAccount"}, {"name", options_.name}, {"namespace", options_.name_space}}));
    binding.set("subjects", subjects);
    into.push_back(std::move(role));
    into.push_back(std::move(binding));
  }

  std::vector<Json> roles() const {
    std::vector<Json> made;
    bool own = options_.certificates == ManifestOptions::Certificates::Own;
    std::vector<Json> inside = {rule("coordination.k8s.io", {"leases"}, {"get", "update"}, options_.name)};
    if (own) inside.push_back(rule("", {"secrets"}, {"get", "list", "watch", "update"}, tls_name()));
    grant(made, "", true, std::move(inside));
    std::vector<Json> everywhere = {rule("", {"pods"}, {"get", "list", "watch"}), rule("", {"nodes"}, {"get", "list", "watch"}), rule("", {"events"}, {"list", "watch", "create", "patch"})};
    if (own) everywhere.push_back(rule("admissionregistration.k8s.io", {"mutatingwebhookconfigurations"}, {"get", "patch"}, options_.name));
    grant(made, "", false, std::move(everywhere));
    // What not everybody wants to grant stands by itself.
    if (options_.gates) grant(made, "-gates", false, {rule("", {"pods"}, {"patch"})});
    if (options_.pull_secrets) grant(made, "-pull-secrets", false, {rule("", {"secrets", "serviceaccounts"}, {"get"})});
    if (options_.read_logs) grant(made, "-logs", false, {rule("", {"pods/log"}, {"get"})});
    return made;
  }

  Json issuer() const {
    Json made = object("cert-manager.io/v1", "Issuer", options_.name, true);
    made.set("spec", Json::object({{"selfSigned", Json::object()}}));
    return made;
  }
  Json certificate() const {
    Json made = object("cert-manager.io/v1", "Certificate", options_.name, true);
    Json spec = Json::object({{"secretName", tls_name()}, {"duration", "2160h"}, {"renewBefore", "720h"}});
    spec.set("dnsNames", Json(service_names()));
    spec.set("privateKey", Json::object({{"algorithm", "ECDSA"}, {"size", 256}}));
    spec.set("issuerRef", Json::object({{"kind", "Issuer"}, {"name", options_.name}}));
    made.set("spec", spec);
    return made;
  }
  std::vector<std::string> service_names() const {
    std::string name = options_.name + "." + options_.name_space + ".svc";
    return {name, name + ".cluster.local"};
  }

  Json service() const {
    Json made = object("v1", "Service", options_.name, true);
    Json port = Json::object({{"name", "https"}, {"port", 443}, {"targetPort", "https"}, {"protocol", "TCP"}});
    made.set("spec", Json::object({{"selector", named_labels(options_.name)}, {"ports", Json(Json::Array{port})}}));
    return made;
  }
  Json disruption_budget() const {
    Json made = object(since(kPolicyMinor) ? "policy/v1" : "policy/v1beta1", "PodDisruptionBudget", options_.name, true);
    made.set("spec", Json::object({{"maxUnavailable", 1}, {"selector", Json::object({{"matchLabels", named_labels(options_.name)}})}}));
    return made;
  }

  Json arguments() const {
    bool own = options_.certificates == ManifestOptions::Certificates::Own;
    std::vector<std::string> words = {"admission", "serve", "--listen=:" + std::to_string(kPort), std::string("--tls-cert-file=") + kTlsFolder + "/tls.crt",
                                      std::string("--tls-private-key-file=") + kTlsFolder + "/tls.key", std::string("--cache=") + kCacheFolder, "--controllers", "--name=" + options_.name};
    if (own) words.push_back("--own-certificate");
    for (const std::string& name : options_.ignored_namespaces) words.push_back("--ignore-namespace=" + name);
    if (options_.gates) words.push_back("--on-unknown=gate");
    if (options_.read_logs) words.push_back("--read-logs");
    words.insert(words.end(), options_.serve_flags.begin(), options_.serve_flags.end());
    return Json(words);
  }

  static Json probe(std::string_view path, int64_t period) {
    return Json::object({{"httpGet", Json::object({{"path", path}, {"port", "https"}, {"scheme", "HTTPS"}})}, {"periodSeconds", period}, {"timeoutSeconds", 5}});
  }
  static Json field_variable(std::string_view name, std::string_view path) {
    return Json::object({{"name", name}, {"valueFrom", Json::object({{"fieldRef", Json::object({{"fieldPath", path}})}})}});
  }

  Json container() const {
    Json security = Json::object({{"allowPrivilegeEscalation", false}, {"readOnlyRootFilesystem", true}, {"capabilities", Json::object({{"drop", list_of({"ALL"})}})}});
    Json tls = Json::object({{"name", "tls"}, {"mountPath", kTlsFolder}});
    if (options_.certificates == ManifestOptions::Certificates::CertManager) tls.set("readOnly", true);
    Json cache = Json::object({{"name", "cache"}, {"mountPath", kCacheFolder}});
    Json made = Json::object({{"name", "archway"}, {"image", options_.image}, {"args", arguments()}});
    made.set("env", Json(Json::Array{field_variable("POD_NAME", "metadata.name"), field_variable("POD_NAMESPACE", "metadata.namespace")}));
    made.set("ports", Json(Json::Array{Json::object({{"name", "https"}, {"containerPort", kPort}, {"protocol", "TCP"}})}));
    made.set("readinessProbe", probe("/readyz", 5));
    made.set("livenessProbe", probe("/healthz", 10));
    // Its first certificate may take a moment, when the API server is slow.
    Json startup = probe("/healthz", 2);
    startup.set("failureThreshold", 90);
    made.set("startupProbe", startup);
    made.set("resources", Json::object({{"requests", Json::object({{"cpu", "50m"}, {"memory", "64Mi"}})}, {"limits", Json::object({{"memory", "512Mi"}})}}));
    made.set("securityContext", security);
    made.set("volumeMounts", Json(Json::Array{tls, cache}));
    return made;
  }

  Json spread(std::string_view key) const {
    return Json::object({{"maxSkew", 1}, {"topologyKey", key}, {"whenUnsatisfiable", "ScheduleAnyway"}, {"labelSelector", Json::object({{"matchLabels", named_labels(options_.name)}})}});
  }

  Json tolerations() const {
    Json list = Json::array();
    for (const ToleratedTaint& each : options_.tolerate) {
      Json one = Json::object({{"key", each.taint.key}, {"operator", each.taint.value.empty() ? "Exists" : "Equal"}});
      if (!each.taint.value.empty()) one.set("value", each.taint.value);
      if (!each.taint.effect.empty()) one.set("effect", each.taint.effect);
      list.push(one);
    }
    return list;
  }

  Json pod_spec() const {
    bool own = options_.certificates == ManifestOptions::Certificates::Own;
    Json tls = Json::object({{"name", "tls"}});
    if (own) {
      tls.set("emptyDir", Json::object({{"medium", "Memory"}, {"sizeLimit", "1Mi"}}));
    } else {
      tls.set("secret", Json::object({{"secretName", tls_name()}}));
    }
    Json cache = Json::object({{"name", "cache"}, {"emptyDir", Json::object({{"sizeLimit", "1Gi"}})}});
    Json made = Json::object({{"serviceAccountName", options_.name}});
    Json secrets = Json::array();
    for (const std::string& name : options_.image_pull_secrets) secrets.push(Json::object({{"name", name}}));
    if (secrets.size() > 0) made.set("imagePullSecrets", secrets);
    if (!options_.priority_class.empty()) made.set("priorityClassName", options_.priority_class);
    made.set("securityContext", Json::object({{"runAsNonRoot", true}, {"runAsUser", kUser}, {"runAsGroup", kUser}, {"fsGroup", kUser}, {"seccompProfile", Json::object({{"type", "RuntimeDefault"}})}}));
    if (!options_.tolerate.empty()) made.set("tolerations", tolerations());
    // Over architectures first: if one kind of node is lost, the webhook is not.
    made.set("topologySpreadConstraints", Json(Json::Array{spread("kubernetes.io/arch"), spread("kubernetes.io/hostname")}));
    made.set("nodeSelector", Json::object({{"kubernetes.io/os", "linux"}}));
    made.set("terminationGracePeriodSeconds", 30);
    made.set("containers", Json(Json::Array{container()}));
    made.set("volumes", Json(Json::Array{tls, cache}));
    return made;
  }

  Json deployment() const {
    Json made = object("apps/v1", "Deployment", options_.name, true);
    Json labels = named_labels(options_.name);
    // A webhook that had to be asked before it may start would never start.
    labels.set(kModeLabel, kModeIgnore);
    Json pod = Json::object({{"metadata", Json::object({{"labels", labels}})}, {"spec", pod_spec()}});
    Json spec = Json::object({{"replicas", options_.replicas}, {"selector", Json::object({{"matchLabels", named_labels(options_.name)}})}});
    spec.set("strategy", Json::object({{"type", "RollingUpdate"}, {"rollingUpdate", Json::object({{"maxUnavailable", 0}, {"maxSurge", 1}})}}));
    spec.set("template", pod);
    made.set("spec", spec);
    return made;
  }

  Json client_configuration() const {
    Json made = options_.url.empty() ? Json::object({{"service", Json::object({{"namespace", options_.name_space}, {"name", options_.name}, {"path", "/mutate"}, {"port", 443}})}})
                                     : Json::object({{"url", options_.url}});
    if (!options_.ca_pem.empty()) made.set("caBundle", base64_encode(options_.ca_pem));
    return made;
  }
  Json namespace_selector() const {
    std::vector<std::string> names = {"kube-system"};
    if (options_.url.empty()) names.push_back(options_.name_space);
    for (const std::string& name : options_.ignored_namespaces) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    // Every namespace carries its name as a label since 1.21.
    Json by_name = Json::object({{"key", "kubernetes.io/metadata.name"}, {"operator", "NotIn"}, {"values", Json(names)}});
    return Json::object({{"matchExpressions", Json(Json::Array{by_name, opted_out()})}});
  }
  static Json opted_out() { return Json::object({{"key", kModeLabel}, {"operator", "NotIn"}, {"values", list_of({kModeIgnore})}}); }

  Json webhook(std::string_view name, std::vector<Json> rules) const {
    Json made = Json::object({{"name", name}, {"admissionReviewVersions", list_of({"v1"})}, {"clientConfig", client_configuration()}});
    made.set("failurePolicy", options_.failure == ManifestOptions::Failure::Ignore ? "Ignore" : "Fail");
    made.set("matchPolicy", "Equivalent");
    made.set("namespaceSelector", namespace_selector());
    made.set("objectSelector", Json::object({{"matchExpressions", Json(Json::Array{opted_out()})}}));
    // A sidecar that another webhook adds later is looked at, too.
    made.set("reinvocationPolicy", "IfNeeded");
    made.set("sideEffects", "None");
    made.set("timeoutSeconds", options_.timeout_seconds);
    made.set("rules", Json(std::move(rules)));
    return made;
  }
  static Json match_condition(std::string_view name, const std::string& expression) { return Json::object({{"name", name}, {"expression", expression}}); }

  // Most updates of pods are of their labels and finalizers: nobody asks us about those (1.28 and later; before, we say so ourselves).
  static Json pod_conditions() {
    auto images = [](const std::string& whose, const std::string& list) {
      return "(has(" + whose + ".spec." + list + ") ? " + whose + ".spec." + list + ".map(c, has(c.image) ? c.image : '') : [])";
    };
    std::string differ = images("object", "containers") + " != " + images("oldObject", "containers") + " || " + images("object", "initContainers") + " != " + images("oldObject", "initContainers");
    Json list = Json::array();
    list.push(match_condition("placement-may-change", "request.operation != 'UPDATE' || request.subResource == 'ephemeralcontainers' || has(oldObject.spec.schedulingGates) || " + differ));
    list.push(match_condition("not-static", "!has(object.metadata.annotations) || !('" + std::string(kMirrorAnnotation) + "' in object.metadata.annotations)"));
    return list;
  }

  static Json operations_on(std::string_view group, std::initializer_list<std::string_view> operations, std::initializer_list<std::string_view> resources) {
    return Json::object({{"apiGroups", list_of({group})}, {"apiVersions", list_of({"v1"})}, {"operations", list_of(operations)}, {"resources", list_of(resources)}, {"scope", "Namespaced"}});
  }

  Json webhook_configuration() const {
    Json made = object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", options_.name, false);
    if (options_.certificates == ManifestOptions::Certificates::CertManager && options_.url.empty()) {
      made = with_metadata(std::move(made), "annotations", Json::object({{"cert-manager.io/inject-ca-from", options_.name_space + "/" + options_.name}}));
    }
    Json pods = webhook("pods.archway.dev", {operations_on("", {"CREATE", "UPDATE"}, {"pods"}), operations_on("", {"UPDATE"}, {"pods/ephemeralcontainers"})});
    if (since(kConditionsMinor)) pods.set("matchConditions", pod_conditions());
    Json webhooks = Json::array();
    webhooks.push(std::move(pods));
    if (options_.owners) {
      webhooks.push(webhook("owners.archway.dev", {operations_on("apps", {"CREATE", "UPDATE"}, {"deployments", "statefulsets", "daemonsets"}),
                                                   operations_on("batch", {"CREATE", "UPDATE"}, {"jobs", "cronjobs"})}));
    }
    made.set("webhooks", webhooks);
    return made;
  }

  const ManifestOptions& options_;
};

bool is_label_name(const std::string& name) {
  bool plain = !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::islower(c) || std::isdigit(c) || c == '-'; });
  return plain && name.front() != '-' && name.back() != '-';
}

Result<void> check(const ManifestOptions& options) {
  for (const std::string* name : {&options.name_space, &options.name}) {
    if (!is_label_name(*name)) return Error{Code::Invalid, "\"" + *name + "\" is no name for objects of Kubernetes: lower-case letters, digits and -"};
  }
  // A Service may be called by 63 characters, and its Secret is called after it.
  if (options.name.size() > 50) return Error{Code::Invalid, "the name \"" + options.name + "\" is longer than 50 characters"};
  if (options.url.empty() && options.image.empty()) return Error{Code::Invalid, "an image is needed: where the cluster pulls archway from"};
  if (options.replicas < 1) return Error{Code::Invalid, "there must be a replica"};
  if (options.timeout_seconds < kMinTimeoutSeconds || options.timeout_seconds > kMaxTimeoutSeconds) return Error{Code::Invalid, "the timeout must be 1 to 30 seconds"};
  if (options.url.empty()) return {};
  Url url = TRY(parse_url(options.url));
  if (url.scheme != "https") return Error{Code::Invalid, options.url + ": the API server calls webhooks by https only"};
  if (!url.query.empty()) return Error{Code::Invalid, options.url + ": a webhook's URL may have no query"};
  return {};
}

}  // namespace

Result<int> parse_kube_version(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with('v')) rest.remove_prefix(1);
  auto [major, more] = cut(rest, '.');
  std::string_view minor = more.value_or("");
  minor = minor.substr(0, minor.find_first_not_of("0123456789"));
  auto number = parse_uint(minor);
  if (major != "1" || !number || *number > 10'000) return Error{Code::Invalid, "\"" + std::string(text) + "\" is no version of Kubernetes; expected one like 1.28"};
  if (*number < kMinMinor) return Error{Code::Invalid, "Kubernetes " + std::string(text) + " is too old: 1." + std::to_string(kMinMinor) + " or later is needed"};
  return static_cast<int>(*number);
}

Result<std::vector<Json>> admission_manifests(const ManifestOptions& options) {
  TRY(check(options));
  return Manifests(options).all();
}

std::string manifests_yaml(const std::vector<Json>& objects) {
  std::string text;
  for (const Json& object : objects) text += (text.empty() ? "" : "---\n") + to_yaml(object);
  return text;
}

std::vector<Json> deletion_order(std::vector<Json> objects) {
  std::reverse(objects.begin(), objects.end());
  return objects;
}

}  // namespace archway::admission
