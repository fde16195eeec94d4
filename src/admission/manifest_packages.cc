#include <functional>

#include "admission/manifests.h"
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
constexpr const char* kFlagsMark = "archway-mark-flags";
constexpr int64_t kReplicasMark = 777'001;
constexpr int64_t kTimeoutMark = 29;

struct Switch {
  std::string value;  // of the chart
  std::function<void(ManifestOptions&, bool)> set;
};

std::vector<Switch> switches() {
  using Certificates = ManifestOptions::Certificates;
  return {{"certManager.enabled", [](ManifestOptions& options, bool on) { options.certificates = on ? Certificates::CertManager : Certificates::Own; }},
          {"owners.enabled", [](ManifestOptions& options, bool on) { options.owners = on; }},
          {"gates.enabled", [](ManifestOptions& options, bool on) { options.gates = on; }},
          {"pullSecrets.enabled", [](ManifestOptions& options, bool on) { options.pull_secrets = on; }},
          {"readLogs.enabled", [](ManifestOptions& options, bool on) { options.read_logs = on; }}};
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

// From marks to the template's language.
std::string to_template(std::string text) {
  text = replace_all(std::move(text), "image: " + std::string(kImageMark), "image: \"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}\"");
  text = replace_all(std::move(text), std::to_string(kReplicasMark), "{{ .Values.replicas }}");
  text = replace_all(std::move(text), "timeoutSeconds: " + std::to_string(kTimeoutMark), "timeoutSeconds: {{ .Values.timeoutSeconds }}");
  text = replace_all(std::move(text), "failurePolicy: Ignore", "failurePolicy: {{ .Values.failurePolicy }}");
  text = replace_line(std::move(text), "--ignore-namespace=" + std::string(kIgnoredMark), "{{- range .Values.ignoredNamespaces }}\n%- --ignore-namespace={{ . }}\n{{- end }}");
  text = replace_line(std::move(text), kIgnoredMark, "{{- range .Values.ignoredNamespaces }}\n%- {{ . }}\n{{- end }}");
  text = replace_line(std::move(text), kFlagsMark,
                      "{{- if .Values.gates.enabled }}\n%- --on-unknown=gate\n{{- end }}\n{{- if .Values.readLogs.enabled }}\n%- --read-logs\n{{- end }}\n"
                      "{{- range .Values.flags }}\n%- {{ . | quote }}\n{{- end }}");
  text = replace_line(std::move(text), kPriorityMark,
                      "{{- with .Values.priorityClassName }}\n%priorityClassName: {{ . }}\n{{- end }}\n{{- with .Values.tolerations }}\n%tolerations:\n{{ toYaml . | indent 8 }}\n{{- end }}");
  return replace_all(std::move(text), kNamespaceMark, "{{ .Release.Namespace }}");
}

std::string key_of(const Json& object) { return object["kind"].string() + "/" + object["metadata"]["name"].string(); }

// The objects' texts for every setting of the switches: bit N of the index is switch N. What is not there is empty.
using Texts = std::vector<std::map<std::string, std::string>>;

Result<Texts> print_all(const ManifestOptions& marked, const std::vector<Switch>& all) {
  Texts texts(size_t{1} << all.size());
  for (size_t setting = 0; setting < texts.size(); setting++) {
    ManifestOptions options = marked;
    for (size_t i = 0; i < all.size(); i++) all[i].set(options, (setting >> i) & 1);
    std::vector<Json> objects = TRY(admission_manifests(options));
    for (const Json& object : objects) {
      // The release's namespace is Helm's to make.
      if (object["kind"].string() != "Namespace") texts[setting][key_of(object)] = to_template(to_yaml(object));
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
  // A Deployment's flags have their own conditions, so that it need not be there eight times.
  if (key.starts_with("Deployment/") && next > 0) return without;
  std::string with = with_switches(key, texts, all, next + 1, setting | (size_t{1} << next));
  if (with == without) return without;
  std::string value = ".Values." + all[next].value;
  if (without.empty()) return "{{- if " + value + " }}\n" + with + "{{- end }}\n";
  if (with.empty()) return "{{- if not " + value + " }}\n" + without + "{{- end }}\n";
  return "{{- if " + value + " }}\n" + with + "{{- else }}\n" + without + "{{- end }}\n";
}

// "mutatingwebhookconfiguration-archway-admission.yaml"
std::string file_of(const std::string& key) { return to_lower(replace_all(key, "/", "-")) + ".yaml"; }

std::string values_of(const ManifestOptions& options) {
  size_t colon = options.image.rfind(':');
  bool has_tag = colon != std::string::npos && options.image.find('/', colon) == std::string::npos;
  std::string repository = options.image.substr(0, has_tag ? colon : std::string::npos), tag = has_tag ? options.image.substr(colon + 1) : "";
  return "# Values of the chart; `archway admission serve --help` says what each flag does.\n"
         "image:\n  repository: " + repository + "\n  tag: " + json_quote(tag) + "\n"
         "replicas: " + std::to_string(options.replicas) + "\n"
         "failurePolicy: Ignore\n"
         "timeoutSeconds: " + std::to_string(options.timeout_seconds) + "\n"
         "# Left alone, besides kube-system and the release's own.\nignoredNamespaces: []\n"
         "# Flags of archway admission serve: [--prefer=arm64, --tolerate=arch=arm64:NoSchedule]\nflags: []\n"
         "# Deployments and such are changed, too, so that DaemonSets are covered.\nowners:\n  enabled: false\n"
         "# A pod whose images' registry does not answer waits for it. Needs the right to change pods.\ngates:\n  enabled: false\n"
         "# Read the pull secrets of pods. Needs the right to read Secrets.\npullSecrets:\n  enabled: false\n"
         "# Look into the logs of crashed containers. Needs the right to read logs.\nreadLogs:\n  enabled: false\n"
         "# Certificates from cert-manager in place of the webhook's own.\ncertManager:\n  enabled: false\n"
         "priorityClassName: \"\"\ntolerations: []\n";
}

}  // namespace

Result<Files> kustomization(const ManifestOptions& options) {
  std::vector<Json> objects = TRY(admission_manifests(options));
  Files files;
  files["archway-admission.yaml"] = manifests_yaml(objects);
  files["kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- archway-admission.yaml\n";
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
  Files files;
  files["Chart.yaml"] = "apiVersion: v2\nname: " + options.name + "\ndescription: Keeps pods off nodes where their images do not run.\ntype: application\nversion: " + version +
                        "\nappVersion: " + json_quote(version) + "\nkubeVersion: \">= 1.21.0-0\"\n";
  files["values.yaml"] = values_of(options);
  std::vector<Switch> all = switches();
  Texts texts = TRY(print_all(marked, all));
  for (const auto& setting : texts) {
    for (const auto& [key, text] : setting) {
      std::string path = "templates/" + file_of(key);
      if (!files.contains(path)) files[path] = with_switches(key, texts, all, 0, 0);
    }
  }
  return files;
}

}  // namespace archway::admission
