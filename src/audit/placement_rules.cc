#include "audit/placement_rules.h"

#include <algorithm>
#include <set>

#include "audit/finding_id.h"
#include "audit/ranges.h"
#include "base/text.h"

namespace archway::audit {

namespace {

constexpr std::string_view kArch = "kubernetes.io/arch";
constexpr size_t kWorkloadsAtOnce = 1000;  // that one thread takes up

bool excludes(const ArchClause& clause, const std::string& architecture) {
  kube::Labels labels({{clause.requirement.key, architecture}});
  return !clause.requirement.matches(labels);
}

// The clauses that keep pods off an architecture's nodes: a selector's; or, where every term of the affinity has one, all of those.
std::vector<const ArchClause*> excluding(const PodPlacement& placement, const std::string& architecture) {
  std::vector<const ArchClause*> found;
  std::set<size_t> terms;
  for (const ArchClause& clause : placement.clauses) {
    if (clause.where == ArchClause::Where::Selector && excludes(clause, architecture)) found.push_back(&clause);
    if (clause.where == ArchClause::Where::Required && excludes(clause, architecture)) terms.insert(clause.term);
  }
  if (!placement.affinity.required) return found;
  size_t open = 0;
  for (size_t i = 0; i < placement.affinity.required->size(); ++i) {
    const kube::NodeSelectorTerm& term = (*placement.affinity.required)[i];
    if (!terms.contains(i) && (!term.expressions.empty() || !term.fields.empty())) ++open;
  }
  if (open > 0) return found;
  for (const ArchClause& clause : placement.clauses) {
    if (clause.where == ArchClause::Where::Required && excludes(clause, architecture)) found.push_back(&clause);
  }
  return found;
}

// Does something say "only this architecture"?
const ArchClause* demands(const PodPlacement& placement, const std::string& architecture) {
  for (const ArchClause& clause : placement.clauses) {
    if (clause.where == ArchClause::Where::Preferred || clause.requirement.op != kube::SelectorOperator::In) continue;
    if (clause.requirement.values == std::vector<std::string>{architecture}) return &clause;
  }
  return nullptr;
}

// Taints that the kubelet and cloud controllers put on and take off; nobody tolerates them for the architecture's sake.
bool is_passing(const kube::Taint& taint) { return taint.key.starts_with("node.kubernetes.io/") || taint.key.starts_with("node.cloudprovider.kubernetes.io/"); }

bool says_architecture(const ArchClause& clause) { return clause.requirement.op == kube::SelectorOperator::In && !clause.requirement.values.empty(); }

std::string clause_text(const ArchClause& clause) {
  const kube::Requirement& requirement = clause.requirement;
  if (clause.where == ArchClause::Where::Selector) return "nodeSelector " + requirement.key + "=" + (requirement.values.empty() ? "" : requirement.values[0]);
  return "node affinity " + requirement.key + " " + std::string(kube::operator_name(requirement.op)) + " [" + join(requirement.values, ", ") + "]";
}

class Rules {
 public:
  Rules(const Audit& audit, const AuditOptions& options, std::vector<Finding>& out) : audit_(audit), options_(options), out_(out) {}

  void run(size_t from, size_t end) {
    for (size_t i = from; i < end; ++i) {
      const Workload& workload = audit_.collection.workloads[i];
      labels(workload);
      if (!workload.placement.problem.empty()) {
        Finding finding = begin("placement-unreadable", Finding::Severity::Warning, workload, workload.place);
        finding.message = workload.place.object + ": " + workload.placement.problem;
        finish(std::move(finding));
        continue;
      }
      if (workload.placement.windows) continue;
      for (size_t p = 0; p < audit_.platforms.size(); ++p) {
        if (audit_.platforms[p].os == "linux") one(workload, audit_.workloads[i], p);
      }
    }
  }

 private:
  static bool has_way(Verdict verdict) { return verdict == Verdict::Ready || verdict == Verdict::ReadyAfterUpdate || verdict == Verdict::ReadyAfterRepin; }
  static bool cannot(Verdict verdict) { return verdict == Verdict::NotReady || verdict == Verdict::WrongContent; }

  Finding begin(std::string rule, Finding::Severity severity, const Workload& workload, Place place) const {
    Finding finding;
    finding.rule = std::move(rule);
    finding.severity = severity;
    finding.place = std::move(place);
    if (!workload.hook.empty()) finding.advice = workload.hook + ": charts often give their hook Jobs no nodeSelector or tolerations of their own; a kustomize post-renderer can";
    return finding;
  }

  // `apart` tells findings of one rule about one place from one another.
  void finish(Finding finding, const std::string& apart = {}) {
    SharedText path = finding.place.path;
    finding.place.path += apart;
    finding.id = finding_id(finding);
    finding.place.path = std::move(path);
    out_.push_back(std::move(finding));
  }

  static void advise(Finding& finding, const std::string& advice) { finding.advice = finding.advice.empty() ? advice : advice + " (" + finding.advice + ")"; }

  void labels(const Workload& workload) {
    for (const ArchClause& clause : workload.placement.clauses) {
      if (!clause.legacy_label) continue;
      Finding finding = begin("deprecated-arch-label", Finding::Severity::Warning, workload, clause.key);
      finding.message = workload.place.object + " uses the label beta.kubernetes.io/arch, which Kubernetes has deprecated";
      advise(finding, "use kubernetes.io/arch");
      finding.remedy.kind = Remedy::Kind::RenameArchLabel;
      finding.remedy.replacement = std::string(kArch);
      finding.remedy.why = "nodes of newer clusters may lack the old label";
      finish(std::move(finding));
    }
  }

  std::vector<const kube::Node*> nodes_of(const Platform& platform) const {
    std::vector<const kube::Node*> nodes;
    for (const kube::Node& node : audit_.collection.nodes) {
      if (node.architecture() == platform.architecture) nodes.push_back(&node);
    }
    return nodes;
  }

  void one(const Workload& workload, const JudgedWorkload& judged, size_t p) {
    const Platform& platform = audit_.platforms[p];
    Verdict verdict = judged.verdicts[p];
    std::vector<const ArchClause*> against = excluding(workload.placement, platform.architecture);
    if (!against.empty()) {
      if (!cannot(verdict)) kept_off(workload, platform, verdict, against);
      return;
    }
    if (cannot(verdict)) return let_on(workload, judged, platform, p);
    if (!workload.placement.node_name.empty() && !workload.is_pod && has_way(verdict)) return fixed_node(workload, platform);
    if (has_way(verdict) || verdict == Verdict::Unknown) repelled(workload, platform, verdict);
  }

  // Old selectors: the images could, the pod may not.
  void kept_off(const Workload& workload, const Platform& platform, Verdict verdict, const std::vector<const ArchClause*>& against) {
    bool daemon = workload.place.kind == "DaemonSet";
    for (const ArchClause* clause : against) {
      auto severity = has_way(verdict) ? Finding::Severity::Warning : Finding::Severity::Note;
      Finding finding = begin(daemon ? "daemonset-leaves-out-nodes" : "arch-selector", severity, workload, clause->place);
      finding.platforms = {platform};
      finding.message = workload.place.object + " is kept off " + platform.str() + " nodes by " + clause_text(*clause);
      if (daemon) finding.message += ": no pod of it will be there, and DESIRED does not show it";
      if (verdict == Verdict::Ready) finding.message += "; its images are ready";
      if (verdict == Verdict::ReadyAfterUpdate || verdict == Verdict::ReadyAfterRepin) finding.message += "; its images can be made ready";
      advise(finding, verdict == Verdict::Unknown ? "find out whether its images are ready, then remove or widen it" : "remove or widen it");
      if (has_way(verdict)) {
        finding.remedy.kind = clause->where == ArchClause::Where::Required && says_architecture(*clause) ? Remedy::Kind::WidenArchSelector : Remedy::Kind::DropArchSelector;
        finding.remedy.platforms = {platform};
        finding.remedy.why = "all images of " + workload.place.object + " " + (verdict == Verdict::Ready ? "are" : "can be made") + " ready for " + platform.str();
      }
      finish(std::move(finding));
    }
  }

  // The images cannot, the pod may, or must.
  void let_on(const Workload& workload, const JudgedWorkload& judged, const Platform& platform, size_t p) {
    if (const ArchClause* clause = demands(workload.placement, platform.architecture)) {
      Finding finding = begin("selector-demands-missing-platform", Finding::Severity::Error, workload, clause->place);
      finding.platforms = {platform};
      finding.message = workload.place.object + " must run on " + platform.str() + " nodes (" + clause_text(*clause) + "), and its images cannot";
      advise(finding, "remove it until the images are ready");
      finding.remedy.kind = Remedy::Kind::DropArchSelector;
      finding.remedy.why = "no image of it runs there";
      return finish(std::move(finding));
    }
    std::vector<const kube::Node*> nodes = nodes_of(platform);
    bool lands = std::any_of(nodes.begin(), nodes.end(), [&](const kube::Node* node) { return fits(workload.placement, *node) && !untolerated(workload.placement, node->taints); });
    if (!lands && !nodes.empty()) return;
    if (!lands && !options_.taints.empty() && untolerated(workload.placement, options_.taints)) return;
    Finding finding = begin("no-arch-affinity", lands ? Finding::Severity::Warning : Finding::Severity::Note, workload, workload.place);
    finding.platforms = {platform};
    finding.message = workload.place.object + (lands ? " may be put on " : " could be put on ") + platform.str() + " nodes, where its images do not run";
    std::vector<Platform> common = runs_on(judged, p);
    advise(finding, "require " + (common.empty() ? "nodes that its images run on" : architectures(common) + " nodes") + " until they are ready");
    if (!common.empty()) {
      finding.remedy.kind = Remedy::Kind::AddArchAffinity;
      finding.remedy.platforms = common;
      finding.remedy.why = "its images run on " + architectures(common) + " only";
    }
    finish(std::move(finding));
  }

  static std::string architectures(const std::vector<Platform>& platforms) {
    std::vector<std::string> names;
    for (const Platform& platform : platforms) {
      if (std::find(names.begin(), names.end(), platform.architecture) == names.end()) names.push_back(platform.architecture);
    }
    return join(names, ", ");
  }

  // What all of its images run on: one toleration or affinity for the pod. Empty where one is not known.
  std::vector<Platform> runs_on(const JudgedWorkload& judged, size_t) const {
    std::optional<std::vector<Platform>> common;
    for (size_t index : judged.images) {
      const JudgedImage& image = audit_.images[index];
      if (!image.skip.empty()) continue;
      if (!image.facts) return {};
      std::vector<Platform> of_image;
      for (const Platform& platform : image.facts->truth.platforms) {
        if (platform.os == "linux" && image.facts->truth.runs_on(platform)) of_image.push_back({platform.os, platform.architecture});
      }
      if (!common) {
        common = of_image;
        continue;
      }
      std::erase_if(*common, [&](const Platform& platform) { return std::find(of_image.begin(), of_image.end(), platform) == of_image.end(); });
    }
    std::vector<Platform> unique;
    for (const Platform& platform : common.value_or(std::vector<Platform>{})) {
      if (std::find(unique.begin(), unique.end(), platform) == unique.end()) unique.push_back(platform);
    }
    return unique;
  }

  void fixed_node(const Workload& workload, const Platform& platform) {
    for (const kube::Node& node : audit_.collection.nodes) {
      if (node.name() == workload.placement.node_name && node.architecture() == platform.architecture) return;
    }
    Finding finding = begin("node-name", Finding::Severity::Note, workload, workload.place);
    finding.platforms = {platform};
    finding.message = workload.place.object + " names its node (" + workload.placement.node_name + "): it goes nowhere else";
    advise(finding, "remove nodeName");
    finish(std::move(finding));
  }

  static bool fits(const PodPlacement& placement, const kube::Node& node) {
    return kube::node_affinity_matches(placement.node_selector, placement.affinity, node.name(), node.meta.labels);
  }

  static const kube::Taint* untolerated(const PodPlacement& placement, const std::vector<kube::Taint>& taints) {
    for (const kube::Taint& taint : taints) {
      if (kube::repels(taint) && !is_passing(taint) && !kube::tolerated(taint, placement.tolerations)) return &taint;
    }
    return nullptr;
  }

  // Taints of the nodes that are there, or that are to come.
  void repelled(const Workload& workload, const Platform& platform, Verdict verdict) {
    bool daemon = workload.place.kind == "DaemonSet";
    std::vector<const kube::Node*> nodes = nodes_of(platform);
    std::vector<kube::Taint> missing;
    auto note = [&](const std::vector<kube::Taint>& taints) {
      for (const kube::Taint& taint : taints) {
        if (kube::repels(taint) && !is_passing(taint) && !kube::tolerated(taint, workload.placement.tolerations) && std::find(missing.begin(), missing.end(), taint) == missing.end()) missing.push_back(taint);
      }
    };
    note(options_.taints);
    size_t matching = 0, open = 0;
    for (const kube::Node* node : nodes) {
      if (!fits(workload.placement, *node)) continue;
      ++matching;
      if (untolerated(workload.placement, node->taints)) {
        if (daemon || open == 0) note(node->taints);
      } else {
        ++open;
      }
    }
    if (!nodes.empty() && matching < (daemon ? nodes.size() : size_t{1})) elsewhere(workload, platform, nodes.size() - matching, nodes.size(), daemon, verdict);
    // One node that takes it is enough for all but a DaemonSet.
    if (!daemon && open > 0 && options_.taints.empty()) return;
    for (const kube::Taint& taint : missing) tolerate(workload, platform, verdict, taint, daemon);
  }

  void tolerate(const Workload& workload, const Platform& platform, Verdict verdict, const kube::Taint& missing, bool daemon) {
    auto severity = has_way(verdict) ? Finding::Severity::Warning : Finding::Severity::Note;
    Finding finding = begin(daemon ? "daemonset-leaves-out-nodes" : "missing-toleration", severity, workload, workload.place);
    finding.platforms = {platform};
    finding.message = workload.place.object + " does not tolerate " + missing.str() + ", which keeps it off " + platform.str() + " nodes" + nearly(workload, missing);
    if (daemon) finding.message += ": no pod of it will be there";
    advise(finding, "tolerate it" + std::string(verdict == Verdict::Ready ? "" : verdict == Verdict::Unknown ? " once its images are known to be ready" : " with the new images"));
    if (has_way(verdict)) {
      finding.remedy.kind = Remedy::Kind::AddToleration;
      finding.remedy.replacement = missing.str();
      finding.remedy.platforms = {platform};
      finding.remedy.why = "its images " + std::string(verdict == Verdict::Ready ? "are" : "can be made") + " ready for " + platform.str();
    }
    finish(std::move(finding), "#" + missing.str());
  }

  // A toleration that was meant for such nodes and misses: another key, value or effect.
  static std::string nearly(const Workload& workload, const kube::Taint& missing) {
    for (const kube::Toleration& toleration : workload.placement.tolerations) {
      bool arch_key = toleration.key.ends_with("arch") || toleration.key == "arm" || toleration.key == "arm64";
      if (!arch_key && toleration.key != missing.key) continue;
      return " (it tolerates " + toleration.key + (toleration.op == "Exists" ? "" : "=" + toleration.value) + (toleration.effect.empty() ? "" : ":" + toleration.effect) + ")";
    }
    return {};
  }

  // Labels that nodes of this architecture do not have: an instance type, a zone.
  void elsewhere(const Workload& workload, const Platform& platform, size_t without, size_t all, bool daemon, Verdict verdict) {
    bool others = std::any_of(audit_.collection.nodes.begin(), audit_.collection.nodes.end(), [&](const kube::Node& node) { return node.architecture() != platform.architecture && fits(workload.placement, node); });
    if (!others) return;
    Finding finding = begin(daemon ? "daemonset-leaves-out-nodes" : "selector-leaves-out-nodes", has_way(verdict) && !daemon ? Finding::Severity::Warning : Finding::Severity::Note, workload, workload.place);
    finding.platforms = {platform};
    finding.message = workload.place.object + ": its node selector or affinity matches other nodes, but not " + std::to_string(without) + " of the " + std::to_string(all) + " " + platform.str() + " nodes";
    advise(finding, "give those nodes the labels, or widen it");
    finish(std::move(finding), "#labels");
  }

  const Audit& audit_;
  const AuditOptions& options_;
  std::vector<Finding>& out_;
};

}  // namespace

bool allows_architecture(const PodPlacement& placement, const std::string& architecture) { return excluding(placement, architecture).empty(); }

std::vector<std::vector<Finding>> placement_findings(const Audit& audit, const AuditOptions& options) {
  size_t count = audit.collection.workloads.size();
  std::vector<std::vector<Finding>> parts((count + kWorkloadsAtOnce - 1) / kWorkloadsAtOnce);
  for_ranges(count, kWorkloadsAtOnce, [&](size_t part, size_t begin, size_t end) { Rules(audit, options, parts[part]).run(begin, end); });
  return parts;
}

}  // namespace archway::audit
