#include <algorithm>
#include <set>

#include "base/text.h"
#include "scheduler/autoscaler_lint.h"

namespace archway::scheduler {

namespace {

using Severity = LintFinding::Severity;
constexpr std::string_view kArch = "kubernetes.io/arch";
constexpr int64_t kMostWeight = 100;

class PoolLint {
 public:
  PoolLint(const AutoscalerInput& input, const NodePool& pool, const PriceTable& prices, std::vector<LintFinding>& findings)
      : input_(input), pool_(pool), prices_(prices), findings_(findings) {}

  void run() {
    architecture();
    requirements();
    weight();
    families();
    node_class();
    if (pool_.limit_milli_cpu == 0) find(Severity::Error, "nodepool-limit-zero", "its limit of cpu is 0, so it never starts a node");
  }

 private:
  void find(Severity severity, std::string rule, std::string message, std::string advice = "", std::optional<SourcePlace> place = std::nullopt) {
    findings_.push_back({severity, std::move(rule), place.value_or(pool_.place), "NodePool " + pool_.name, std::move(message), std::move(advice)});
  }

  void architecture() {
    const PoolRequirement* arch = pool_.find(kArch);
    bool by_label = pool_.labels.find(kArch) != nullptr;
    if (!arch && !by_label) {
      find(Severity::Warning, "nodepool-no-arch", "it has no requirement on " + std::string(kArch) + ": pods without one get whatever is cheapest, which is often arm64, and images for amd64 alone fail there",
           "require amd64 or arm64, or give pods an architecture");
    }
    if (!arch) return;
    for (const std::string& value : arch->requirement.values) {
      if (value == "amd64" || value == "arm64") continue;
      std::string right = value == "aarch64" || value == "arm64/v8" || value == "arm" ? "arm64" : value == "x86_64" || value == "x64" || value == "x86-64" ? "amd64" : "";
      find(Severity::Error, "nodepool-arch-value", "no machine has the architecture \"" + value + "\"", right.empty() ? "write amd64 or arm64" : "write " + right, arch->place);
    }
    const auto& values = arch->requirement.values;
    bool both = std::find(values.begin(), values.end(), "amd64") != values.end() && std::find(values.begin(), values.end(), "arm64") != values.end();
    if (both && arch->requirement.op == kube::SelectorOperator::In) {
      find(Severity::Warning, "nodepool-both-archs", "it takes both architectures: a pod without a requirement of its own gets the cheaper, whatever its image holds",
           "make one pool per architecture, the preferred one with the higher weight and a taint", arch->place);
    }
  }

  void requirements() {
    constexpr std::pair<std::string_view, std::string_view> old[] = {{"beta.kubernetes.io/arch", kArch}, {"beta.kubernetes.io/os", "kubernetes.io/os"},
        {"beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"}, {"failure-domain.beta.kubernetes.io/zone", kZoneLabel}, {"karpenter.sh/provisioner-name", "karpenter.sh/nodepool"}};
    for (const PoolRequirement& each : pool_.requirements) {
      for (const auto& [from, to] : old) {
        if (each.requirement.key == from) find(Severity::Warning, "nodepool-old-label", "the label " + std::string(from) + " is an old name", "write " + std::string(to), each.place);
      }
      if (each.requirement.key == "kubernetes.io/architecture" || each.requirement.key == "kubernetes/arch") find(Severity::Error, "nodepool-label-unknown", "no node has the label " + each.requirement.key, "write " + std::string(kArch), each.place);
      if (each.valid) continue;
      auto why = kube::requirement_error(each.requirement);
      find(Severity::Error, "nodepool-requirement", "the requirement on \"" + each.requirement.key + "\" with operator \"" + each.op + "\" is none" + (why ? ": " + *why : ""), "operators are In, NotIn, Exists, DoesNotExist, Gt and Lt", each.place);
    }
  }

  void weight() {
    if (pool_.weight < 0 || pool_.weight > kMostWeight) find(Severity::Error, "nodepool-weight", "its weight " + std::to_string(pool_.weight) + " is not from 1 to 100, and the API refuses it");
    const std::string mine = one_architecture(pool_);
    for (const NodePool& other : input_.node_pools) {
      if (&other == &pool_ || other.weight != pool_.weight || other.name < pool_.name || mine.empty()) continue;
      std::string theirs = one_architecture(other);
      if (theirs.empty() || theirs == mine) continue;
      if (pool_.taints != other.taints) continue;  // pods tell them apart
      find(Severity::Warning, "nodepool-weight-tie", "it and NodePool " + other.name + " have one weight and different architectures: pods that may use both go to the one whose name comes last", "give the preferred one a higher weight");
    }
  }

  static std::string one_architecture(const NodePool& pool) {
    const PoolRequirement* arch = pool.find(kArch);
    bool one = arch && arch->requirement.op == kube::SelectorOperator::In && arch->requirement.values.size() == 1;
    return one ? arch->requirement.values[0] : "";
  }

  // An architecture that none of the types, or families, that it names has.
  void families() {
    std::string wanted = one_architecture(pool_);
    if (wanted.empty()) return;
    for (std::string_view key : {"node.kubernetes.io/instance-type", "karpenter.k8s.aws/instance-family"}) {
      const PoolRequirement* types = pool_.find(key);
      if (!types || types->requirement.op != kube::SelectorOperator::In || types->requirement.values.empty()) continue;
      std::set<std::string> found;
      for (const std::string& value : types->requirement.values) {
        std::string architecture = architecture_of_type(key.ends_with("family") ? value + ".large" : value, prices_);
        if (architecture.empty()) return;
        found.insert(architecture);
      }
      if (!found.contains(wanted)) {
        find(Severity::Error, "nodepool-no-type", "it wants " + wanted + ", and all that it names under " + std::string(key) + " is " + *found.begin() + ": no machine is left", "name types of " + wanted, types->place);
      } else if (found.size() > 1) {
        find(Severity::Warning, "nodepool-type-useless", "some of what it names under " + std::string(key) + " is not " + wanted + " and is never used", "", types->place);
      }
    }
  }

  void node_class() {
    if (pool_.class_name.empty() || input_.node_classes.empty()) return;
    auto found = std::find_if(input_.node_classes.begin(), input_.node_classes.end(), [&](const NodeClass& each) { return each.name == pool_.class_name; });
    if (found == input_.node_classes.end()) {
      find(Severity::Error, "nodepool-class-missing", "its " + (pool_.class_kind.empty() ? std::string("node class") : pool_.class_kind) + " " + pool_.class_name + " is not among the input");
    } else if (found->ami_ids.size() == 1 && !found->by_alias && one_architecture(pool_).empty()) {
      find(Severity::Warning, "nodeclass-one-image", "its " + found->kind + " names a single image, which has one architecture, and the pool takes both", "select images by alias, or require the image's architecture");
    }
  }

  const AutoscalerInput& input_;
  const NodePool& pool_;
  const PriceTable& prices_;
  std::vector<LintFinding>& findings_;
};

}  // namespace

void lint_karpenter(const AutoscalerInput& input, const PriceTable& prices, std::vector<LintFinding>& findings) {
  for (const NodePool& pool : input.node_pools) PoolLint(input, pool, prices, findings).run();
}

}  // namespace archway::scheduler
