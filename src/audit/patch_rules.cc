#include "audit/patch_rules.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace archway::audit {

namespace {

bool is_index(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == text.npos; }

bool is_metadata(std::string_view path) { return path.starts_with("/metadata/"); }

// "/spec/containers/0/image"
bool is_container_image(std::string_view path) {
  for (std::string_view list : {"/spec/containers/", "/spec/initContainers/"}) {
    if (!path.starts_with(list)) continue;
    auto [index, member] = cut(path.substr(list.size()), '/');
    return is_index(index) && member == "image";
  }
  return false;
}

// Before a pod with gates is scheduled, where it may go can be narrowed (KEP-3838).
bool narrows(const Json& operation, std::string_view path) {
  if (operation["op"].string() != "add") return false;
  if (path == "/spec/nodeSelector" || path.starts_with("/spec/nodeSelector/")) return true;
  if (path == "/spec/affinity" && !(operation["value"].size() == 1 && operation["value"].has("nodeAffinity"))) return false;
  constexpr std::string_view kRequired = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
  if (kRequired.starts_with(path) || path == kRequired) return path.starts_with("/spec/affinity");
  return path.starts_with(std::string(kRequired) + "/nodeSelectorTerms/") && (path.ends_with("/matchExpressions/-") || path.ends_with("/matchExpressions"));
}

bool may_change_pod(const Json& pod, const Json& operation, std::string_view path) {
  if (is_metadata(path) || is_container_image(path) || path == "/spec/activeDeadlineSeconds" || path == "/spec/terminationGracePeriodSeconds") return true;
  if (operation["op"].string() == "add" && (path == "/spec/tolerations" || path.starts_with("/spec/tolerations/"))) return true;
  return pod["spec"]["schedulingGates"].size() > 0 && narrows(operation, path);
}

// Of a Job that waits and never ran, where its pods go (KEP-2926); of others nothing in the template.
bool may_change_job(const Json& job, std::string_view path) {
  constexpr std::string_view kTemplate = "/spec/template/";
  if (!path.starts_with(kTemplate)) return true;
  if (!job["spec"]["suspend"].boolean() || !job["status"]["startTime"].is_null()) return false;
  std::string_view below = path.substr(kTemplate.size());
  for (std::string_view member : {"spec/nodeSelector", "spec/affinity", "spec/tolerations", "spec/schedulingGates", "metadata/labels", "metadata/annotations"}) {
    if (below == member || (below.starts_with(member) && below[member.size()] == '/')) return true;
  }
  return false;
}

bool may_change(const ChangedObject& object, const Json& operation) {
  const std::string& path = operation["path"].string();
  if (object.kind == "Pod") return may_change_pod(object.have, operation, path);
  if (object.kind == "Job" && object.api_version.starts_with("batch/")) return may_change_job(object.have, path);
  if (object.kind == "ConfigMap" && object.have["immutable"].boolean()) return is_metadata(path);
  return true;
}

std::string fixed_part(const ChangedObject& object) {
  if (object.kind == "Pod") return "of a pod only images can change, and tolerations be added";
  if (object.kind == "Job") return "a Job's template is fixed once it is there";
  return "it says that it is immutable";
}

}  // namespace

std::string why_unpatchable(const ChangedObject& object, const Json& operations) {
  if (object.have["metadata"]["annotations"].has("kubernetes.io/config.mirror")) return "the kubelet made it of a file on its node, which is to be changed";
  for (const Json& operation : operations.items()) {
    if (operation["op"].string() != "test" && !may_change(object, operation)) return fixed_part(object);
  }
  return {};
}

std::vector<std::string> other_keepers(const Json& object) {
  std::vector<std::string> keepers;
  const Json& meta = object["metadata"];
  for (const Json& owner : meta["ownerReferences"].items()) {
    if (owner["controller"].boolean()) keepers.push_back("made by " + owner["kind"].string() + " " + owner["name"].string() + ", which may change it back: change it there as well");
  }
  const std::string& release = meta["annotations"]["meta.helm.sh/release-name"].string();
  if (!release.empty()) keepers.push_back("of the Helm release " + release + ": the next upgrade changes it back unless the chart's values say it too");
  struct Mark {
    std::string_view list, key, who;
  };
  constexpr std::array<Mark, 3> kMarks = {{{"annotations", "argocd.argoproj.io/tracking-id", "Argo CD"},
                                           {"labels", "kustomize.toolkit.fluxcd.io/name", "Flux"},
                                           {"labels", "helm.toolkit.fluxcd.io/name", "Flux"}}};
  for (const Mark& mark : kMarks) {
    if (meta[mark.list].has(mark.key)) keepers.push_back("kept by " + std::string(mark.who) + " as its source says: change it there as well");
  }
  return keepers;
}

Json as_created_anew(const Json& object) {
  Json anew = object;
  anew.erase("status");
  if (Json* meta = anew.find("metadata")) {
    for (std::string_view key : {"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"}) meta->erase(key);
  }
  Json* spec = anew.find("spec");
  if (!spec || !spec->is_object()) return anew;
  const std::string& kind = object["kind"].string();
  if (kind == "Pod") spec->erase("nodeName");
  if (kind != "Job" || (*spec)["manualSelector"].boolean()) return anew;
  // The server makes both of these up, from the Job's uid.
  spec->erase("selector");
  Json* pod = spec->find("template");
  Json* pod_meta = pod ? pod->find("metadata") : nullptr;
  Json* metas[] = {anew.find("metadata"), pod_meta};
  for (Json* each : metas) {
    Json* labels = each ? each->find("labels") : nullptr;
    if (!labels) continue;
    for (std::string_view key : {"controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"}) labels->erase(key);
  }
  return anew;
}

}  // namespace archway::audit
