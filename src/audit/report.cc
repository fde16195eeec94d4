#include "audit/report.h"

#include <algorithm>
#include <map>

#include "audit/finding_id.h"

namespace archway::audit {

bool Report::is_suppressed(const std::string& id) const {
  auto at = std::lower_bound(suppressed.begin(), suppressed.end(), id, [](const Suppressed& each, const std::string& wanted) { return each.id < wanted; });
  return at != suppressed.end() && at->id == id;
}

size_t Counts::total() const {
  size_t sum = 0;
  for (size_t count : of) sum += count;
  return sum;
}

Counts image_counts(const Audit& audit, size_t platform) {
  Counts counts;
  for (const JudgedImage& image : audit.images) {
    if (platform < image.judgements.size()) ++counts.of[static_cast<size_t>(image.judgements[platform].verdict)];
  }
  return counts;
}

Counts workload_counts(const Audit& audit, size_t platform) {
  Counts counts;
  for (const JudgedWorkload& workload : audit.workloads) {
    if (platform < workload.verdicts.size()) ++counts.of[static_cast<size_t>(workload.verdicts[platform])];
  }
  return counts;
}

ImageTruths learnt_truths(const Audit& audit) {
  ImageTruths truths;
  for (const JudgedImage& image : audit.images) {
    if (!image.facts) continue;
    for (size_t use : image.uses) truths.images[audit.collection.uses[use].image] = image.facts->truth;
  }
  return truths;
}

std::string rule_text(const std::string& rule) {
  static const std::map<std::string, std::string> texts = {
      {"image-not-ready", "An image has nothing for the platform, under no tag that was looked at."},
      {"image-needs-update", "Another tag of the image has the platform."},
      {"image-needs-repin", "The digest is of one platform's image; the index beside it has the platform."},
      {"image-wrong-content", "An image declares the platform and holds another's programs."},
      {"image-unknown", "An image could not be looked at."},
      {"arch-selector", "A node selector or affinity keeps pods off nodes that their images run on."},
      {"missing-toleration", "A taint of the platform's nodes keeps pods off that their images run on."},
      {"selector-leaves-out-nodes", "Labels that the platform's nodes lack keep pods off them."},
      {"daemonset-leaves-out-nodes", "A DaemonSet makes no pods on the platform's nodes."},
      {"selector-demands-missing-platform", "Pods must go to nodes that their images do not run on."},
      {"no-arch-affinity", "Nothing keeps pods off nodes that their images do not run on."},
      {"placement-outside-pod-spec", "A selector, toleration or affinity stands where the API server drops it."},
      {"placement-unreadable", "A pod's affinity or tolerations are not what the API server takes."},
      {"deprecated-arch-label", "beta.kubernetes.io/arch is deprecated."},
      {"node-name", "A template names its node."},
      {"compose-platform", "A compose service is pinned to one platform."},
      {"dockerfile-platform-default", "A default takes the place of an automatic platform argument."},
      {"dockerfile-final-build-platform", "The final stage is of the platform that builds, not of the one it is built for."},
      {"dockerfile-constant-platform", "A stage is pinned to one platform."},
      {"dockerfile-architecture-in-url", "A download is of one architecture."},
      {"dockerfile-architecture-in-name", "A file name is of one architecture."},
      {"dockerfile-goarch", "GOARCH is fixed."},
      {"dockerfile-cpu-flag", "A compiler flag that one architecture has."},
      {"dockerfile-undeclared-platform-arg", "An automatic platform argument is used in a stage that does not declare it."},
  };
  auto at = texts.find(rule);
  return at == texts.end() ? rule : at->second;
}

}  // namespace archway::audit
