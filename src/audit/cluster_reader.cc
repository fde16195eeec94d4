#include "audit/cluster_reader.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>

#include "audit/kubernetes_reader.h"
#include "audit/pull_keychains.h"
#include "base/text.h"
#include "base/thread_pool.h"

namespace archway::audit {

namespace {

// Groups of the API whose objects run nothing: Kubernetes' own, and some of others that are large or speak of images that somebody else runs.
constexpr std::array<std::string_view, 31> kWithoutImages = {
    "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "certificates.k8s.io",
    "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io", "metrics.k8s.io", "networking.k8s.io", "node.k8s.io",
    "policy", "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
    "acme.cert-manager.io", "aquasecurity.github.io", "cert-manager.io", "cilium.io", "crd.projectcalico.org", "custom.metrics.k8s.io", "external.metrics.k8s.io", "gateway.networking.k8s.io", "wgpolicyk8s.io"};

bool may_run_images(std::string_view group) { return std::find(kWithoutImages.begin(), kWithoutImages.end(), group) == kWithoutImages.end(); }

bool of_interest(const kube::Resource& resource) {
  if (resource.plural.find('/') != resource.plural.npos) return false;
  if (resource.group.empty()) {
    for (std::string_view plural : {"pods", "nodes", "configmaps", "podtemplates", "replicationcontrollers"}) {
      if (resource.plural == plural) return true;
    }
    return false;
  }
  if (resource.group == "apps") return resource.plural != "controllerrevisions";
  return may_run_images(resource.group);
}

std::vector<kube::Resource> built_in() {
  using namespace kube::resources;
  return {nodes(), deployments(), stateful_sets(), daemon_sets(), replica_sets(), jobs(), cron_jobs(), replication_controllers(), pods(), config_maps()};
}

std::string resource_name(const kube::Resource& resource) { return resource.group.empty() ? resource.plural : resource.plural + "." + resource.group; }

std::string told(const Error& error) { return error.message + (error.hint.empty() ? "" : "; " + error.hint); }

// Pods of a ReplicaSet, Jobs of a CronJob: they change with what made them. What operators make they watch over as well, but it is
// where people look, and where a change can be tried.
bool is_made_by_another(const Json& object) {
  const std::string& kind = object["kind"].string();
  if (kind == "Deployment" || kind == "StatefulSet" || kind == "DaemonSet" || kind == "CronJob") return false;
  for (const Json& owner : object["metadata"]["ownerReferences"].items()) {
    if (owner["controller"].boolean()) return true;
  }
  return false;
}

// A Job that has begun can be changed less than one that waits; the rest says nothing to whoever edits.
void keep_of_status(Json& object) {
  Json begun = object["status"]["startTime"];
  object.erase("status");
  if (object["kind"].string() == "Job" && begun.is_string()) object.set("status", Json::object({{"startTime", std::move(begun)}}));
}

// What may be changed, as a document that has places.
class ClusterText {
 public:
  explicit ClusterText(std::string& text) : text_(text) {}

  void add(Json object, const std::string& source, size_t keychain, Collection& out) {
    if (Json* meta = object.find("metadata")) meta->erase("managedFields");
    keep_of_status(object);
    text_ += "---\n";
    ++line_;
    size_t begin = text_.size();
    text_ += to_json(object, {.indent = 2}) + "\n";
    Where where{source};
    where.document = document_++;
    where.keychain = keychain;
    arena_.clear();
    auto read = parse_value_trees(text_, arena_, {begin, line_, text_.size() - begin});
    line_ += static_cast<size_t>(std::count(text_.begin() + static_cast<long>(begin), text_.end(), '\n'));
    if (read.ok() && !read->empty() && (*read)[0].root) return read_kubernetes(*(*read)[0].root, where, out);
    // YAML cannot say it (a control character in a name): then it is seen all the same, and has no place.
    arena_.clear();
    read_kubernetes(*value_of_json(object, arena_), where, out);
  }

 private:
  std::string& text_;
  size_t line_ = 0, document_ = 0;
  ValueArena arena_;
};

class Reader {
 public:
  Reader(kube::Client& client, const ClusterOptions& options) : client_(client), options_(options), keychains_(client, options.stop) {
    source_ = "cluster:" + (client.access().context.empty() ? client.access().server : client.access().context);
  }

  Collection read() {
    auto wanted = resources();
    if (!wanted.ok()) {
      out_.unseen.push_back({source_, told(wanted.error())});
      return std::move(out_);
    }
    keychains_.list_accounts(options_.name_spaces);
    std::vector<Part> parts(wanted->size());
    auto task = options_.progress ? options_.progress->start("reading " + source_) : nullptr;
    if (task) task->set_total(parts.size());
    auto done = parallel_for(parts.size(), kClusterThreads, [&](size_t i) -> Result<void> {
      resource((*wanted)[i], parts[i]);
      if (task) task->advance(1);
      return {};
    });
    (void)done.ok();  // the body does not fail
    if (task) task->done();
    for (Part& part : parts) join(part);
    finish();
    return std::move(out_);
  }

 private:
  // What came of one kind; merged in order, so that the report does not depend on who was quicker.
  struct Part {
    Collection out;
    ValueArena arena;
    std::vector<std::pair<Json, size_t>> texts;          // objects with places, and their keychains
    std::map<const Keychain*, size_t> keychains;         // in `out`
    std::map<std::string, std::vector<std::string>> refused;  // where, to kinds
    std::vector<std::string> unread;                     // kinds, when the cluster was gone
  };

  Result<std::vector<kube::Resource>> resources() {
    auto found = client_.discover(options_.stop);
    if (!found.ok()) {
      // Nobody there, or nobody who knows us: every other request would end like this one.
      if (!kube::is_forbidden(found.error())) return std::move(found).error();
      out_.unseen.push_back({source_ + ": custom resources", told(found.error())});
      return built_in();
    }
    std::vector<kube::Resource> wanted;
    for (kube::Resource& resource : found->resources) {
      if (of_interest(resource)) wanted.push_back(std::move(resource));
    }
    for (const kube::Discovery::Hidden& hidden : found->hidden) {
      if (may_run_images(hidden.group)) out_.unseen.push_back({"kinds of " + hidden.group + "/" + hidden.version + " in " + source_, hidden.why});
    }
    return wanted;
  }

  void resource(const kube::Resource& resource, Part& part) {
    if (options_.stop.stop_requested()) return;
    if (options_.name_spaces.empty()) return resource.namespaced ? everywhere(resource, part) : one(resource, "", part);
    if (!resource.namespaced) return whole_cluster(resource, part);
    for (const std::string& name_space : options_.name_spaces) one(resource, name_space, part);
  }

  // Of one namespace alone; but its pods go to nodes, whose taints are of interest where they may be read.
  void whole_cluster(const kube::Resource& resource, Part& part) {
    if (!(resource == kube::resources::nodes()) || gone()) return;
    auto listed = list(resource, "", part);
    if (listed.ok()) return;
    if (!is_refusal(listed.error())) return failed(resource, source_, listed.error(), part);
    part.out.skipped.push_back({"nodes of " + source_, "not allowed: give their taints with --taint"});
  }

  // All namespaces at once; where that is not allowed, one by one, as far as they may be known.
  void everywhere(const kube::Resource& resource, Part& part) {
    if (gone()) return part.unread.push_back(resource_name(resource));
    auto listed = list(resource, "", part);
    if (listed.ok()) return;
    if (!is_refusal(listed.error())) return failed(resource, "all namespaces", listed.error(), part);
    const Namespaces& all = namespaces();
    if (!all.complete) part.refused["all namespaces but " + join_names(all.names)].push_back(resource_name(resource));
    for (const std::string& name_space : all.names) one(resource, name_space, part);
  }

  static std::string join_names(const std::vector<std::string>& names) { return archway::join(names, ", "); }

  // Where namespaces may not be listed, the context's own is the one that we know of.
  struct Namespaces {
    std::vector<std::string> names;
    bool complete = false;
  };
  const Namespaces& namespaces() {
    std::call_once(namespaces_once_, [&] {
      std::vector<std::string> names;
      auto listed = client_.list(kube::resources::namespaces(), "", {}, [&](Json object) -> Result<void> {
        if (names.size() == kMaxNamespaces) return Error{Code::Invalid, "more than " + std::to_string(kMaxNamespaces) + " namespaces"};
        names.push_back(object["metadata"]["name"].string());
        return {};
      }, options_.stop);
      namespaces_.complete = listed.ok();
      namespaces_.names = listed.ok() ? std::move(names) : std::vector<std::string>{client_.access().name_space};
    });
    return namespaces_;
  }

  void one(const kube::Resource& resource, const std::string& name_space, Part& part) {
    if (options_.stop.stop_requested()) return;
    if (gone()) return part.unread.push_back(resource_name(resource));
    auto listed = list(resource, name_space, part);
    if (!listed.ok()) failed(resource, resource.namespaced ? "namespace " + name_space : source_, listed.error(), part);
  }

  static bool is_refusal(const Error& error) { return error.code == Code::Unauthorized && error.message.find("forbidden") != std::string::npos; }

  void failed(const kube::Resource& resource, const std::string& where, const Error& error, Part& part) {
    // Served when discovered, gone now, or not to be listed: nothing there to miss.
    if (error.code == Code::NotFound || error.code == Code::Unsupported || error.code == Code::Cancelled) return;
    if (is_refusal(error)) return part.refused[where].push_back(resource_name(resource));
    part.out.unseen.push_back({resource_name(resource) + " in " + where, told(error)});
    if (error.code == Code::Unauthorized || (error.code == Code::Unavailable && !answers())) gone_ = true;
  }

  // One kind may be out of order (an aggregated server); or the cluster is, and then nobody asks it again: each request would wait in vain.
  bool answers() {
    std::lock_guard lock(answers_mutex_);
    if (gone()) return false;
    auto version = client_.server_version(options_.stop);
    return version.ok() || version.error().code != Code::Unavailable;
  }
  bool gone() const { return gone_; }

  Result<void> list(const kube::Resource& resource, const std::string& name_space, Part& part) {
    // A list that breaks off half way was still seen as far as it went.
    auto listed = client_.list(resource, name_space, {}, [&](Json object) -> Result<void> {
      size_t keychain = keychain_of(object, part);
      if (options_.text && object["kind"].string() != "Node" && !is_made_by_another(object)) {
        part.texts.emplace_back(std::move(object), keychain);
        return {};
      }
      Where where{source_};
      where.keychain = keychain;
      part.arena.clear();
      read_kubernetes(*value_of_json(object, part.arena), where, part.out);
      return {};
    }, options_.stop);
    if (!listed.ok()) return listed.error();
    return {};
  }

  size_t keychain_of(const Json& object, Part& part) {
    auto keychain = keychains_.of(object);
    if (!keychain) return 0;
    auto [at, fresh] = part.keychains.try_emplace(keychain.get());
    if (fresh) at->second = part.out.keychain(*keychain);
    return at->second;
  }

  void join(Part& part) {
    if (options_.text) {
      ClusterText& text = *text_;
      for (auto& [object, keychain] : part.texts) text.add(std::move(object), source_, keychain, part.out);
    }
    for (auto& [where, kinds] : part.refused) {
      auto& all = refused_[where];
      all.insert(all.end(), kinds.begin(), kinds.end());
    }
    unread_.insert(unread_.end(), part.unread.begin(), part.unread.end());
    out_.merge(std::move(part.out));
  }

  void finish() {
    if (options_.stop.stop_requested()) out_.unseen.push_back({source_, "stopped before everything was read"});
    for (const auto& [where, kinds] : refused_) {
      bool guessed = where.starts_with("all namespaces but ");
      out_.unseen.push_back({where, archway::join(kinds, ", ") + (guessed ? ": not allowed, nor to list namespaces: name others with -n" : ": not allowed")});
    }
    if (!unread_.empty()) out_.unseen.push_back({archway::join(unread_, ", ") + " in " + source_, "not asked for, since it no longer answers"});
    for (const std::string& secret : keychains_.missing()) out_.skipped.push_back({"pull secret " + secret, "images that need it may stay unknown"});
  }

  kube::Client& client_;
  const ClusterOptions& options_;
  std::string source_;
  PullKeychains keychains_;
  Collection out_;
  std::optional<ClusterText> text_ = options_.text ? std::optional<ClusterText>(*options_.text) : std::nullopt;
  std::once_flag namespaces_once_;
  Namespaces namespaces_;
  std::mutex answers_mutex_;
  std::atomic<bool> gone_ = false;
  std::map<std::string, std::vector<std::string>> refused_;
  std::vector<std::string> unread_;
};

// One rule of a role.
std::string rule(const std::string& comment, const std::string& group, const std::vector<std::string>& resources, const std::string& verbs = "get, list") {
  std::string text;
  for (const std::string& line : split(comment, '\n')) {
    if (!line.empty()) text += "# " + line + "\n";
  }
  return text + "- apiGroups: [" + (group.empty() ? "\"\"" : group) + "]\n  resources: [" + join(resources, ", ") + "]\n  verbs: [" + verbs + "]\n";
}

constexpr std::string_view kWellKnown = "argoproj.io, tekton.dev, serving.knative.dev, monitoring.coreos.com, keda.sh, apps.kruise.io, ray.io, kubeflow.org";

std::string custom_rules(bool namespaced_only, const std::vector<kube::Resource>* served) {
  if (!served) {
    return rule("Templates in custom resources: one entry per group that the cluster serves and that runs pods. With --context, --kubeconfig or\n-A the groups of that cluster are listed here.",
                std::string(kWellKnown), {"\"*\""});
  }
  std::map<std::string, std::vector<std::string>> groups;
  for (const kube::Resource& resource : *served) {
    bool built_in = resource.group.empty() || resource.group == "apps" || resource.group == "batch";
    if (!built_in && of_interest(resource) && (resource.namespaced || !namespaced_only)) groups[resource.group].push_back(resource.plural);
  }
  std::string text;
  for (auto& [group, plurals] : groups) {
    std::sort(plurals.begin(), plurals.end());
    text += rule(text.empty() ? "Custom resources, which may hold templates of pods." : "", group, plurals);
  }
  return text;
}

}  // namespace

Collection collect_cluster(kube::Client& client, const ClusterOptions& options) { return Reader(client, options).read(); }

std::string audit_role(const std::string& name_space, const std::vector<kube::Resource>* served) {
  bool one = !name_space.empty();
  std::string kind = one ? "Role" : "ClusterRole";
  std::string text = "# What `archway audit" + (one ? " -n " + name_space : "") + "` reads in a cluster, and no more. Bind it with:\n#   kubectl create " + (one ? "-n " + name_space + " rolebinding" : "clusterrolebinding") +
                     " archway-audit --" + to_lower(kind) + "=archway-audit --user=NAME\n";
  text += "apiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "\nmetadata:\n  name: archway-audit\n" + (one ? "  namespace: " + name_space + "\n" : "") + "rules:\n";
  std::vector<std::string> core = {"pods", "podtemplates", "replicationcontrollers", "configmaps", "serviceaccounts"};
  if (!one) core.insert(core.begin(), {"nodes", "namespaces"});
  text += rule("", "", core);
  text += rule("", "apps", {"deployments", "replicasets", "statefulsets", "daemonsets"});
  text += rule("", "batch", {"jobs", "cronjobs"});
  text += custom_rules(one, served);
  text += rule("Pull secrets, to look private images up as the kubelet would. Without it those images stay unknown unless docker's own\nconfiguration has credentials for them. "
               "Secrets are read one by one, by the names that pods give; none is listed.", "", {"secrets"}, "get");
  return text;
}

}  // namespace archway::audit
