#include <functional>

#include "admission/manifests.h"
#include "admission/template_merge.h"
#include "base/text.h"
#include "format/yaml.h"

// The manifests as a kustomization and as a Helm chart. The chart is not written by hand: the objects are printed with marks where a
// value of the chart goes, and once with and once without each of its switches; what differs is put between if and else.
namespace archway::admission {
namespace {

constexpr const char* kNamespaceMark = "archway-mark-namespace";
constexpr const char* kImageMark = "archway-mark-image";
constexpr const char* kIgnoredMark = "archway-mark-ignored";
constexpr const char* kPriorityMark = "archway-mark-priority";
constexpr const char* kSecretMark = "archway-mark-secret";
constexpr const char* kFlagsMark = "archway-mark-flags";
constexpr int64_t kReplicasMark = 777'001;
constexpr int64_t kTimeoutMark = 29;

struct Switch {
  std::string condition;  // of the chart's values, and of the cluster
  std::function<void(ManifestOptions&, bool)> set;
};

// A server that is older than some minor version, with what it lacks.
Switch since_minor(int minor) {
  return {"semverCompare \">=1." + std::to_string(minor) + "-0\" .Capabilities.KubeVersion.Version", [minor](ManifestOptions& options, bool on) {
            if (!on && (options.kube_minor == 0 || options.kube_minor >= minor)) options.kube_minor = minor - 1;
          }};
}

std::vector<Switch> switches() {
  using Certificates = ManifestOptions::Certificates;
  return {{".Values.certManager.enabled", [](ManifestOptions& options, bool on) { options.certificates = on ? Certificates::CertManager : Certificates::Own; }},
          {".Values.owners.enabled", [](ManifestOptions& options, bool on) { options.owners = on; }},
          {".Values.gates.enabled", [](ManifestOptions& options, bool on) { options.gates = on; }},
          {".Values.pullSecrets.enabled", [](ManifestOptions& options, bool on) { options.pull_secrets = on; }},
          {".Values.readLogs.enabled", [](ManifestOptions& options, bool on) { options.read_logs = on; }},
          since_minor(kConditionsMinor),
          since_minor(kPolicyMinor)};
}

// The whole line that holds `mark`, in place of which `block` stands; "%" at the begin of its lines is that line's indentation.
std::string replace_line(std::string text, std::string_view mark, std::string_view block) {
  for (size_t at = 0; (at = text.find(mark, at)) != std::string::npos;) {
    size_t begin = text.rfind('\n', at);
    begin = begin == std::string::npos ? 0 : begin + 1;
    size_t end = text.find('\n', at);
    std::string indent(text.find_first_not_of(' ', begin) - begin, ' ');
    std::string lines;
    for (const std::string& line : split(block, '\n')) lines += (line.starts_with('%') ? indent + line.substr(1) : line) + "\n";
    lines.pop_back();
    text.replace(begin, end - begin, lines);
    at = begin + lines.size();
  }
  return text;
}

// A taint as `--tolerate` spells it, taken apart: "key=value:Effect@ARCH".
constexpr const char* kTolerations =
    "{{- if or .Values.tolerate .Values.tolerations }}\n%tolerations:\n"
    "{{- range .Values.tolerate }}\n{{- $taint := splitList \":\" (first (splitList \"@\" .)) }}\n{{- $pair := splitList \"=\" (first $taint) }}\n"
    "%- key: {{ first $pair | quote }}\n"
    "{{- with join \"=\" (rest $pair) }}\n%  operator: Equal\n%  value: {{ . | quote }}\n{{- else }}\n%  operator: Exists\n{{- end }}\n"
    "%  effect: {{ last $taint | quote }}\n{{- end }}\n"
    "{{- with .Values.tolerations }}\n{{ toYaml . | indent 6 }}\n{{- end }}\n{{- end }}";

// From marks to the template's language. What the values say is quoted: a namespace may be called "1".
std::string to_template(std::string text) {
  text = replace_all(std::move(text), "image: " + std::string(kImageMark),
                     "image: {{ if .Values.image.digest }}{{ printf \"%s@%s\" .Values.image.repository .Values.image.digest | quote }}{{ else }}"
                     "{{ printf \"%s:%v\" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}{{ end }}");
  text = replace_all(std::move(text), std::to_string(kReplicasMark), "{{ .Values.replicas }}");
  text = replace_all(std::move(text), "timeoutSeconds: " + std::to_string(kTimeoutMark), "timeoutSeconds: {{ .Values.timeoutSeconds }}");
  text = replace_all(std::move(text), "failurePolicy: Ignore", "failurePolicy: {{ .Values.failurePolicy }}");
  text = replace_line(std::move(text), "--ignore-namespace=" + std::string(kIgnoredMark), "{{- range .Values.ignoredNamespaces }}\n%- {{ printf \"--ignore-namespace=%v\" . | quote }}\n{{- end }}");
  text = replace_line(std::move(text), kIgnoredMark, "{{- range without (uniq .Values.ignoredNamespaces) \"kube-system\" .Release.Namespace }}\n%- {{ . | quote }}\n{{- end }}");
  text = replace_line(std::move(text), kFlagsMark,
                      "{{- range .Values.tolerate }}\n%- {{ printf \"--tolerate=%s\" . | quote }}\n{{- end }}\n{{- range .Values.flags }}\n%- {{ . | quote }}\n{{- end }}");
  text = replace_line(std::move(text), "imagePullSecrets:", "{{- with .Values.image.pullSecrets }}\n%imagePullSecrets:");
  text = replace_line(std::move(text), kSecretMark, "{{- range . }}\n%- name: {{ . | quote }}\n{{- end }}\n{{- end }}");
  text = replace_line(std::move(text), kPriorityMark, "{{- with .Values.priorityClassName }}\n%priorityClassName: {{ . | quote }}\n{{- end }}\n" + std::string(kTolerations));
  for (std::string_view before : {"namespace: ", "- "}) {
    text = replace_all(std::move(text), std::string(before) + kNamespaceMark + "\n", std::string(before) + "{{ .Release.Namespace | quote }}\n");
  }
  return replace_all(std::move(text), kNamespaceMark, "{{ .Release.Namespace }}");
}

std::string key_of(const Json& object) { return object["kind"].string() + "/" + object["metadata"]["name"].string(); }

// The objects' texts for every setting of the switches: bit N of the index is switch N. What is not there is empty.
using Texts = std::vector<std::map<std::string, std::string>>;

Result<Texts> print_all(const ManifestOptions& marked, const std::vector<Switch>& all) {
  Texts texts(size_t{1} << all.size());
  // An object has but a few forms; each is printed once.
  std::map<std::string, std::vector<std::pair<Json, std::string>>> printed;
  auto print = [&](const std::string& key, const Json& object) -> const std::string& {
    auto& forms = printed[key];
    for (const auto& [form, text] : forms) {
      if (form == object) return text;
    }
    return forms.emplace_back(object, to_template(to_yaml(object))).second;
  };
  for (size_t setting = 0; setting < texts.size(); setting++) {
    ManifestOptions options = marked;
    for (size_t i = 0; i < all.size(); i++) all[i].set(options, (setting >> i) & 1);
    std::vector<Json> objects = TRY(admission_manifests(options));
    for (const Json& object : objects) {
      // The release's namespace is Helm's to make.
      if (object["kind"].string() != "Namespace") texts[setting][key_of(object)] = print(key_of(object), object);
    }
  }
  return texts;
}

std::string with_switches(const std::string& key, const Texts& texts, const std::vector<Switch>& all, size_t next, size_t setting) {
  if (next == all.size()) {
    auto found = texts[setting].find(key);
    return found == texts[setting].end() ? "" : found->second;
  }
  std::string without = with_switches(key, texts, all, next + 1, setting);
  std::string with = with_switches(key, texts, all, next + 1, setting | (size_t{1} << next));
  return merge_by_condition(without, with, all[next].condition);
}

// "mutatingwebhookconfiguration-archway-admission.yaml"
std::string file_of(const std::string& key) { return to_lower(replace_all(key, "/", "-")) + ".yaml"; }

std::string values_of(const ManifestOptions& options) {
  size_t colon = options.image.rfind(':');
  bool has_tag = colon != std::string::npos && options.image.find('/', colon) == std::string::npos;
  std::string repository = options.image.substr(0, has_tag ? colon : std::string::npos), tag = has_tag ? options.image.substr(colon + 1) : "";
  return "# Values of the chart; `archway admission serve --help` says what each flag does.\n"
         "image:\n  # Where the cluster pulls archway from. Nobody has pushed this one: tools/make-image makes it, for amd64 and arm64, and pushes it.\n"
         "  repository: " + repository + "\n  tag: " + json_quote(tag) + "\n"
         "  # In place of the tag: sha256:...\n  digest: \"\"\n"
         "  # Names of Secrets in the release's namespace, for this image.\n  pullSecrets: []\n"
         "replicas: " + std::to_string(options.replicas) + "\n"
         "failurePolicy: Ignore\n"
         "timeoutSeconds: " + std::to_string(options.timeout_seconds) + "\n"
         "# Left alone, besides kube-system and the release's own.\nignoredNamespaces: []\n"
         "# Taints that pods tolerate whose images run behind them, and the webhook's own pods: [arch=arm64:NoSchedule]\ntolerate: []\n"
         "# Flags of archway admission serve: [--prefer=arm64, --on-conflict=deny]\nflags: []\n"
         "# Deployments and such are changed, too, so that DaemonSets are covered.\nowners:\n  enabled: false\n"
         "# A pod whose images' registry does not answer waits for it (Kubernetes 1.27 and later). Needs the right to change pods.\ngates:\n  enabled: false\n"
         "# Read the pull secrets of pods. Needs the right to read Secrets.\npullSecrets:\n  enabled: false\n"
         "# Look into the logs of crashed containers. Needs the right to read logs.\nreadLogs:\n  enabled: false\n"
         "# Certificates from cert-manager in place of the webhook's own.\ncertManager:\n  enabled: false\n"
         "priorityClassName: \"\"\n# More tolerations of the webhook's own pods.\ntolerations: []\n";
}

Json schema_of(std::string_view type) { return Json::object({{"type", type}}); }
Json list_schema(std::string_view item) { return Json::object({{"type", "array"}, {"items", schema_of(item)}}); }
Json number_schema(int64_t least, int64_t most) { return Json::object({{"type", "integer"}, {"minimum", least}, {"maximum", most}}); }
Json object_schema(Json properties) { return Json::object({{"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties)}}); }

// What is misspelt in the values is said by helm, and not passed over.
std::string values_schema() {
  Json image = object_schema(Json::object({{"repository", schema_of("string")}, {"tag", schema_of("string")}, {"digest", Json::object({{"type", "string"}, {"pattern", "^(sha(256|512):[0-9a-f]+)?$"}})},
                                           {"pullSecrets", list_schema("string")}}));
  Json properties = Json::object({{"image", std::move(image)}, {"replicas", number_schema(1, 1000)}, {"timeoutSeconds", number_schema(kMinTimeoutSeconds, kMaxTimeoutSeconds)}});
  Json policies = Json::array();
  policies.push("Ignore");
  policies.push("Fail");
  properties.set("failurePolicy", Json::object({{"enum", std::move(policies)}}));
  for (std::string_view list : {"ignoredNamespaces", "flags"}) properties.set(list, list_schema("string"));
  Json taint = Json::object({{"type", "string"}, {"pattern", "^[^=:@]+(=[^=:@]*)?:(NoSchedule|PreferNoSchedule|NoExecute)(@.+)?$"}});
  properties.set("tolerate", Json::object({{"type", "array"}, {"items", std::move(taint)}}));
  for (std::string_view part : {"owners", "gates", "pullSecrets", "readLogs", "certManager"}) properties.set(part, object_schema(Json::object({{"enabled", schema_of("boolean")}})));
  properties.set("priorityClassName", schema_of("string"));
  properties.set("tolerations", list_schema("object"));
  properties.set("global", schema_of("object"));
  Json schema = object_schema(std::move(properties));
  schema.set("$schema", "http://json-schema.org/draft-07/schema#");
  return to_json(schema, {.indent = 2}) + "\n";
}

std::string notes_of(const ManifestOptions& options) {
  std::string placeholder = std::string(kDefaultImage).substr(0, std::string_view(kDefaultImage).rfind(':'));
  return "The webhook's pods start now. When\n"
         "  kubectl -n {{ .Release.Namespace }} rollout status deployment/" + options.name + "\n"
         "has ended, every new pod is looked at.\n"
         "{{- if eq .Values.image.repository \"" + placeholder + "\" }}\n\n"
         "{{ .Values.image.repository }} is a name that nobody has pushed: make the image with archway's tools/make-image, and name it:\n"
         "  helm upgrade {{ .Release.Name }} ... --set image.repository=REGISTRY/archway\n"
         "{{- end }}\n";
}

// Of the Deployment, where no flag can say it.
std::string gates_guard() {
  std::string version = "1." + std::to_string(kGatesMinor);
  return "{{- if and .Values.gates.enabled (semverCompare \"<" + version + "-0\" .Capabilities.KubeVersion.Version) }}\n"
         "{{- fail \"gates.enabled: pods can be gated since Kubernetes " + version + "\" }}\n{{- end }}\n";
}

// kustomize's own place to say which image.
std::string image_of_kustomization(const std::string& image) {
  size_t colon = image.rfind(':');
  bool has_tag = colon != std::string::npos && image.find('/', colon) == std::string::npos && image.find('@') == std::string::npos;
  if (!has_tag) return "";
  std::string name = image.substr(0, colon);
  std::string why = image == kDefaultImage ? "# Nobody has pushed this one: make it with tools/make-image, and say here where it is.\n" : "";
  return why + "images:\n- name: " + name + "\n  newName: " + name + "\n  newTag: " + json_quote(image.substr(colon + 1)) + "\n";
}

}  // namespace

Result<Files> kustomization(const ManifestOptions& options) {
  std::vector<Json> objects = TRY(admission_manifests(options));
  Files files;
  files["archway-admission.yaml"] = manifests_yaml(objects);
  files["kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- archway-admission.yaml\n" + image_of_kustomization(options.image);
  return files;
}

Result<Files> helm_chart(const ManifestOptions& options, const std::string& version) {
  TRY(admission_manifests(options));  // says what is wrong with them
  ManifestOptions marked;
  marked.name = options.name;
  marked.name_space = kNamespaceMark;
  marked.image = kImageMark;
  marked.replicas = kReplicasMark;
  marked.timeout_seconds = kTimeoutMark;
  marked.ignored_namespaces = {kIgnoredMark};
  marked.serve_flags = {kFlagsMark};
  marked.priority_class = kPriorityMark;
  marked.image_pull_secrets = {kSecretMark};
  Files files;
  files["Chart.yaml"] = "apiVersion: v2\nname: " + options.name + "\ndescription: Keeps pods off nodes where their images do not run.\ntype: application\nversion: " + version +
                        "\nappVersion: " + json_quote(version) + "\nkubeVersion: \">= 1." + std::to_string(kMinMinor) + ".0-0\"\n";
  files["values.yaml"] = values_of(options);
  files["values.schema.json"] = values_schema();
  files["templates/NOTES.txt"] = notes_of(options);
  std::vector<Switch> all = switches();
  Texts texts = TRY(print_all(marked, all));
  for (const auto& setting : texts) {
    for (const auto& [key, text] : setting) {
      std::string path = "templates/" + file_of(key);
      if (!files.contains(path)) files[path] = (key.starts_with("Deployment/") ? gates_guard() : "") + with_switches(key, texts, all, 0, 0);
    }
  }
  return files;
}

}  // namespace archway::admission
