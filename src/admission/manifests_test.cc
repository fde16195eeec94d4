#include "admission/manifests.h"

#include <gtest/gtest.h>

#include "admission/template_merge.h"
#include "base/fd.h"
#include "base/text.h"
#include "format/yaml.h"

namespace archway::admission {
namespace {

ManifestOptions usual() {
  ManifestOptions options;
  options.image = "example.org/archway:1";
  return options;
}

const Json* find(const std::vector<Json>& objects, std::string_view kind, std::string_view name = "archway-admission") {
  for (const Json& object : objects) {
    if (object["kind"].string() == kind && object["metadata"]["name"].string() == name) return &object;
  }
  return nullptr;
}

// "verb resource" of all rules, and "/name" where a rule is for one object only.
std::vector<std::string> rights(const std::vector<Json>& objects, std::string_view kind, std::string_view name = "archway-admission") {
  std::vector<std::string> all;
  const Json* role = find(objects, kind, name);
  if (!role) return {"no such role"};
  for (const Json& rule : (*role)["rules"].items()) {
    std::string only = rule["resourceNames"].items().empty() ? "" : "/" + join(rule["resourceNames"].strings(), ",");
    all.push_back(join(rule["verbs"].strings(), ",") + " " + join(rule["resources"].strings(), ",") + only);
  }
  return all;
}

TEST(Manifests, GrantNoMoreThanIsNeeded) {
  ManifestOptions options = usual();
  auto objects = *admission_manifests(options);
  EXPECT_EQ(rights(objects, "Role"), (std::vector<std::string>{"get,update leases/archway-admission", "get,list,watch,update secrets/archway-admission-tls"}));
  EXPECT_EQ(rights(objects, "ClusterRole"), (std::vector<std::string>{"get,list,watch pods", "get,list,watch nodes", "list,watch,create,patch events", "get,patch mutatingwebhookconfigurations/archway-admission"}));
  for (const char* extra : {"archway-admission-gates", "archway-admission-pull-secrets", "archway-admission-logs"}) EXPECT_EQ(find(objects, "ClusterRole", extra), nullptr) << extra;
  options.gates = options.pull_secrets = options.read_logs = true;
  options.certificates = ManifestOptions::Certificates::CertManager;
  objects = *admission_manifests(options);
  EXPECT_EQ(rights(objects, "ClusterRole", "archway-admission-gates"), std::vector<std::string>{"patch pods"});
  EXPECT_EQ(rights(objects, "ClusterRole", "archway-admission-pull-secrets"), std::vector<std::string>{"get secrets,serviceaccounts"});
  EXPECT_EQ(rights(objects, "ClusterRole", "archway-admission-logs"), std::vector<std::string>{"get pods/log"});
  EXPECT_EQ(rights(objects, "Role"), std::vector<std::string>{"get,update leases/archway-admission"}) << "cert-manager writes the Secret and the authority";
  EXPECT_EQ(rights(objects, "ClusterRole").size(), 3u);
}

TEST(Manifests, TheWebhookIsNeverInTheWay) {
  auto objects = *admission_manifests(usual());
  const Json& configuration = *find(objects, "MutatingWebhookConfiguration");
  ASSERT_EQ(configuration["webhooks"].size(), 1u);
  const Json& webhook = configuration["webhooks"].items()[0];
  EXPECT_EQ(webhook["failurePolicy"].string() + webhook["reinvocationPolicy"].string() + webhook["sideEffects"].string(), "IgnoreIfNeededNone");
  EXPECT_EQ(to_json(webhook["namespaceSelector"]["matchExpressions"].items()[0]),
            R"({"key":"kubernetes.io/metadata.name","operator":"NotIn","values":["kube-system","archway-system"]})");
  EXPECT_EQ(to_json(webhook["objectSelector"]), R"({"matchExpressions":[{"key":"archway.dev/admission","operator":"NotIn","values":["ignore"]}]})");
  EXPECT_EQ(to_json(webhook["clientConfig"]), R"({"service":{"namespace":"archway-system","name":"archway-admission","path":"/mutate","port":443}})");
  EXPECT_EQ(objects.back(), configuration) << "there is somebody to answer before anybody asks";
  EXPECT_EQ(deletion_order(objects).front(), configuration);
}

TEST(Manifests, PodsAreRestrictedAndSpread) {
  ManifestOptions options = usual();
  options.tolerate = {*parse_tolerated_taint("arch=arm64:NoSchedule")};
  options.serve_flags = {"--tolerate=arch=arm64:NoSchedule"};
  auto objects = *admission_manifests(options);
  const Json& spec = (*find(objects, "Deployment"))["spec"];
  const Json& pod = spec["template"]["spec"];
  const Json& container = pod["containers"].items()[0];
  EXPECT_EQ(spec["replicas"].integer(), 2);
  EXPECT_EQ(to_json(container["securityContext"]), R"({"allowPrivilegeEscalation":false,"readOnlyRootFilesystem":true,"capabilities":{"drop":["ALL"]}})");
  EXPECT_TRUE(pod["securityContext"]["runAsNonRoot"].boolean());
  EXPECT_EQ(pod["topologySpreadConstraints"].items()[0]["topologyKey"].string(), "kubernetes.io/arch");
  EXPECT_EQ(to_json(pod["tolerations"]), R"([{"key":"arch","operator":"Equal","value":"arm64","effect":"NoSchedule"}])");
  EXPECT_EQ(spec["template"]["metadata"]["labels"]["archway.dev/admission"].string(), "ignore");
  EXPECT_EQ(container["args"].strings().back(), "--tolerate=arch=arm64:NoSchedule");
  EXPECT_EQ((*find(objects, "Namespace", "archway-system"))["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].string(), "restricted");
}

TEST(Manifests, OutsideTheClusterOnlyTheWebhook) {
  ManifestOptions options;
  options.url = "https://10.0.0.9:8443/mutate";
  options.ca_pem = "PEM";
  options.owners = true;
  auto objects = *admission_manifests(options);
  ASSERT_EQ(objects.size(), 1u);
  ASSERT_EQ(objects[0]["webhooks"].size(), 2u);
  EXPECT_EQ(to_json(objects[0]["webhooks"].items()[1]["clientConfig"]), R"({"url":"https://10.0.0.9:8443/mutate","caBundle":"UEVN"})");
}

TEST(Manifests, RefuseWhatKubernetesWould) {
  auto refused = [](std::function<void(ManifestOptions&)> change) {
    ManifestOptions options = usual();
    change(options);
    return !admission_manifests(options).ok();
  };
  EXPECT_TRUE(refused([](ManifestOptions& o) { o.image = ""; }));
  EXPECT_TRUE(refused([](ManifestOptions& o) { o.name_space = "Big"; }));
  EXPECT_TRUE(refused([](ManifestOptions& o) { o.name = std::string(51, 'a'); }));
  EXPECT_FALSE(refused([](ManifestOptions& o) { o.name = std::string(50, 'a'); }));
  EXPECT_TRUE(refused([](ManifestOptions& o) { o.replicas = 0; }));
  EXPECT_TRUE(refused([](ManifestOptions& o) { o.timeout_seconds = 31; }));
  EXPECT_FALSE(refused([](ManifestOptions& o) { o.timeout_seconds = 30; }));
  EXPECT_TRUE(refused([](ManifestOptions& o) { o.url = "http://h/mutate"; }));
  EXPECT_TRUE(refused([](ManifestOptions& o) { o.url = "https://h/mutate?a=b"; }));
}

TEST(Manifests, PrintAsYamlThatReadsBack) {
  auto objects = *admission_manifests(usual());
  auto documents = parse_yaml_documents(manifests_yaml(objects));
  ASSERT_TRUE(documents.ok()) << documents.error().message;
  ASSERT_EQ(documents->size(), objects.size());
  for (size_t i = 0; i < objects.size(); i++) EXPECT_EQ((*documents)[i].value, objects[i]);
}

// What is in deploy/ is what the program prints: made by `archway admission manifests --format FORMAT --output FOLDER`.
void expect_files(const std::string& folder, const Files& files) {
  for (const auto& [path, text] : files) {
    auto committed = read_file(std::string(ARCHWAY_SOURCE_DIR) + "/deploy/" + folder + "/" + path, 1 << 20);
    ASSERT_TRUE(committed.ok()) << committed.error().message;
    EXPECT_TRUE(*committed == text) << folder << "/" << path << " is not what is generated; run deploy/generate";
  }
}

TEST(DeployFolder, HoldsWhatIsGenerated) {
  ManifestOptions options;
  options.image = kDefaultImage;
  expect_files("kustomize", *kustomization(options));
  expect_files("helm/archway-admission", *helm_chart(options, kDefaultVersion));
  options.certificates = ManifestOptions::Certificates::CertManager;
  expect_files("kustomize-cert-manager", *kustomization(options));
}

TEST(Manifests, AreMadeForAnOlderKubernetes) {
  ManifestOptions options = usual();
  auto pods_webhook = [&] { return (*find(*admission_manifests(options), "MutatingWebhookConfiguration"))["webhooks"].items()[0]; };
  auto budget = [&] { return (*find(*admission_manifests(options), "PodDisruptionBudget"))["apiVersion"].string(); };
  EXPECT_EQ(pods_webhook()["matchConditions"].size(), 2u);
  EXPECT_EQ(budget(), "policy/v1");
  options.kube_minor = kConditionsMinor;
  EXPECT_EQ(pods_webhook()["matchConditions"].size(), 2u);
  options.kube_minor = kConditionsMinor - 1;
  EXPECT_FALSE(pods_webhook().has("matchConditions"));
  EXPECT_EQ(budget(), "policy/v1");
  options.kube_minor = kPolicyMinor - 1;
  EXPECT_EQ(budget(), "policy/v1beta1");
}

TEST(KubeVersion, IsReadAsServersSayIt) {
  const std::pair<const char*, int> good[] = {{"1.20", 20}, {"v1.36.2", 36}, {"1.27.3-gke.100", 27}, {"v1.31+", 31}, {"1.28.3+k3s1", 28}};
  for (const auto& [text, minor] : good) EXPECT_EQ(parse_kube_version(text).value_or(-1), minor) << text;
  for (const char* text : {"", "1", "1.", "2.1", "1.19", "1.x", "v", "latest", "1.99999999999999999999"}) EXPECT_FALSE(parse_kube_version(text).ok()) << text;
}

TEST(TemplateMerge, WritesOnceWhatBothHave) {
  EXPECT_EQ(merge_by_condition("a\nb\nd\n", "a\nc\nd\n", ".X"), "a\n{{- if .X }}\nc\n{{- else }}\nb\n{{- end }}\nd\n");
  EXPECT_EQ(merge_by_condition("a\n", "a\nb\n", ".X"), "a\n{{- if .X }}\nb\n{{- end }}\n");
  EXPECT_EQ(merge_by_condition("a\nb\n", "b\n", ".X"), "{{- if not (.X) }}\na\n{{- end }}\nb\n");
  EXPECT_EQ(merge_by_condition("", "b\n", ".X"), "{{- if .X }}\nb\n{{- end }}\n");
  EXPECT_EQ(merge_by_condition("b\n", "b\n", ".X"), "b\n");
}

// The end of another condition must not be taken for the end of this one.
TEST(TemplateMerge, LeavesConditionsInsideWhole) {
  std::string inside = "{{- if .Y }}\na\n{{- end }}\n";
  EXPECT_EQ(merge_by_condition("a\n", inside, ".X"), "{{- if .X }}\n" + inside + "{{- else }}\na\n{{- end }}\n");
  EXPECT_EQ(merge_by_condition("b\n" + inside, inside, ".X"), "{{- if not (.X) }}\nb\n{{- end }}\n" + inside);
}

TEST(HelmChart, HasAConditionForEachSwitchAndNoMarkLeft) {
  Files files = *helm_chart(usual(), "1.2.3");
  for (const auto& [path, text] : files) {
    EXPECT_EQ(text.find("archway-mark"), std::string::npos) << path;
    EXPECT_EQ(text.find("777001"), std::string::npos) << path;
    // Each begin has its end.
    size_t begins = 0, ends = 0;
    for (const std::string& line : split(text, '\n')) {
      std::string_view word = trim(line);
      if (word.starts_with("{{- if") || word.starts_with("{{- range") || word.starts_with("{{- with")) begins++;
      if (word.starts_with("{{- end")) ends++;
    }
    EXPECT_EQ(begins, ends) << path;
  }
  auto begins_with = [&](const std::string& path, std::string_view text) { return files.contains(path) && files[path].starts_with(text); };
  EXPECT_TRUE(begins_with("templates/issuer-archway-admission.yaml", "{{- if .Values.certManager.enabled }}\n"));
  EXPECT_TRUE(begins_with("templates/secret-archway-admission-tls.yaml", "{{- if not (.Values.certManager.enabled) }}\n"));
  EXPECT_TRUE(begins_with("templates/clusterrole-archway-admission-gates.yaml", "{{- if .Values.gates.enabled }}\n"));
  EXPECT_TRUE(begins_with("templates/service-archway-admission.yaml", "apiVersion: v1\n"));
  EXPECT_FALSE(files.contains("templates/namespace-archway-mark-namespace.yaml"));
}

}  // namespace
}  // namespace archway::admission
