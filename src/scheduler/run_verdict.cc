#include "scheduler/run_verdict.h"

namespace archway::scheduler {

namespace {

struct ImageVerdict {
  RunVerdict verdict;
  std::string why;
};

ImageVerdict judge(const ImageKnowledge& images, const std::string& reference, const Platform& want) {
  const ImageTruth* truth = images.truths.find(reference);
  if (!truth && images.assumed.empty()) return {RunVerdict::Unknown, "nothing is known of its platforms"};
  const std::vector<Platform>& have = truth ? truth->platforms : images.assumed;
  auto chosen = choose_platform(want, have);
  if (!chosen) {
    // A lone manifest is run whatever it says; an index without a match is not even pulled.
    if (have.size() == 1) return {RunVerdict::ExecFormatError, "it is " + have[0].str() + " only"};
    return {RunVerdict::NoMatch, explain_no_match(want, have)};
  }
  if (truth) {
    for (const WrongPlatform& wrong : truth->wrong) {
      if (wrong.platform == have[*chosen]) return {RunVerdict::ExecFormatError, wrong.why.empty() ? "it does not hold what it declares" : wrong.why};
    }
  }
  if (have[*chosen].architecture != want.architecture) return {RunVerdict::Fallback32, "it runs as " + have[*chosen].str()};
  return {RunVerdict::Runs, ""};
}

}  // namespace

std::string_view run_verdict_name(RunVerdict verdict) {
  switch (verdict) {
    case RunVerdict::Runs: return "runs";
    case RunVerdict::Unknown: return "unknown";
    case RunVerdict::Fallback32: return "32-bit fallback";
    case RunVerdict::NoMatch: return "no match for platform";
    case RunVerdict::ExecFormatError: return "exec format error";
  }
  return "";
}

PodVerdict run_verdict(const ImageKnowledge& images, const Pod& pod, const Node& node) {
  std::string os = node.label("kubernetes.io/os");
  Platform want = normalize_platform({os.empty() ? "linux" : os, node.architecture()});
  PodVerdict worst;
  if (want.architecture.empty()) return {RunVerdict::Unknown, "", "node " + node.name() + " has no label kubernetes.io/arch"};
  for (const auto* list : {&pod.spec->init_containers, &pod.spec->containers}) {
    for (const kube::Container& container : *list) {
      ImageVerdict each = judge(images, container.image, want);
      if (each.verdict > worst.verdict) worst = {each.verdict, container.image, each.why};
    }
  }
  return worst;
}

}  // namespace archway::scheduler
