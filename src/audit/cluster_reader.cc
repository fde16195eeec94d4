#include "audit/cluster_reader.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "audit/kubernetes_reader.h"
#include "base/text.h"
#include "kube/pod_images.h"
#include "kube/pull_secrets.h"

namespace archway::audit {

namespace {

// Groups of the API whose objects run nothing.
constexpr std::array<std::string_view, 19> kWithoutImages = {
    "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "certificates.k8s.io",
    "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io", "metrics.k8s.io", "networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io",
    "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io"};

bool of_interest(const kube::Resource& resource) {
  if (resource.plural.find('/') != resource.plural.npos) return false;
  if (resource.group.empty()) {
    for (std::string_view plural : {"pods", "nodes", "configmaps", "podtemplates", "replicationcontrollers"}) {
      if (resource.plural == plural) return true;
    }
    return false;
  }
  if (resource.group == "apps") return resource.plural != "controllerrevisions";
  return std::find(kWithoutImages.begin(), kWithoutImages.end(), resource.group) == kWithoutImages.end();
}

std::vector<kube::Resource> built_in() {
  using namespace kube::resources;
  return {nodes(), deployments(), stateful_sets(), daemon_sets(), replica_sets(), jobs(), cron_jobs(), replication_controllers(), pods(), config_maps()};
}

const Json& at_pointer(const Json& object, std::string_view pointer) {
  const Json* at = &object;
  for (size_t begin = 1; begin < pointer.size();) {
    size_t end = std::min(pointer.find('/', begin), pointer.size());
    at = &(*at)[pointer.substr(begin, end - begin)];
    begin = end + 1;
  }
  return *at;
}

std::string resource_name(const kube::Resource& resource) { return resource.group.empty() ? resource.plural : resource.plural + "." + resource.group; }

class Reader {
 public:
  Reader(kube::Client& client, const ClusterOptions& options) : client_(client), options_(options) { source_ = "cluster:" + (client.access().context.empty() ? client.access().server : client.access().context); }

  Collection read() {
    for (const kube::Resource& resource : resources()) {
      if (options_.stop.stop_requested()) break;
      if (!resource.namespaced) {
        one(resource, "");
      } else if (!options_.name_space.empty()) {
        one(resource, options_.name_space);
      } else {
        everywhere(resource);
      }
    }
    if (options_.stop.stop_requested()) out_.unseen.push_back({source_, "stopped before everything was read"});
    for (const auto& [where, kinds] : refused_) out_.unseen.push_back({where, join(kinds, ", ") + ": not allowed"});
    for (const std::string& secret : missing_) out_.skipped.push_back({"pull secret " + secret, "images that need it may stay unknown"});
    return std::move(out_);
  }

 private:
  std::vector<kube::Resource> resources() {
    auto found = client_.discover(options_.stop);
    if (!found.ok()) {
      out_.unseen.push_back({source_ + ": custom resources", found.error().message});
      return built_in();
    }
    std::vector<kube::Resource> wanted;
    for (kube::Resource& resource : *found) {
      if (of_interest(resource)) wanted.push_back(std::move(resource));
    }
    return wanted;
  }

  static bool is_refusal(const Error& error) { return error.code == Code::Unauthorized; }

  // All namespaces at once; where that is not allowed, one by one, as far as they may be known.
  void everywhere(const kube::Resource& resource) {
    auto listed = list(resource, "");
    if (listed.ok()) return;
    if (!is_refusal(listed.error())) return failed(resource, "all namespaces", listed.error());
    if (!namespaces()) return failed(resource, "all namespaces", listed.error());
    for (const std::string& name_space : *namespaces_) one(resource, name_space);
  }

  const std::optional<std::vector<std::string>>& namespaces() {
    if (namespaces_ || asked_namespaces_) return namespaces_;
    asked_namespaces_ = true;
    std::vector<std::string> names;
    auto listed = client_.list(kube::resources::namespaces(), "", {}, [&](Json object) -> Result<void> {
      names.push_back(object["metadata"]["name"].string());
      return {};
    }, options_.stop);
    if (listed.ok()) namespaces_ = std::move(names);
    return namespaces_;
  }

  void one(const kube::Resource& resource, const std::string& name_space) {
    auto listed = list(resource, name_space);
    if (!listed.ok()) failed(resource, resource.namespaced ? "namespace " + name_space : source_, listed.error());
  }

  void failed(const kube::Resource& resource, const std::string& where, const Error& error) {
    // Served when discovered, gone now, or not to be listed: nothing there to miss.
    if (error.code == Code::NotFound || error.code == Code::Unsupported) return;
    if (is_refusal(error)) {
      refused_[where].push_back(resource_name(resource));
    } else {
      out_.unseen.push_back({resource_name(resource) + " in " + where, error.message});
    }
  }

  Result<void> list(const kube::Resource& resource, const std::string& name_space) {
    // A list that breaks off half way was still seen as far as it went.
    auto listed = client_.list(resource, name_space, {}, [&](Json object) -> Result<void> {
      Where where{source_};
      where.keychain = keychain_of(object);
      arena_.clear();
      read_kubernetes(*value_of_json(object, arena_), where, out_);
      return {};
    }, options_.stop);
    if (!listed.ok()) return listed.error();
    return {};
  }

  // What its pods are pulled with. Pods of one account with equal secrets share it.
  size_t keychain_of(const Json& object) {
    auto pointer = kube::pod_template_path(object["kind"].string());
    if (!pointer) return 0;
    const Json& spec = at_pointer(object, *pointer + "/spec");
    if (!spec.is_object()) return 0;
    const std::string name_space = object["metadata"]["namespace"].string();
    std::string key = name_space + "\n" + spec["serviceAccountName"].string() + "\n" + to_json(spec["imagePullSecrets"]);
    auto known = keychains_.find(key);
    if (known != keychains_.end()) return known->second;
    auto secrets = kube::pull_secrets_of(client_, name_space, spec, options_.stop);
    size_t index = 0;
    if (secrets.ok()) {
      for (std::string& missing : secrets->missing) missing_.insert(std::move(missing));
      Keychain keychain;
      keychain.docker_configs = std::move(secrets->docker_configs);
      index = out_.keychain(std::move(keychain));
    } else {
      missing_.insert(name_space + ": " + secrets.error().message);
    }
    return keychains_[key] = index;
  }

  kube::Client& client_;
  const ClusterOptions& options_;
  std::string source_;
  Collection out_;
  ValueArena arena_;
  std::optional<std::vector<std::string>> namespaces_;
  bool asked_namespaces_ = false;
  std::map<std::string, std::vector<std::string>> refused_;
  std::set<std::string> missing_;
  std::map<std::string, size_t> keychains_;
};

}  // namespace

Collection collect_cluster(kube::Client& client, const ClusterOptions& options) { return Reader(client, options).read(); }

std::string audit_role() {
  return R"(# What `archway audit` reads in a cluster, and no more. Bind it with:
#   kubectl create clusterrolebinding archway-audit --clusterrole=archway-audit --user=NAME
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: archway-audit
rules:
- apiGroups: [""]
  resources: [nodes, namespaces, pods, podtemplates, replicationcontrollers, configmaps, serviceaccounts]
  verbs: [get, list]
- apiGroups: [apps]
  resources: [deployments, replicasets, statefulsets, daemonsets]
  verbs: [get, list]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [get, list]
# Templates in custom resources: one entry per group that the cluster serves and that runs pods.
- apiGroups: [argoproj.io, tekton.dev, serving.knative.dev, monitoring.coreos.com, keda.sh, apps.kruise.io, ray.io, kubeflow.org]
  resources: ["*"]
  verbs: [get, list]
# Pull secrets, to look private images up as the kubelet would. Without it those images stay unknown unless docker's own
# configuration has credentials for them. Secrets are read one by one, by the names that pods give; none is listed.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
)";
}

}  // namespace archway::audit
