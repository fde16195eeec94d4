#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "scheduler/plan.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kArchKeys[] = {"kubernetes.io/arch", "beta.kubernetes.io/arch"};
constexpr std::string_view kTypeKeys[] = {"node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"};

bool is_arch(std::string_view key) { return std::find(std::begin(kArchKeys), std::end(kArchKeys), key) != std::end(kArchKeys); }
bool is_type(std::string_view key) { return std::find(std::begin(kTypeKeys), std::end(kTypeKeys), key) != std::end(kTypeKeys); }

// A pod of one workload, and what is known of the whole.
struct Sample {
  std::string name, kind, key;
  const Pod* pod = nullptr;
  std::shared_ptr<const kube::PodSpec> spec, declared;  // of the pod; of the workload's template, null where that is not among the input
  std::set<std::string> architectures;                  // of the nodes where its pods run
  size_t pods = 0;
  bool bare = false, mirror = false;
};

void judge_images(const Sample& sample, const ImageKnowledge& images, const Platform& want, PlanWorkload& workload) {
  std::set<std::string> seen;
  for (const auto* list : {&sample.spec->init_containers, &sample.spec->containers}) {
    for (const kube::Container& container : *list) {
      if (!seen.insert(container.image).second) continue;
      const ImageTruth* truth = images.truths.find(container.image);
      if (truth && truth->runs_on(want)) continue;
      std::string why;
      if (!truth) {
        bool assumed = std::any_of(images.assumed.begin(), images.assumed.end(), [&](const Platform& each) { return platform_matches(want, each, Fallback::Forbid); });
        if (assumed) continue;
        why = images.assumed.empty() ? "nothing is known of it" : "it is assumed not to have " + want.str();
      } else {
        auto wrong = std::find_if(truth->wrong.begin(), truth->wrong.end(), [&](const WrongPlatform& each) { return platform_matches(want, each.platform, Fallback::Forbid); });
        why = wrong != truth->wrong.end() ? "it declares " + want.str() + " and does not hold it" + (wrong->why.empty() ? "" : ": " + wrong->why) : explain_no_match(want, truth->platforms);
      }
      workload.blocking_images.push_back(container.image);
      workload.reasons.push_back("image " + container.image + ": " + why);
    }
  }
}

// An expression on the architecture, made to take `wanted`; nullopt where nothing is left of it.
std::optional<kube::Requirement> widened(kube::Requirement each, const std::string& wanted) {
  using enum kube::SelectorOperator;
  if (!is_arch(each.key)) return each;
  if (each.op == In && std::find(each.values.begin(), each.values.end(), wanted) == each.values.end()) {
    each.values.push_back(wanted);
    std::sort(each.values.begin(), each.values.end());
  } else if (each.op == NotIn) {
    std::erase(each.values, wanted);
    if (each.values.empty()) return std::nullopt;
  } else if (each.op == DoesNotExist) {
    return std::nullopt;
  }
  return each;
}

std::vector<kube::NodeSelectorTerm> widened(std::vector<kube::NodeSelectorTerm> terms, const std::string& wanted) {
  for (kube::NodeSelectorTerm& term : terms) {
    bool had = !term.expressions.empty();
    std::vector<kube::Requirement> kept;
    for (kube::Requirement& each : term.expressions) {
      if (auto wide = widened(std::move(each), wanted)) kept.push_back(std::move(*wide));
    }
    // A term without expressions would match nothing.
    if (had && kept.empty()) kept.push_back({std::string(kArchKeys[0]), kube::SelectorOperator::Exists, {}});
    term.expressions = std::move(kept);
  }
  return terms;
}

Json terms_json(const std::vector<kube::NodeSelectorTerm>& terms) {
  auto list = [](const std::vector<kube::Requirement>& requirements) {
    Json array = Json::array();
    for (const kube::Requirement& each : requirements) {
      Json json = Json::object({{"key", each.key}, {"operator", kube::operator_name(each.op)}});
      if (!each.values.empty()) json.set("values", Json(each.values));
      array.push(std::move(json));
    }
    return array;
  };
  Json all = Json::array();
  for (const kube::NodeSelectorTerm& term : terms) {
    Json json = Json::object();
    if (!term.expressions.empty()) json.set("matchExpressions", list(term.expressions));
    if (!term.fields.empty()) json.set("matchFields", list(term.fields));
    all.push(std::move(json));
  }
  return all;
}

std::string shell_quoted(const std::string& text) { return "'" + replace_all(text, "'", "'\\''") + "'"; }

PlanPatch patch_of(const Sample& sample, Json operations) {
  auto [name_space, name] = cut(sample.key, '/');
  PlanPatch patch{sample.name, "", std::move(operations)};
  patch.command = "kubectl -n " + std::string(name_space) + " patch " + to_lower(sample.kind) + " " + std::string(name.value_or("")) + " --type json -p " + shell_quoted(to_json(patch.patch));
  return patch;
}

std::string template_path(const std::string& kind) { return kind == "CronJob" ? "/spec/jobTemplate/spec/template/spec" : "/spec/template/spec"; }

Json add(const std::string& path, Json value) { return Json::object({{"op", "add"}, {"path", path}, {"value", std::move(value)}}); }

Json toleration_json(const kube::Taint& taint) {
  Json json = Json::object({{"key", taint.key}, {"operator", taint.value.empty() ? "Exists" : "Equal"}});
  if (!taint.value.empty()) json.set("value", taint.value);
  json.set("effect", taint.effect);
  return json;
}

// JSON patches add to lists that are there and leave the rest alone; what is there, the workload's template says. Without it the pod does,
// less what admission added.
std::optional<PlanPatch> toleration_patch(const Sample& sample, const PlanOptions& options) {
  const kube::PodSpec& spec = sample.declared ? *sample.declared : *sample.spec;
  if (kube::tolerated(options.taint, spec.tolerations)) return std::nullopt;
  bool any = std::any_of(spec.tolerations.begin(), spec.tolerations.end(), [&](const kube::Toleration& each) { return sample.declared || !each.key.starts_with("node.kubernetes.io/"); });
  std::string path = template_path(sample.kind) + "/tolerations";
  Json operations = Json::array();
  if (any) {
    operations.push(add(path + "/-", toleration_json(options.taint)));
  } else {
    Json list = Json::array();
    list.push(toleration_json(options.taint));
    operations.push(add(path, std::move(list)));
  }
  return patch_of(sample, std::move(operations));
}

std::optional<PlanPatch> move_patch(const Sample& sample, const PlanOptions& options) {
  const kube::PodSpec& spec = sample.declared ? *sample.declared : *sample.spec;
  std::string base = template_path(sample.kind);
  Json operations = Json::array();
  if (spec.has_node_selector || !spec.node_selector.empty()) {
    operations.push(add(base + "/nodeSelector/kubernetes.io~1arch", options.architecture));
    if (spec.node_selector.find(kArchKeys[1])) operations.push(Json::object({{"op", "remove"}, {"path", base + "/nodeSelector/beta.kubernetes.io~1arch"}}));
  } else {
    operations.push(add(base + "/nodeSelector", Json::object({{kArchKeys[0], options.architecture}})));
  }
  if (spec.node_affinity.required) {
    auto terms = widened(*spec.node_affinity.required, options.architecture);
    if (terms != *spec.node_affinity.required) {
      operations.push(Json::object({{"op", "replace"}, {"path", base + "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms"}, {"value", terms_json(terms)}}));
    }
  }
  return patch_of(sample, std::move(operations));
}

bool names_type(const kube::PodSpec& spec) {
  for (const auto& [key, value] : spec.node_selector) {
    if (is_type(key)) return true;
  }
  if (!spec.node_affinity.required) return false;
  for (const kube::NodeSelectorTerm& term : *spec.node_affinity.required) {
    for (const kube::Requirement& each : term.expressions) {
      if (is_type(each.key) && each.op == kube::SelectorOperator::In) return true;
    }
  }
  return false;
}

Sample sample_of(const Inventory& inventory, const Pod& pod) {
  Sample sample;
  sample.name = workload_name(inventory, pod);
  auto [kind, key] = cut(sample.name, ' ');
  sample.kind = kind;
  sample.key = key.value_or("");
  sample.pod = &pod;
  sample.spec = pod.spec;
  const kube::Workload* workload = inventory.find_workload(sample.kind, sample.key);
  if (workload && workload->pod) sample.declared = workload->pod->spec;
  const kube::OwnerReference* owner = pod.meta.controller();
  sample.bare = !owner;
  sample.mirror = owner && owner->kind == "Node";
  return sample;
}

PlanWorkload judge(const Sample& sample, const ImageKnowledge& images, const PlanOptions& options) {
  PlanWorkload workload;
  workload.name = sample.name;
  workload.pods = sample.pods;
  Platform want = normalize_platform({"linux", options.architecture});
  if (sample.architectures.size() == 1 && sample.architectures.contains(options.architecture)) {
    workload.state = PlanWorkload::State::There;
    return workload;
  }
  auto stays = [&](std::string why) { workload.reasons.push_back(std::move(why)); };
  if (sample.mirror) stays("the kubelet of its node runs it from a file");
  if (sample.bare && !sample.mirror) stays("it is a bare pod: nothing would create it again elsewhere");
  if (sample.kind == "Job") stays("a Job's template cannot be changed; the next one can");
  if (names_type(*sample.spec)) stays("it asks for a machine type by name");
  if (sample.spec->node_selector.find(kHostnameLabel)) stays("it asks for a node by name");
  if (sample.architectures.contains(options.architecture) && sample.architectures.size() > 1) workload.cautions.push_back("some of its pods are on " + options.architecture + " already");
  bool bound = std::any_of(sample.spec->volumes.begin(), sample.spec->volumes.end(), [](const kube::PodVolume& each) { return !each.claim.empty(); });
  if (bound) workload.cautions.push_back("its volumes bind it to their zones");
  if (!workload.reasons.empty()) return workload;
  judge_images(sample, images, want, workload);
  workload.state = workload.reasons.empty() ? PlanWorkload::State::Moves : PlanWorkload::State::Blocked;
  if (workload.state == PlanWorkload::State::Moves) {
    workload.tolerate = toleration_patch(sample, options);
    workload.move = move_patch(sample, options);
  }
  return workload;
}

}  // namespace

std::string workload_name(const Inventory& inventory, const Pod& pod) {
  const kube::OwnerReference* owner = pod.meta.controller();
  if (!owner) return "Pod " + pod.meta.key();
  std::string key = pod.meta.name_space + "/" + owner->name;
  const kube::Workload* workload = inventory.find_workload(owner->kind, key);
  const kube::OwnerReference* above = workload ? workload->meta.controller() : nullptr;
  if (above) return above->kind + " " + pod.meta.name_space + "/" + above->name;
  // A ReplicaSet that nobody listed is a Deployment's, if it has the hash of its template at its end.
  const std::string* hash = pod.meta.labels.find("pod-template-hash");
  if (!workload && owner->kind == "ReplicaSet" && hash && owner->name.ends_with("-" + *hash)) {
    return "Deployment " + pod.meta.name_space + "/" + owner->name.substr(0, owner->name.size() - hash->size() - 1);
  }
  return owner->kind + " " + key;
}

std::shared_ptr<const kube::PodSpec> moved_spec(const kube::PodSpec& spec, const PlanOptions& options) {
  auto moved = std::make_shared<kube::PodSpec>(spec);
  if (!kube::tolerated(options.taint, moved->tolerations)) {
    moved->tolerations.push_back({options.taint.key, options.taint.value.empty() ? "Exists" : "Equal", options.taint.value, options.taint.effect});
  }
  moved->node_selector.erase(kArchKeys[1]);
  moved->node_selector.set(kArchKeys[0], options.architecture);
  moved->has_node_selector = true;
  if (moved->node_affinity.required) moved->node_affinity.required = widened(*moved->node_affinity.required, options.architecture);
  return moved;
}

std::vector<PlanWorkload> classify_workloads(const Inventory& inventory, const ImageKnowledge& images, const PlanOptions& options) {
  std::map<std::string, std::string> architecture_of_node;
  for (const Node& node : inventory.nodes) architecture_of_node[node.name()] = node.architecture();
  std::map<std::string, Sample> samples;
  for (const Pod& pod : inventory.pods) {
    const kube::OwnerReference* owner = pod.meta.controller();
    if (pod.finished() || (owner && owner->kind == "DaemonSet")) continue;
    Sample sample = sample_of(inventory, pod);
    Sample& known = samples.try_emplace(sample.name, sample).first->second;
    ++known.pods;
    auto node = architecture_of_node.find(pod.node_name);
    if (node != architecture_of_node.end()) known.architectures.insert(node->second);
  }
  std::vector<PlanWorkload> workloads;
  for (const auto& [name, sample] : samples) workloads.push_back(judge(sample, images, options));
  return workloads;
}

std::vector<PlanWorkload> classify_daemons(const Inventory& inventory, const ImageKnowledge& images, const PlanOptions& options) {
  std::vector<PlanWorkload> daemons;
  Platform want = normalize_platform({"linux", options.architecture});
  for (const kube::Workload& each : inventory.workloads) {
    if (each.kind != "DaemonSet" || !each.pod) continue;
    Sample sample;
    sample.name = "DaemonSet " + each.meta.key();
    sample.kind = each.kind;
    sample.key = each.meta.key();
    sample.spec = sample.declared = each.pod->spec;
    PlanWorkload daemon;
    daemon.name = sample.name;
    judge_images(sample, images, want, daemon);
    bool tolerates = kube::tolerated(options.taint, sample.spec->tolerations);
    if (!daemon.reasons.empty()) {
      daemon.state = PlanWorkload::State::Blocked;
      if (tolerates) daemon.cautions.push_back("it tolerates everything that keeps it away, so it would be started on " + options.architecture + " nodes and fail there");
    } else {
      daemon.state = PlanWorkload::State::Moves;
      daemon.tolerate = toleration_patch(sample, options);
      auto pinned = [&](const std::string& key, const std::string& value) { return is_arch(key) && value != options.architecture; };
      for (const auto& [key, value] : sample.spec->node_selector) {
        if (pinned(key, value)) daemon.cautions.push_back("its nodeSelector " + key + "=" + value + " keeps it off " + options.architecture + " nodes: no pod is created there");
      }
    }
    daemons.push_back(std::move(daemon));
  }
  std::sort(daemons.begin(), daemons.end(), [](const PlanWorkload& a, const PlanWorkload& b) { return a.name < b.name; });
  return daemons;
}

}  // namespace archway::scheduler
